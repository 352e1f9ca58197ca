"""Draws latency and throughput over the load. Only this module imports matplotlib, an extra."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["check_plot", "save_figure", "write_plot", "write_share_plot"]

_ENDINGS = (".png", ".svg", ".pdf")


def check_plot(path: str | os.PathLike[str]) -> None:
    """Checks, before a long run, that a plot can be written.

    Raises:
        ConfigError: matplotlib is absent, or the ending is not known.
    """
    if Path(path).suffix.lower() not in _ENDINGS:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(_ENDINGS)}")
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "plot: expected matplotlib, which isn't installed: pip install matplotlib"
        ) from error


def write_plot(path: str | os.PathLike[str], runs: Sequence[dict[str, Any]], title: str) -> None:
    """Writes pictures side by side: latency and throughput of each run, with their spread, and
    what listeners heard where there is sound.

    Args:
        path: .png, .svg or .pdf.
        runs: What `report.summarize` gives.
        title: Above all.

    Raises:
        ConfigError: As `check_plot`.
    """
    check_plot(path)
    from matplotlib.figure import Figure

    draws = [_draw_latency, _draw_throughput]
    if runs[0]["listener"] is not None:
        draws.append(_draw_listener)
    figure = Figure(figsize=(5.5 * len(draws), 5.5), layout="constrained")
    pictures = figure.subplots(1, len(draws))
    figure.suptitle(title)
    is_closed = runs[0]["concurrency"] is not None
    for axes, draw in zip(pictures, draws, strict=True):
        draw(axes, runs)
        axes.set_xticks(range(len(runs)), [_label(run) for run in runs])
        axes.set_xlabel("requests in flight" if is_closed else "load")
        _finish(axes)
    save_figure(figure, path)


def write_share_plot(
    path: str | os.PathLike[str], shares: Sequence[dict[str, Any]], others: str, title: str
) -> None:
    """Writes two pictures side by side: throughput over the fair share, and times of a step.

    Bands reach from the lowest repeat to the highest, and from the median step to the slowest.

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

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    throughput, steps = figure.subplots(1, 2)
    figure.suptitle(title)
    alone = max(shares[0]["frames_per_second"], 1e-9)
    for key, name, style in (("ratio", "measured", "-"), ("fair_share", "fair share", "--")):
        throughput.plot([share[key] for share in shares], style, marker="o", label=name)
    throughput.fill_between(
        range(len(shares)),
        [share["lowest"] / alone for share in shares],
        [share["highest"] / alone for share in shares],
        alpha=0.2,
        label="lowest to highest repeat",
    )
    throughput.set_ylabel("throughput over that alone")
    throughput.set_ylim(bottom=0)
    _draw_statistics(steps, [share["step_ms"] for share in shares], "a step", "tab:blue")
    steps.set_ylabel("milliseconds of a step")
    _use_log_scale(steps)
    for axes in (throughput, steps):
        axes.set_xticks(range(len(shares)), [str(share["busy"]) for share in shares])
        axes.set_xlabel(others)
        _finish(axes)
    save_figure(figure, path)


def save_figure(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Writes a figure whole; its format is the ending of its name."""
    with replacing(path) as file:
        figure.savefig(file, format=Path(path).suffix.lower().removeprefix("."))


def _label(run: dict[str, Any]) -> str:
    return str(run["load"] if run["concurrency"] is None else run["concurrency"])


def _finish(axes: Axes) -> None:
    """Grid, and a legend below the axes, where it hides no data."""
    axes.grid(alpha=0.3)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=2, frameon=False)


def _use_log_scale(axes: Axes) -> None:
    """A logarithmic axis with plain numbers: 0.5, 20, 300."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    marks = (1.0,) if high / low > 1000 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=marks))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, place: ""))


def _draw_statistics(
    axes: Axes,
    figures: Sequence[dict[str, float]],
    name: str,
    color: str,
    *,
    high: str = "p99",
) -> None:
    """Lines of the median and a high percentile, and a band from the least to the largest."""

    def values(statistic: str) -> list[float]:
        return [max(each[statistic], 1e-3) for each in figures]  # a logarithmic axis has no zero

    for statistic, style in (("p50", "-"), (high, "--")):
        axes.plot(values(statistic), style, marker="o", color=color, label=f"{name}, {statistic}")
    least = values("min") if "min" in figures[0] else values("p50")
    axes.fill_between(range(len(figures)), least, values("max"), color=color, alpha=0.15)


def _draw_latency(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    lines = {"first_frame_ms": "first frame", "inter_chunk_ms": "between chunks"}
    for (key, name), color in zip(lines.items(), ("tab:blue", "tab:orange"), strict=True):
        if runs[0][key] is not None:
            _draw_statistics(axes, [run[key] for run in runs], name, color)
    axes.set_ylabel("milliseconds; bands: least to largest")
    axes.set_title("latency")
    _use_log_scale(axes)


def _draw_throughput(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    """Seconds of audio per second: of all requests together, and of each; 1 is real time."""
    axes.plot([run["x_real_time"] for run in runs], "-", marker="o", label="all requests")
    _draw_statistics_of_streams(axes, runs)
    axes.axhline(1.0, color="black", linestyle=":", label="real time")
    axes.set_ylabel("seconds of audio per second")
    axes.set_ylim(bottom=0)
    axes.set_title("throughput")


def _draw_listener(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    """First sound and pauses between chunks of it; bars: how long playback stood still."""
    heard = [run["listener"] for run in runs]
    lines = {"first_audio_ms": "first sound", "audio_gap_ms": "between chunks"}
    for (key, name), color in zip(lines.items(), ("tab:blue", "tab:orange"), strict=True):
        if heard[0][key] is not None:
            _draw_statistics(axes, [each[key] for each in heard], name, color, high="p95")
    if heard[0]["underruns"] is not None:
        bars = axes.twinx()
        seconds = [each["underruns"]["seconds"] for each in heard]
        bars.bar(range(len(runs)), seconds, width=0.25, color="tab:red", alpha=0.3)
        bars.set_ylabel("seconds of underruns, all streams (bars)")
        bars.set_ylim(0, max(1.0, 1.1 * max(seconds)))
    axes.set_ylabel("milliseconds; bands: least to largest")
    axes.set_title("listener")
    _use_log_scale(axes)


def _draw_statistics_of_streams(axes: Axes, runs: Sequence[dict[str, Any]]) -> None:
    each = [run["stream_x_real_time"] for run in runs]
    axes.plot([of["p50"] for of in each], "--", marker="o", label="each request, p50")
    axes.fill_between(
        range(len(runs)),
        [of["min"] for of in each],
        [of["max"] for of in each],
        color="tab:orange",
        alpha=0.15,
        label="each request, least to largest",
    )
