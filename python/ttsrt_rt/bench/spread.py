"""Statistics with intervals: of one quantity, and of the ratio of two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Ratio", "Spread"]

RESAMPLES = 2000
PERCENTILES = (50, 90, 95, 99)
_SEED = 17


@dataclass(frozen=True)
class Spread:
    """Statistics of values; zeros if there are none.

    Attributes:
        n: how many there are.
        std: the standard deviation of a sample.
        p50, p90, p95, p99: percentiles, between two values in proportion.
        low, high: the 95 % interval of the median, by bootstrap.
    """

    n: int
    mean: float
    std: float
    min: float
    max: float
    p50: float
    p90: float
    p95: float
    p99: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The statistics of values in any order."""
        if not values:
            return cls(0, *[0.0] * 10)
        array = np.asarray(values, np.float64)
        medians = _medians(array)
        return cls(
            len(array),
            float(array.mean()),
            float(array.std(ddof=1)) if len(array) > 1 else 0.0,
            float(array.min()),
            float(array.max()),
            *(float(each) for each in np.percentile(array, PERCENTILES)),
            *(float(each) for each in np.percentile(medians, (2.5, 97.5))),
        )

    def to_dict(self) -> dict[str, Any]:
        """All of it, as JSON has it."""
        return dict(vars(self))


@dataclass(frozen=True)
class Ratio:
    """The median of one list of values over that of another, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], base: Sequence[float]) -> Ratio | None:
        """The ratio; None if one of the lists is empty or its median is 0."""
        if not values or not base:
            return None
        above, below = np.asarray(values, np.float64), np.asarray(base, np.float64)
        if np.median(below) <= 0:
            return None
        drawn = _medians(above) / np.maximum(_medians(below, _SEED + 1), 1e-300)
        low, high = np.percentile(drawn, (2.5, 97.5))
        return cls(float(np.median(above) / np.median(below)), float(low), float(high))

    @property
    def is_different(self) -> bool:
        """Whether the interval leaves out 1."""
        return not self.low <= 1.0 <= self.high

    def text(self) -> str:
        """The ratio for a table: "2.10x (2.05 to 2.14)", or that there is no difference."""
        shown = f"{self.value:.2f}x ({self.low:.2f} to {self.high:.2f})"
        return shown if self.is_different else f"{shown}, no difference"


def _medians(values: npt.NDArray[np.float64], seed: int = _SEED) -> npt.NDArray[np.float64]:
    """The medians of samples that are drawn from the values; the same for the same values."""
    random = np.random.default_rng(seed)
    chosen = random.integers(0, len(values), (RESAMPLES, len(values)))
    found: npt.NDArray[np.float64] = np.median(values[chosen], axis=1)
    return found
