"""Tests that need torch and transformers, of the extra `hf`, import this module first.

Without them the importing module is skipped and says how to get them. With `TTSRT_REQUIRE=torch` in
the environment it fails instead.
"""

from __future__ import annotations

import os

import pytest

try:
    import tokenizers
    import torch
    import transformers
except ImportError:
    if "torch" in os.environ.get("TTSRT_REQUIRE", "").split(","):
        raise
    pytest.skip("needs torch and transformers: pip install '.[hf]'", allow_module_level=True)

__all__ = ["tokenizers", "torch", "transformers"]
