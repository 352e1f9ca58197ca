"""python src/convert_checkpoint.py --config configs/tinyllama_int8.yaml: `ttsrt convert`."""

import sys

from ttsrt_rt.cli import main

sys.exit(main(["convert", *sys.argv[1:]]))
