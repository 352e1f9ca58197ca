"""python src/build_engine.py --config configs/tinyllama_int8.yaml: `ttsrt build`."""

import sys

from ttsrt_rt.cli import main

sys.exit(main(["build", *sys.argv[1:]]))
