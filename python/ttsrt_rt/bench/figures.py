"""Statistics of one quantity over requests, with the percentiles of the TensorRT-LLM fork."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

__all__ = ["STATISTICS", "Figures", "percentile"]

STATISTICS = ("avg", "max", "min", "p99", "p90", "p50")  # the fork's, in the order of its columns


def percentile(values: Sequence[float], percent: float) -> float:
    """The value at ceil(percent / 100 * n) - 1 of n sorted ones, as in the fork; 0 if none."""
    if not values:
        return 0.0
    place = math.ceil(percent / 100 * len(values)) - 1
    return sorted(values)[max(place, 0)]


@dataclass(frozen=True)
class Figures:
    """Statistics of one quantity over all requests; zeros if there are no values."""

    avg: float
    max: float
    min: float
    p99: float
    p90: float
    p50: float
    p95: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figures:
        """The statistics of values in any order."""
        kept = list(values)
        if not kept:
            return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        return cls(
            sum(kept) / len(kept),
            max(kept),
            min(kept),
            *(percentile(kept, percent) for percent in (99, 90, 50, 95)),
        )

    def values(self) -> list[float]:
        """In the order of the fork's columns."""
        return [getattr(self, name) for name in STATISTICS]
