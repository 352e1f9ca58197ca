"""The golden runs of the original S3Gen: where they are, and how distances are measured.

They are read from the folder `s3gen` of the one that TTSRT_GOLDEN names; tests/data has no room.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .s3gen_ops import Array

GOLDEN = Path(os.environ.get("TTSRT_GOLDEN", "")) / "s3gen"
NEEDS_GOLDEN = pytest.mark.skipif(
    not (GOLDEN / "tiny" / "flow.npz").is_file(),
    reason="needs s3gen/tiny in the folder of TTSRT_GOLDEN",
)


def loaded(name: str) -> dict[str, Array]:
    """Returns the arrays of a golden file, by name: "tiny/flow.npz"."""
    with np.load(GOLDEN / name) as stored:
        return {key: stored[key] for key in stored.files}


def rows_of(stored: Array) -> Array:
    """An array [1, channels, time] of the original as rows of moments."""
    made: Array = stored[0].T
    return made


def distance(made: Any, stored: Any) -> float:
    """Returns the largest difference, as a part of the largest value."""
    made, stored = np.asarray(made, np.float64), np.asarray(stored, np.float64)
    assert made.shape == stored.shape
    return float(np.abs(made - stored).max() / np.abs(stored).max())
