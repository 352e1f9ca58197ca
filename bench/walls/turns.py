"""Samples of several contestants in turns, with the bandwidth measured before and after each."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.walls.limits import Bandwidth, measure_bandwidth

__all__ = ["Contestant", "Progress", "memory_note", "take_turns"]

Progress = Callable[[str], object]  # called with the name of what was just measured


@dataclass
class Contestant:
    """Something that is measured once per turn.

    Attributes:
        name: Of it.
        measure: One sample.
        again: Bytes it reads again and again, whose bandwidth is measured, too.
        warms_up: Whether its first sample is thrown away; a process of its own is never warm.
        samples: One per turn.
        around: Mean of the bandwidth before and after each sample.
    """

    name: str
    measure: Callable[[], float]
    again: int = 0
    warms_up: bool = True
    samples: list[float] = field(default_factory=list)
    around: list[Bandwidth] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The median of the samples."""
        return statistics.median(self.samples)

    def take(self, *, is_kept: bool) -> None:
        """Takes one sample between two measurements of the bandwidth; or one that only warms up."""
        if not is_kept:
            if self.warms_up:
                self.measure()
            return
        before = measure_bandwidth(self.again)
        sample = self.measure()
        after = measure_bandwidth(self.again)
        self.samples.append(sample)
        memory, again = (before.memory + after.memory) / 2, (before.again + after.again) / 2
        self.around.append(Bandwidth(memory, again))


def take_turns(
    contestants: Sequence[Contestant],
    turns: int,
    progress: Progress,
    seconds: float = math.inf,
) -> int:
    """Takes one sample of each to warm up, then `turns` rounds of samples.

    After the first, no round begins that would end after so many seconds if it takes as long as the
    longest before.

    Returns:
        The rounds of samples.
    """
    begin = time.monotonic()
    longest, taken = 0.0, 0
    for turn in range(turns + 1):
        start = time.monotonic()
        if taken > 0 and start + longest - begin > seconds:
            break
        for contestant in contestants:
            contestant.take(is_kept=turn > 0)
            progress(contestant.name)
        if turn > 0:
            taken += 1
            longest = max(longest, time.monotonic() - start)
    return taken


def memory_note(contestants: Sequence[Contestant]) -> str:
    """The memory bandwidth during the run."""
    values = [around.memory for contestant in contestants for around in contestant.around]
    return (
        f"Memory around the samples: {statistics.median(values):.1f} GB/s "
        f"({min(values):.1f} to {max(values):.1f})."
    )
