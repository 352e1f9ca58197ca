"""Where the time of a run went: seconds by kind of operation, the share of what memory can be read
at, cores in use, and other work.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from ttsrt_rt.cli.tables import format_table

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["RunProfile"]

_DECODE = "decode"


class RunProfile:
    """Begins to count when it is made; the executor must have been opened with `profile`."""

    def __init__(self) -> None:
        """Looks at the clocks."""
        from ttsrt_rt.bench.machine import OtherWork

        self._other = OtherWork()
        self._wall, self._process = time.perf_counter(), time.process_time()

    def text(self, executor: Executor) -> str:
        """A table of what was done since, and a line about the machine."""
        from ttsrt_rt import _core
        from ttsrt_rt.llm.step_bytes import step_bytes_of

        wall = time.perf_counter() - self._wall
        cores = (time.process_time() - self._process) / wall
        other = self._other.share()
        stages = executor.stats().stages
        seconds: dict[tuple[str, str], list[float]] = {}
        for of in stages:
            row = seconds.setdefault((of.program, _family(of.stage)), [0.0, 0.0, 0.0])
            row[0], row[1], row[2] = row[0] + of.seconds, row[1] + of.busy_seconds, of.runs
        whole = sum(of.seconds for of in stages) or 1.0
        rows = [
            [
                program,
                family,
                f"{spent:.3f}",
                f"{100 * spent / whole:.0f} %",
                f"{100 * busy / spent:.0f} %" if spent else "-",
            ]
            for (program, family), (spent, busy, _) in sorted(
                seconds.items(), key=lambda each: -each[1][0]
            )
        ]
        lines = [format_table(["program", "operation", "seconds", "of all", "in kernels"], rows)]
        decode = [of for of in stages if of.program == _DECODE]
        spent = sum(of.seconds for of in decode)
        if spent:
            steps = max(min(of.runs for of in decode), 1)  # others run in each layer
            rate = step_bytes_of(executor.engine) * steps / spent / 1e9
            most = _core.measure_read()
            lines.append(
                f"decoding: {steps} steps, {1e3 * spent / steps:.2f} ms each; weights at "
                f"{rate:.1f} GB/s, {100 * rate / most:.0f} % of the {most:.1f} GB/s that memory "
                "is read at now (more than 100 %: they are in caches)"
            )
        told = "unknown" if other is None else f"{100 * other:.0f} % of the cores' time"
        lines.append(f"{cores:.1f} cores in use for {wall:.2f} s; other processes: {told}")
        return "\n".join(lines)


def _family(stage: str) -> str:
    """The kind of a stage: its words up to the first number."""
    return re.split(r"\s+\d", stage, maxsplit=1)[0].strip() or stage
