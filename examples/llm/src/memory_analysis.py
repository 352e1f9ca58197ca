"""python src/memory_analysis.py --config configs/tinyllama_int8.yaml: `ttsrt memory`."""

import sys

from ttsrt_rt.cli import main

sys.exit(main(["memory", *sys.argv[1:]]))
