"""Tests that need PyTorch import this module first.

Without PyTorch the importing test, or the whole module, is skipped and says how to get it. With
`TTSRT_REQUIRE=torch` in the environment it fails instead.
"""

from __future__ import annotations

import os

import pytest

try:
    import torch
except ImportError:
    if "torch" in os.environ.get("TTSRT_REQUIRE", "").split(","):
        raise
    pytest.skip("needs torch: pip install '.[torch]'", allow_module_level=True)

__all__ = ["torch"]
