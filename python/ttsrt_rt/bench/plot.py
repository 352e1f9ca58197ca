"""Draws latency and throughput over the load. Only this module imports matplotlib, an extra."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["check_plot", "write_plot", "write_share_plot"]

_ENDINGS = (".png", ".svg", ".pdf")


def check_plot(path: str | os.PathLike[str]) -> None:
    """Checks, before a long run, that a plot can be written.

    Raises:
        ConfigError: matplotlib is absent, or the ending is not known.
    """
    if Path(path).suffix not in _ENDINGS:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(_ENDINGS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "plot: expected matplotlib, which isn't installed: pip install 'ttsrt_rt[bench]'"
        ) from error


def write_plot(path: str | os.PathLike[str], runs: Sequence[dict[str, Any]], title: str) -> None:
    """Writes two pictures side by side: latency and throughput of each run.

    Args:
        path: .png, .svg or .pdf.
        runs: What `report.summarize` gives.
        title: Above both.

    Raises:
        ConfigError: As `check_plot`.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    latency, throughput = figure.subplots(1, 2)
    figure.suptitle(title)
    _draw_latency(latency, runs)
    _draw_throughput(throughput, runs)
    for axes in (latency, throughput):
        axes.set_xticks(range(len(runs)), [_label(run) for run in runs])
        is_closed = runs[0]["concurrency"] is not None
        axes.set_xlabel("requests in flight" if is_closed else "load")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path)


def write_share_plot(
    path: str | os.PathLike[str], shares: Sequence[dict[str, Any]], others: str, title: str
) -> None:
    """Writes two pictures side by side: throughput over the fair share, and times of a step.

    Args:
        path: .png, .svg or .pdf.
        shares: What `share.Share.figures` returns.
        others: The kind of work beside the executor.
        title: Above both.

    Raises:
        ConfigError: As `check_plot`.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4.5), layout="constrained")
    throughput, steps = figure.subplots(1, 2)
    figure.suptitle(title)
    for key, name, style in (("ratio", "measured", "-"), ("fair_share", "fair share", "--")):
        throughput.plot([share[key] for share in shares], style, marker="o", label=name)
    throughput.set_ylabel("throughput over that alone")
    throughput.set_ylim(bottom=0)
    for statistic, style in (("p50", "-"), ("p99", "--")):
        values = [max(share["step_ms"][statistic], 1e-3) for share in shares]
        steps.plot(values, style, marker="o", label=statistic)
    steps.set_ylabel("milliseconds of a step")
    steps.set_yscale("log")
    for axes in (throughput, steps):
        axes.set_xticks(range(len(shares)), [str(share["busy"]) for share in shares])
        axes.set_xlabel(others)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path)


def _label(run: dict[str, Any]) -> str:
    return str(run["load"] if run["concurrency"] is None else run["concurrency"])


def _draw_latency(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    lines = {"first_frame_ms": "first frame", "inter_chunk_ms": "between chunks"}
    for (key, name), color in zip(lines.items(), ("tab:blue", "tab:orange"), strict=True):
        if runs[0][key] is None:
            continue
        for statistic, style in (("p50", "-"), ("p99", "--")):
            values = [max(run[key][statistic], 1e-3) for run in runs]  # the axis has no zero
            axes.plot(values, style, marker="o", color=color, label=f"{name}, {statistic}")
    axes.set_ylabel("milliseconds")
    axes.set_yscale("log")
    axes.set_title("latency")


def _draw_throughput(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    axes.plot(
        [run["frames_per_second"] for run in runs], "-", marker="o", label="codec frames/s, all"
    )
    axes.set_ylabel("codec frames per second")
    axes.set_ylim(bottom=0)
    axes.set_title("throughput")
