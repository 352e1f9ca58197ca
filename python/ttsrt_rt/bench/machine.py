"""How busy other processes keep the cores while something is measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["BUSY", "OtherWork", "busy_note"]

BUSY = 0.1  # of the cores' time: from here on a report says that the machine was busy

_STAT = Path("/proc/stat")


@dataclass(frozen=True)
class _Moment:
    seconds: float
    busy: float  # of the cores that this process may use
    own: float  # of this process, with its threads


class OtherWork:
    """Measures the part of the cores' time that others used, from its creation on.

    The cores are those that this process may run on. Time that a hypervisor gave to other machines
    counts too. Other processes include children of this one.
    """

    def __init__(self) -> None:
        self._begin = _now()

    def share(self) -> float | None:
        """From 0 to 1; None where the system doesn't tell, or tells nothing yet."""
        begin, end = self._begin, _now()
        if begin is None or end is None:
            return None
        available = (end.seconds - begin.seconds) * len(os.sched_getaffinity(0))
        if available <= 0.0:
            return None
        others = (end.busy - begin.busy) - (end.own - begin.own)
        return min(max(others / available, 0.0), 1.0)


def busy_note(shares: list[float], *, during: str) -> str:
    """A sentence about other work for a report; empty if there was little.

    Args:
        shares: What `OtherWork.share` returned for each turn.
        during: What was measured: "the turns".
    """
    if not shares or max(shares) < BUSY:
        return ""
    middle = sorted(shares)[len(shares) // 2]
    return (
        f"The machine is busy: other processes used {100 * middle:.0f} % of the cores' time during "
        f"{during} (at most {100 * max(shares):.0f} %). Compare ratios only, or measure again."
    )


def _now() -> _Moment | None:
    cores = {f"cpu{core}" for core in os.sched_getaffinity(0)}
    try:
        lines = [line.split() for line in _STAT.read_text("ascii").splitlines()]
        ticks = sum(_busy_ticks(words) for words in lines if words and words[0] in cores)
    except (OSError, ValueError, IndexError):
        return None
    return _Moment(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), time.process_time())


def _busy_ticks(words: list[str]) -> int:
    """User, nice, system, interrupts and stolen time of a line; guests are part of user."""
    user, nice, system, _idle, _waiting, irq, softirq, steal = map(int, words[1:9])
    return user + nice + system + irq + softirq + steal
