"""A table of measured cases, with their targets and whether they are met."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Case", "Table", "Target", "spread"]


@dataclass(frozen=True)
class Target:
    """A bound for a figure."""

    bound: float
    is_most: bool  # whether `bound` is the most, or otherwise the least

    def is_met(self, value: float) -> bool:
        """Whether the figure is within the bound."""
        return value <= self.bound if self.is_most else value >= self.bound

    def verdict(self, value: float, scale: float = 1.0, unit: str = "") -> str:
        """The bound and whether it is met: "<= 1.45: missed by 12 %"."""
        sign = "<=" if self.is_most else ">="
        told = f"{sign} {self.bound * scale:g}{unit}"
        if self.is_met(value):
            return f"{told}: met"
        off = value / self.bound - 1 if self.is_most else 1 - value / self.bound
        if off >= 1:
            return f"{told}: missed, {value / self.bound:.1f} times that"
        return f"{told}: missed by {max(100 * off, 1):.0f} %"


@dataclass(frozen=True)
class Case:
    """One line of the table.

    Attributes:
        name: What was measured.
        cells: The columns after the name.
        figures: All of it as plain values; "ratio" or "share" and "target", where it has one.
    """

    name: str
    cells: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """Cases of one interleaved run.

    Attributes:
        key: Its name on the command line.
        title: What was measured, how, in which turns.
        columns: Their headings, the name's first.
        cases: In order.
        notes: What stands below.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    cases: Sequence[Case]
    notes: Sequence[str] = ()

    def markdown(self) -> str:
        """Title, table and notes."""
        marks = ["---", *["---:"] * (len(self.columns) - 1)]
        rows = [list(self.columns), marks, *([case.name, *case.cells] for case in self.cases)]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([f"**{self.title}**", "", *lines, *(f"\n{note}" for note in self.notes)])

    def json(self) -> dict[str, Any]:
        """The table as plain values."""
        cases = [{"case": case.name, **case.figures} for case in self.cases]
        return {"table": self.key, "title": self.title, "cases": cases, "notes": list(self.notes)}


def spread(values: Sequence[float], digits: int = 1, scale: float = 1.0) -> str:
    """The median, lowest and highest: "18.1 (15.9 to 20.1)"."""
    middle, low, high = (f(values) * scale for f in (statistics.median, min, max))
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
