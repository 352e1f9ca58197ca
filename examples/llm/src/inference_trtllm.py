"""python src/inference_trtllm.py --engine_dir engines/tinyllama_int8: `ttsrt run`."""

import sys

from ttsrt_rt.cli import main

given = sys.argv[1:]
prompts = [] if {"--prompt", "--prompts", "--chat"} & {*given} else ["--prompts", "prompts.jsonl"]
sys.exit(main(["run", *given, *prompts]))
