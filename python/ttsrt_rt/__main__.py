"""`python -m ttsrt_rt` is the command `ttsrt`."""

from __future__ import annotations

import sys

from ttsrt_rt.cli import main

if __name__ == "__main__":
    sys.exit(main())
