"""Mutated files are read or refused; `python -m tests.hostile.mutants` reads more of them."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from .mutants import KINDS, mutant
from .mutations import CHANGES, mutate, mutate_text
from .seeds import SEEDS

COUNT = 1200


def test_mutated_files_are_read_or_refused(tmp_path: Path) -> None:
    """In a process of its own, because a fault of the library would end it."""
    command = [sys.executable, "-m", "tests.hostile.mutants", "--count", str(COUNT)]
    command += ["--progress", str(tmp_path / "number")]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False
    )
    number = (tmp_path / "number").read_text()
    assert done.returncode == 0, f"at mutant {number}:\n{done.stdout[-5000:]}{done.stderr[-2000:]}"
    assert "wrong 0" in done.stdout


def test_a_mutant_is_a_function_of_its_number() -> None:
    assert [mutant(number) for number in range(50)] == [mutant(number) for number in range(50)]
    assert {mutant(number)[0] for number in range(50)} == set(KINDS)
    changed = [mutant(number)[1] != SEEDS[mutant(number)[0]] for number in range(200)]
    assert sum(changed) > 180


def test_every_change_keeps_bytes() -> None:
    numbers = random.Random(1)
    for change in CHANGES:
        data = bytearray(range(256))
        change(data, numbers)
        assert data != bytes(range(256)) or change.__name__ in ("splice", "zero")
    assert mutate(b"", numbers) == b""
    assert isinstance(mutate_text(b"", numbers), bytes)
