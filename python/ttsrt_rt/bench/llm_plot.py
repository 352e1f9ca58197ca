"""Draws a benchmark of language models: rates, first tokens, gaps between tokens, and memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.bench.llm import LlmBench
from ttsrt_rt.bench.llm_report import values_of
from ttsrt_rt.bench.plot import save_figure
from ttsrt_rt.bench.spread import Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["write_llm_plot"]

_GB = 1e9
_MAX_NAME = 28


def write_llm_plot(
    path: str | os.PathLike[str], bench: LlmBench, quality: Mapping[str, float]
) -> None:
    """Writes four pictures: tokens a second over the requests at once, the time to the first token,
    the distribution of times between tokens, and memory with rates.

    Args:
        path: .png, .svg or .pdf.
        bench: what was measured.
        quality: BLEU by engine; may be empty.

    Raises:
        ConfigError: matplotlib is missing, or the file can't be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    rates, first, gaps, memory = figure.subplots(2, 2).flat
    figure.suptitle(f"{bench.machine['cpu']}, {bench.options.output_len} tokens a request")
    _bars(rates, bench, "system_tokens_per_s", lambda of: (of.p50, of.low, of.high))
    rates.set_ylabel("tokens a second of all requests")
    rates.set_title("throughput: medians, 95 % intervals")
    _bars(first, bench, "ttft_ms", lambda of: (of.p50, of.p50, of.p99))
    first.set_ylabel("milliseconds")
    first.set_title("first token: medians, lines to p99")
    _draw_gaps(gaps, bench)
    _draw_memory(memory, bench, quality)
    figure.legend(
        *rates.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False
    )
    save_figure(figure, path)


def _bars(
    axes: Axes, bench: LlmBench, name: str, shown: Callable[[Spread], tuple[float, float, float]]
) -> None:
    """Bars of a figure, a group for each number of requests, with a line from low to high."""
    sizes, engines = bench.options.sizes, bench.engines
    width = 0.8 / len(engines)
    for at, engine in enumerate(engines):
        spreads = [shown(Spread.of(values_of(bench, engine["name"], size)[name])) for size in sizes]
        heights = np.array([each[0] for each in spreads])
        lines = np.array(
            [[each[0] - each[1] for each in spreads], [each[2] - each[0] for each in spreads]]
        )
        places = np.arange(len(sizes)) + (at - (len(engines) - 1) / 2) * width
        axes.bar(places, heights, 0.92 * width, label=_short(engine), color=f"C{at}")
        axes.errorbar(places, heights, np.maximum(lines, 0), fmt="none", ecolor="black", capsize=3)
    axes.set_xticks(range(len(sizes)), [str(size) for size in sizes])
    axes.set_xlabel("requests at once")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.3, axis="y")


def _draw_gaps(axes: Axes, bench: LlmBench) -> None:
    """The part of gaps up to each length, with the fewest and with the most requests at once."""
    sizes = bench.options.sizes
    styles = {min(sizes): "-"} if len(sizes) == 1 else {min(sizes): "-", max(sizes): "--"}
    for at, engine in enumerate(bench.engines):
        for size, style in styles.items():
            gaps = np.sort(values_of(bench, engine["name"], size)["itl_ms"])
            if gaps.size:
                parts = np.arange(1, gaps.size + 1) / gaps.size
                axes.plot(gaps, parts, style, color=f"C{at}")
    told = ", ".join(
        f"{'solid' if style == '-' else 'dashed'}: {size} at once" for size, style in styles.items()
    )
    axes.set_xscale("log")
    _plain_marks(axes)
    axes.set_xlabel("milliseconds between tokens")
    axes.set_ylabel("part of the gaps")
    axes.set_title(f"gaps between tokens ({told})")
    axes.grid(alpha=0.3, which="both")


def _draw_memory(axes: Axes, bench: LlmBench, quality: Mapping[str, float]) -> None:
    """A bar of memory for each engine, with its rate and its BLEU beside it."""
    batch = min(bench.options.sizes)
    sizes = [engine["memory_bytes"] / _GB for engine in bench.engines]
    places = np.arange(len(sizes))
    axes.barh(places, sizes, color=[f"C{at}" for at in range(len(sizes))])
    for at, engine in enumerate(bench.engines):
        rate = Spread.of(values_of(bench, engine["name"], batch)["request_tokens_per_s"]).p50
        text = f"{rate:.1f} tokens/s"
        if engine["name"] in quality:
            text += f", BLEU {quality[engine['name']]:.3f}"
        axes.annotate(text, (sizes[at], at), xytext=(6, 0), textcoords="offset points", va="center")
    axes.set_yticks(places, [_short(engine) for engine in bench.engines])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.7 * max([*sizes, 1e-9]))
    axes.set_xlabel("GB planned (of transformers, its weights)")
    axes.set_title(f"memory; rates of {batch} at once")
    axes.grid(alpha=0.3, axis="x")


def _plain_marks(axes: Axes) -> None:
    """Numbers as 0.5, 20, 300 on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, place: f"{value:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda value, place: ""))


def _short(engine: Mapping[str, Any]) -> str:
    name = str(engine["name"])
    return name if len(name) <= _MAX_NAME else f"...{name[3 - _MAX_NAME :]}"
