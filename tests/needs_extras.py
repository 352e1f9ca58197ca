"""Modules of extras that the README's test command does not install.

A test that needs one asks for it here. Without it the test is skipped and says how to get it; with
`TTSRT_REQUIRE=text` in the environment it fails instead.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

import pytest

__all__ = ["needed"]


def needed(module: str, extra: str) -> Any:
    """Returns the module, or skips the calling test."""
    try:
        return importlib.import_module(module)
    except ImportError:
        if "text" in os.environ.get("TTSRT_REQUIRE", "").split(","):
            raise
        pytest.skip(f"needs {module}: pip install '.[{extra}]'")
