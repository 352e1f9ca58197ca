"""A hostile file costs its reader an error, a second of CPU time and 256 MB at most.

The ceilings here are wider, because the machines that run the tests are shared.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .costs import CASES

MAX_SECONDS = 3
MAX_MEGABYTES = 256


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_cheaply(name: str, tmp_path: Path) -> None:
    kind, make = CASES[name]
    path = tmp_path / f"x.{kind.rpartition('.')[2]}"
    path.write_bytes(make())
    command = [sys.executable, "-m", "tests.hostile.costs", kind, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    outcome, seconds, megabytes = json.loads(done.stdout)
    is_valid = name in ("YAML: references", "pickle: one shape for many tensors")
    assert is_valid or outcome.startswith(("FormatError: ", "ConfigError: ")), outcome
    assert len(outcome) < 600
    assert seconds < MAX_SECONDS
    assert megabytes < MAX_MEGABYTES
