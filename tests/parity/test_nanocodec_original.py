"""Converted codecs, computed in NumPy, against the original run beside them (originals/codec.py).

Needs PyTorch, einops and the package `nemo` of nemo_toolkit 3.0.0, of which only three files are
executed. Without them the tests are skipped; with `TTSRT_REQUIRE=nemo` in the environment they fail
instead. A codec of the true size takes a minute and runs with TTSRT_TRUE_SIZE=1.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

NEEDED = ("torch", "einops", "nemo")
ROOT = Path(__file__).resolve().parents[2]

if "nemo" not in os.environ.get("TTSRT_REQUIRE", "").split(","):
    for package in NEEDED:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package} of the original", allow_module_level=True)


def compared(size: str) -> dict[str, Any]:
    """Returns what the script prints, which replaces modules and so has a process of its own."""
    found = importlib.util.find_spec("nemo")
    assert found is not None and found.submodule_search_locations is not None
    source = Path(next(iter(found.submodule_search_locations))).parent
    command = [sys.executable, "-W", "ignore", "-m", "tests.parity.originals.codec"]
    run = subprocess.run(
        [*command, "--source", str(source), "--size", size],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    made: dict[str, Any] = json.loads(run.stdout)
    return made


@pytest.mark.torch
@pytest.mark.parametrize("size", ["tiny", "nano"])
def test_both_directions(size: str) -> None:
    if size == "nano" and os.environ.get("TTSRT_TRUE_SIZE") != "1":
        pytest.skip("takes a minute: TTSRT_TRUE_SIZE=1 runs it")
    made = compared(size)
    assert max(made["decoded"]) <= 1e-5
    assert max(made["latents"]) <= 2e-5
    assert made["different codes"] == [0, 0]
    assert made["round trip"] <= 1e-5
