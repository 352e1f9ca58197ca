"""`python -m ttsrt_rt`."""

from __future__ import annotations

import subprocess
import sys

import ttsrt_rt as rt


def test_the_package_is_the_command() -> None:
    command = [sys.executable, "-m", "ttsrt_rt", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"ttsrt {rt.__version__}\n"
