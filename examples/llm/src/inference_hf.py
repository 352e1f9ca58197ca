"""python src/inference_hf.py --model models/tinyllama: `ttsrt run --backend hf`."""

import sys

from ttsrt_rt.cli import main

given = ["--model_dir" if each == "--model" else each for each in sys.argv[1:]]
prompts = [] if {"--prompt", "--prompts"} & {*given} else ["--prompts", "prompts.jsonl"]
sys.exit(main(["run", "--backend", "hf", *given, *prompts]))
