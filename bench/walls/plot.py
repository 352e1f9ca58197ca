"""Draws the measured figures of the tables beside their bounds. matplotlib is an extra."""

from __future__ import annotations

import os
import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ttsrt_rt.bench.plot import check_plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_walls"]


def write_walls(path: str | os.PathLike[str], tables: Sequence[dict[str, Any]]) -> None:
    """Draws every table whose cases have a time and a limit, or a share, into one picture.

    Args:
        path: .png, .svg or .pdf.
        tables: What `Table.json` gives.

    Raises:
        ConfigError: As `check_plot`.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    shown = [table for table in tables if any(map(_value, table["cases"]))]
    figure = Figure(figsize=(8, 1 + 3.2 * max(len(shown), 1)), layout="constrained")
    rows = figure.subplots(max(len(shown), 1), 1, squeeze=False)
    for axes, table in zip(rows[:, 0], shown, strict=False):
        _draw(axes, table)
    figure.savefig(path)


def _value(case: dict[str, Any]) -> float:
    """Milliseconds, or a share in percent; 0 for a case that has neither."""
    if "step_ms" in case:
        return float(statistics.median(case["step_ms"]))
    return 100 * float(case.get("share", 0.0))


def _draw(axes: Axes, table: dict[str, Any]) -> None:
    """A point for each case with its spread; a logarithmic axis of times has no zero for bars."""
    cases = [case for case in table["cases"] if _value(case)]
    is_time = "step_ms" in cases[0]
    for place, case in enumerate(cases):
        _draw_case(axes, place, case)
    names = [
        f"{case['case']}, {case['rows']} rows" if "rows" in case else case["case"] for case in cases
    ]
    axes.set_yticks(range(len(cases)), names)
    axes.invert_yaxis()
    axes.set_title(table["title"], fontsize=9)
    axes.set_xlabel(
        "milliseconds; line: lowest to highest; black: t, red: what is allowed"
        if is_time
        else "%; red: what is to reach"
    )
    if is_time:
        _use_log_scale(axes)
    else:
        axes.set_xlim(left=0)
    axes.grid(alpha=0.3, axis="x")


def _draw_case(axes: Axes, place: int, case: dict[str, Any]) -> None:
    def mark(value: float, color: str) -> None:
        axes.plot([value] * 2, [place - 0.4, place + 0.4], color=color)

    samples = case.get("step_ms")
    if samples:
        axes.plot([min(samples), max(samples)], [place] * 2, color="tab:blue", alpha=0.5)
    axes.plot([_value(case)], [place], "o", color="tab:blue")
    if "limit_ms" in case:
        limit = statistics.median(case["limit_ms"])
        mark(limit, "black")
        if "target" in case:
            mark(limit * case["target"], "tab:red")
    elif "target" in case and "share" in case:
        mark(100 * case["target"], "tab:red")


def _use_log_scale(axes: Axes) -> None:
    """A logarithmic axis with plain numbers."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, place: ""))
