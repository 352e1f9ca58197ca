"""Fixtures of the parity tests: comparison of results, and engines of reduced precision."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt

ExpectSame = Callable[[rt.Result, rt.Result], None]


@pytest.fixture(scope="session")
def expect_same() -> ExpectSame:
    """Asserts that two results are equal: codes, end and focus, and all hidden bits if traced."""

    def compare(result: rt.Result, expected: rt.Result) -> None:
        np.testing.assert_array_equal(result.codes, expected.codes)
        assert result.finish_reason == expected.finish_reason
        assert (result.focus is None) == (expected.focus is None)
        if expected.focus is not None:
            np.testing.assert_array_equal(result.focus, expected.focus)
        steps = [
            [entry.values for entry in each.trace if entry.name == "dec_hidden"]
            for each in (result, expected)
        ]
        np.testing.assert_array_equal(*steps)

    return compare


@pytest.fixture(scope="session")
def narrow_engine_of(checkpoint_of: Callable[[str], Path]) -> Callable[[str, str], Path]:
    """Maps case name and precision to an engine. The precision is a dtype, or a quantization with
    float32 tables; "w4a16-32" means "w4a16" in groups of 32.
    """

    def make(case: str, precision: str) -> Path:
        checkpoint = checkpoint_of(case)
        folder = checkpoint.parent / f"engine-{precision}"
        if not folder.exists():
            quantization, _, group = precision.partition("-")
            if quantization.startswith("w"):
                group_size = int(group) if group else None
                rt.build(checkpoint, folder, quantization=quantization, group_size=group_size)
            else:
                rt.build(checkpoint, folder, dtype=precision)
        return folder

    return make
