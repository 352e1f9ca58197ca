"""The original F5-TTS and Vocos, for tests that run them where they are installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from typing import Any

import pytest


def find_originals(needed: Sequence[str]) -> Any:
    """Returns originals/f5.py, or skips the test where a package it needs is not installed."""
    for name in needed:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"needs {name} of the original (tests/parity/originals/f5.py lists all)")
    from tests.parity.originals import f5

    return f5
