"""python src/benchmark.py --engine_dirs A B --output_dir results: `ttsrt bench llm`."""

import sys

from ttsrt_rt.cli import main

sys.exit(main(["bench", "llm", *sys.argv[1:]]))
