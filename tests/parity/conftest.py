"""What the parity tests share: engines of reduced precision, made once for the whole run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt


@pytest.fixture(scope="session")
def narrow_engine_of(checkpoint_of: Callable[[str], Path]) -> Callable[[str, str], Path]:
    """Case name and dtype -> engine."""

    def make(case: str, dtype: str) -> Path:
        checkpoint = checkpoint_of(case)
        folder = checkpoint.parent / f"engine-{dtype}"
        if not folder.exists():
            rt.build(checkpoint, folder, dtype=dtype)
        return folder

    return make
