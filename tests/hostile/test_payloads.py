"""Pickles that would run code are refused by name, and nothing is imported, called or written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .payloads import FORMS, PLACES, payloads


def test_no_payload_does_anything() -> None:
    """In a process of its own, because an audit hook cannot be removed."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.payloads"],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-2000:]
    assert "0 wrong" in done.stdout


def test_there_are_payloads_of_every_form_at_every_place(tmp_path: Path) -> None:
    names = [name for name, _, _ in payloads(tmp_path / "ran")]
    assert len(names) == len(set(names)) >= 753
    for word in (*FORMS, *PLACES):
        assert any(f", {word}" in name for name in names), word
