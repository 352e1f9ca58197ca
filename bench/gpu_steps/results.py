"""The lines of the table: figures, ratios to the peers, shares of the floor, and verdicts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.gpu_steps.cases import Case, Goal
from bench.walls.tables import Case as Row
from bench.walls.tables import Table, Target

__all__ = ["Line", "derive", "make_table", "verdicts"]

_COLUMNS = (
    *("", "ours", "on the device, ms", "host, %", "client, ms", "PyTorch", "over PyTorch"),
    *("floor, ms", "share of the floor, %", "to reach"),
)
_SHARES = ("host", "share")
_UNITS = {"step_ms": " ms", "first_ms": " ms", "x_real_time": "x real time"}
_TOLD = {
    "over_static": "over a static cache",
    "over_bfloat16": "over bfloat16",
    "over_one_gpu": "over one GPU",
    "host": "host",
    "share": "share of the floor",
}


@dataclass
class Line:
    """What was measured of one case.

    Attributes:
        case: It.
        samples: Of ours, by name: "step_ms", "device_ms", "client_ms", "first_ms" (milliseconds),
            "x_real_time", "x_real_time_all", "one_gpu", "two_gpus" (frames per second).
        peers: Of PyTorch, by name: milliseconds, or tokens per second of "generate" cases.
        floor_ms: The least time of a step or prompt on this card.
        figures: What follows from them, medians: made by `derive`.
        stages: Milliseconds of a step in each stage, where they were recorded.
        error: Why something is missing.
    """

    case: Case
    samples: dict[str, list[float]] = field(default_factory=dict)
    peers: dict[str, list[float]] = field(default_factory=dict)
    floor_ms: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    error: str = ""

    def median(self, name: str) -> float | None:
        """Of one kind of samples, where there are any."""
        found = self.samples.get(name)
        return statistics.median(found) if found else None

    @property
    def best_peer(self) -> tuple[str, float] | None:
        """The fastest peer, and its median; of "generate" cases the one with a growing cache."""
        medians = {name: statistics.median(found) for name, found in self.peers.items() if found}
        if self.case.kind == "generate":
            return ("generate", medians["generate"]) if "generate" in medians else None
        if not medians:
            return None
        name = min(medians, key=lambda each: medians[each])
        return name, medians[name]

    def json(self) -> dict[str, Any]:
        """The line as plain values."""
        return {
            "case": self.case.key,
            "title": self.case.title,
            "samples": self.samples,
            "peers": self.peers,
            "floor_ms": self.floor_ms,
            "figures": self.figures,
            "stages": self.stages,
            "error": self.error,
        }


def derive(lines: Sequence[Line]) -> None:
    """Fills in the figures of all lines."""
    by_key = {line.case.key: line for line in lines}
    for line in lines:
        figures = {name: statistics.median(found) for name, found in line.samples.items() if found}
        step, device = figures.get("step_ms"), figures.get("device_ms")
        if step is not None and device is not None and device > 0.0:
            figures["host"] = max(step / device - 1.0, 0.0)
        if step is not None and line.floor_ms is not None:
            figures["share"] = line.floor_ms / step
        if "one_gpu" in figures and "two_gpus" in figures:
            figures["over_one_gpu"] = figures["two_gpus"] / figures["one_gpu"]
        if line.case.kind == "generate":
            _derive_rates(line, by_key.get("t3-plain"), figures)
        elif step is not None and line.best_peer is not None:
            figures["over_peer"] = line.best_peer[1] / step
        wide = by_key.get(f"{line.case.model}-1")
        wide_ms = wide.median("step_ms") if wide is not None else None
        if line.case.quantization != "none" and step is not None and wide_ms is not None:
            figures["over_bfloat16"] = wide_ms / step
        line.figures = figures


def _derive_rates(line: Line, plain: Line | None, figures: dict[str, float]) -> None:
    step = plain.median("step_ms") if plain is not None else None
    if step is None:
        return
    figures["tokens_per_second"] = 1e3 / step
    for name, figure in (("generate", "over_peer"), ("generate, static cache", "over_static")):
        if line.peers.get(name):
            figures[figure] = 1e3 / step / statistics.median(line.peers[name])


def verdicts(line: Line, card: str) -> list[str]:
    """What is to be reached on this card, and whether it is."""
    return [
        _verdict(goal, line.figures[goal.figure])
        for goal in line.case.goals
        if goal.card in card and goal.figure in line.figures
    ]


def _verdict(goal: Goal, value: float) -> str:
    scale, unit = (100.0, " %") if goal.figure in _SHARES else (1.0, _UNITS.get(goal.figure, "x"))
    told = Target(goal.bound, goal.is_most).verdict(value, scale, unit)
    return f"{_TOLD[goal.figure]} {told}" if goal.figure in _TOLD else told


def make_table(lines: Sequence[Line], title: str, card: str) -> Table:
    """The table of all lines."""
    return Table(
        key="gpu-steps",
        title=title,
        columns=_COLUMNS,
        cases=[Row(line.case.title, _cells(line, card), line.json()) for line in lines],
    )


def _cells(line: Line, card: str) -> tuple[str, ...]:
    figures, peer = line.figures, line.best_peer
    theirs = ""
    if peer is not None:
        rate = line.case.kind == "generate"
        theirs = f"{peer[1]:.0f} tokens/s" if rate else f"{peer[1]:.3f} ms, {peer[0]}"
        if line.peers.get("generate, static cache"):
            static = statistics.median(line.peers["generate, static cache"])
            theirs += f"; {static:.0f} with a static cache"
    told = "; ".join(verdicts(line, card))
    return (
        _ours(figures),
        _number(figures, "device_ms", 3),
        _number(figures, "host", 1, 100.0),
        _number(figures, "client_ms", 3),
        theirs,
        _number(figures, "over_peer", 2),
        "" if line.floor_ms is None else f"{line.floor_ms:.3f}",
        _number(figures, "share", 0, 100.0),
        "; ".join(part for part in (told, line.error.strip()) if part),
    )


def _ours(figures: dict[str, float]) -> str:
    if "first_ms" in figures:
        return f"{figures['first_ms']:.2f} ms"
    if "x_real_time" in figures:
        return (
            f"{figures['x_real_time']:.0f}x real time, "
            f"{figures['x_real_time_all']:.0f}x with text and context"
        )
    if "two_gpus" in figures:
        return f"{figures['two_gpus']:.0f} frames/s, {figures['over_one_gpu']:.2f}x one GPU"
    if "tokens_per_second" in figures:
        return f"{figures['tokens_per_second']:.0f} tokens/s"
    return f"{figures['step_ms']:.3f} ms" if "step_ms" in figures else ""


def _number(figures: dict[str, float], name: str, digits: int, scale: float = 1.0) -> str:
    return f"{scale * figures[name]:.{digits}f}" if name in figures else ""
