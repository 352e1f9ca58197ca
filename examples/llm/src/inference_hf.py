"""python src/inference_hf.py --model models/tinyllama: `ttsrt run --backend hf`."""

import sys

from ttsrt_rt.cli import main

given = ["--model_dir" + a[7:] if f"{a}=".startswith("--model=") else a for a in sys.argv[1:]]
prompts = [] if any(a.startswith("--prompt") for a in given) else ["--prompts", "prompts.jsonl"]
sys.exit(main(["run", "--backend", "hf", *given, *prompts]))
