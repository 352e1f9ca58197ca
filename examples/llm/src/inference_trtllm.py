"""python src/inference_trtllm.py --engine_dir engines/tinyllama_int8: `ttsrt run`."""

import sys

from ttsrt_rt.cli import main

names = {each.partition("=")[0] for each in sys.argv[1:]}
prompts = [] if names & {"--prompt", "--prompts", "--chat"} else ["--prompts", "prompts.jsonl"]
sys.exit(main(["run", *sys.argv[1:], *prompts]))
