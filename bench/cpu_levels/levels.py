"""Instruction set levels as contestants."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ttsrt_rt.bench.ops import measure_peaks
from ttsrt_rt.errors import ConfigError

__all__ = ["VARIABLE", "at_level", "check_levels"]

VARIABLE = "TTSRT_CPU_ISA"


@contextmanager
def at_level(level: str) -> Iterator[None]:
    """What is opened inside runs at this level; "default" is what the processor gets by itself."""
    before = os.environ.pop(VARIABLE, None)
    if level != "default":
        os.environ[VARIABLE] = level
    try:
        yield
    finally:
        os.environ.pop(VARIABLE, None)
        if before is not None:
            os.environ[VARIABLE] = before


def check_levels(levels: list[str]) -> list[str]:
    """The levels that this processor has, in order.

    Raises:
        ConfigError: it has none of them.
    """
    found = []
    reasons = []
    for level in levels:
        try:
            with at_level(level):
                measure_peaks(num_threads=1, seconds=0.002)
            found.append(level)
        except ConfigError as error:
            reasons.append(str(error))
    if not found:
        raise ConfigError(f"levels: {'; '.join(reasons)}")
    return found
