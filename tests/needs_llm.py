"""Tests that need the packages of the extra `llm` import this module first.

Without them the importing module is skipped and says how to get them. With `TTSRT_REQUIRE=text` in
the environment it fails instead.
"""

from __future__ import annotations

import os

import pytest

try:
    import jinja2
    import tokenizers
except ImportError:
    if "text" in os.environ.get("TTSRT_REQUIRE", "").split(","):
        raise
    pytest.skip("needs tokenizers and jinja2: pip install '.[llm]'", allow_module_level=True)

__all__ = ["jinja2", "tokenizers"]
