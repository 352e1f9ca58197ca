"""Tests that need the package `tokenizers` import this module first.

Without it the importing test, or the whole module, is skipped and says how to get it. With
`TTSRT_REQUIRE=text` in the environment it fails instead.
"""

from __future__ import annotations

import os

import pytest

try:
    import tokenizers
except ImportError:
    if "text" in os.environ.get("TTSRT_REQUIRE", "").split(","):
        raise
    pytest.skip("needs tokenizers: pip install '.[text]'", allow_module_level=True)

__all__ = ["tokenizers"]
