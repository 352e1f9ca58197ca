"""Figures, tables and files of a benchmark of language models."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ttsrt_rt.bench.llm import LlmBench, options_dict
from ttsrt_rt.bench.llm_times import RequestTimes, system_rate
from ttsrt_rt.bench.machine import busy_note
from ttsrt_rt.bench.spread import Ratio, Spread

__all__ = ["csv_text", "figures_of", "json_text", "main_table", "markdown", "more_table"]

_GB = 1e9
_FIGURES: dict[str, Callable[[RequestTimes], float | None]] = {
    "ttft_ms": lambda of: None if of.ttft is None else 1e3 * of.ttft,
    "ttft_text_ms": lambda of: None if of.ttft_text is None else 1e3 * of.ttft_text,
    "tpot_ms": lambda of: None if of.tpot is None else 1e3 * of.tpot,
    "latency_ms": lambda of: 1e3 * of.latency,
    "queue_ms": lambda of: 1e3 * of.queue_seconds,
    "decode_tokens_per_s": lambda of: of.decode_rate,
    "request_tokens_per_s": lambda of: of.request_rate,
    "prefill_tokens_per_s": lambda of: of.prefill_rate,
    "tokens_per_round": lambda of: of.tokens_per_round,
    "acceptance": lambda of: of.acceptance,
}
_HEADER = (
    *("Quantization", "Tokens/Second", "Memory (GB)", "Quality (BLEU)", "Speedup"),
    *("TTFT ms p50/p99", "ITL ms p50/p99"),
)
_MORE = (
    *("engine", "requests", "tokens/s of all", "tokens/s, decode", "prompt tokens/s"),
    *("TPOT ms", "of read rate", "latency ms p50/p99", "queue ms p50"),
)


def values_of(bench: LlmBench, engine: str, batch: int) -> dict[str, list[float]]:
    """The values of each figure, of all requests and iterations."""
    requests = bench.of(engine, batch)
    found = {
        name: [value for each in requests if (value := of(each)) is not None]
        for name, of in _FIGURES.items()
    }
    found["itl_ms"] = [1e3 * gap for each in requests for gap in each.itl]
    rates = [system_rate(group) for group in bench.groups(engine, batch)]
    found["system_tokens_per_s"] = [rate for rate in rates if rate is not None]
    return found


def figures_of(bench: LlmBench) -> list[dict[str, Any]]:
    """Statistics of every figure, for each engine and batch size."""
    base = bench.engines[0]["name"]
    made = []
    for batch in bench.options.sizes:
        of_base = values_of(bench, base, batch)
        for engine in bench.engines:
            values = values_of(bench, engine["name"], batch)
            ratios = {
                name: Ratio.of(values[name], of_base[name])
                for name in ("request_tokens_per_s", "system_tokens_per_s", "ttft_ms", "itl_ms")
            }
            failed = [
                each
                for each in bench.requests
                if each.engine == engine["name"] and each.batch == batch and each.error
            ]
            made.append(
                {
                    "engine": engine["name"],
                    "batch": batch,
                    "requests": len(bench.of(engine["name"], batch)),
                    "failed": len(failed),
                    "errors": sorted({each.error for each in failed})[:5],
                    "figures": {name: Spread.of(of).to_dict() for name, of in values.items()},
                    "over_the_first": {
                        name: None
                        if ratio is None
                        else {**vars(ratio), "is_different": ratio.is_different}
                        for name, ratio in ratios.items()
                    },
                }
            )
    return made


def main_table(bench: LlmBench, quality: Mapping[str, float]) -> list[list[str]]:
    """The table of the smallest batch: a header and a line for each engine."""
    batch = min(bench.options.sizes)
    base = values_of(bench, bench.engines[0]["name"], batch)["request_tokens_per_s"]
    rows = [list(_HEADER)]
    for at, engine in enumerate(bench.engines):
        values = values_of(bench, engine["name"], batch)
        rate = Spread.of(values["request_tokens_per_s"])
        ratio = Ratio.of(values["request_tokens_per_s"], base)
        bleu = quality.get(engine["name"])
        rows.append(
            [
                f"{engine['name']}: {engine['quantization']}",
                f"{rate.p50:.1f} ({rate.low:.1f} to {rate.high:.1f})",
                f"{engine['memory_bytes'] / _GB:.2f}",
                "-" if bleu is None else f"{bleu:.3f}",
                "1" if at == 0 else "-" if ratio is None else ratio.text(),
                _pair(values["ttft_ms"]),
                _pair(values["itl_ms"]),
            ]
        )
    return rows


def more_table(bench: LlmBench) -> list[list[str]]:
    """A line for each engine and number of requests at once."""
    rows = [list(_MORE)]
    for batch in bench.options.sizes:
        for engine in bench.engines:
            values = values_of(bench, engine["name"], batch)
            whole = Spread.of(values["system_tokens_per_s"])
            rows.append(
                [
                    engine["name"],
                    str(batch),
                    f"{whole.p50:.1f} ({whole.low:.1f} to {whole.high:.1f})",
                    f"{Spread.of(values['decode_tokens_per_s']).p50:.1f}",
                    f"{Spread.of(values['prefill_tokens_per_s']).p50:.0f}",
                    f"{Spread.of(values['tpot_ms']).p50:.2f}",
                    _share(engine, values["tpot_ms"], bench.read_gb_per_s),
                    _pair(values["latency_ms"]),
                    f"{Spread.of(values['queue_ms']).p50:.1f}",
                ]
            )
    return rows


def _share(engine: Mapping[str, Any], tpot_ms: Sequence[float], rates: Sequence[float]) -> str:
    """The weights of a step over its time, as a part of the rate that memory is read at."""
    tpot, rate = Spread.of(tpot_ms).p50, Spread.of(rates).p50
    if tpot <= 0 or rate <= 0:
        return "-"
    return f"{100 * engine['step_bytes'] / (1e6 * tpot) / rate:.0f} %"


def _rounds(bench: LlmBench) -> list[str]:
    """What speculation did, a line for each engine and number of requests where there was some."""
    found = []
    for batch in bench.options.sizes:
        for engine in bench.engines:
            values = values_of(bench, engine["name"], batch)
            rounds, right = Spread.of(values["tokens_per_round"]), Spread.of(values["acceptance"])
            if rounds.n:
                found.append(
                    f"{engine['name']}, {batch} requests: {rounds.p50:.2f} tokens a round, "
                    f"{100 * right.p50:.0f} % of guesses right (medians)."
                )
    return found


def _pair(values: Sequence[float]) -> str:
    of = Spread.of(values)
    return f"{of.p50:.1f} / {of.p99:.1f}" if of.n else "-"


def markdown(bench: LlmBench, quality: Mapping[str, float], notes: Sequence[str]) -> str:
    """The report as a page."""
    options, machine = bench.options, bench.machine
    rates = Spread.of(bench.read_gb_per_s)
    arrivals = "all requests of a group at once"
    if options.concurrency is not None:
        arrivals = f"{options.concurrency} requests at a time"
    elif options.request_rate is not None:
        arrivals = f"{options.request_rate:g} requests a second, at random times"
    lines = [
        "# Language models side by side",
        "",
        f"{machine['cpu']}, {machine['cores']} cores; ttsrt_rt {machine['ttsrt_rt']}, "
        f"{machine['time']}. {options.iterations} iterations after {options.warmup} that don't "
        f"count; {options.output_len} tokens a request, as ids that end a text are ordinary ones "
        f"(`ignore_eos`); {arrivals}. Engines take turns within an iteration.",
        "",
        f"Reading of memory meanwhile: {rates.p50:.1f} GB/s ({rates.min:.1f} to {rates.max:.1f}).",
        "",
        *_markdown_table(main_table(bench, quality)),
        "",
        "Tokens/Second and Speedup are medians with 95 % intervals, from submit to the last token "
        f"with {min(options.sizes)} at once; speedup is over the first line. Memory is what an "
        "engine plans; of transformers, its weights.",
        "",
        "Of read rate: the weights of a step (all but the table of words) over TPOT, as a part of "
        "that rate; small models are in caches.",
        "",
        *_markdown_table(more_table(bench)),
    ]
    for line in _rounds(bench):
        lines += ["", line]
    busy = busy_note(bench.other_work, during="the iterations")
    return "\n".join([*lines, *([""] if notes or busy else []), *notes, *([busy] if busy else [])])


def _markdown_table(rows: Sequence[Sequence[str]]) -> list[str]:
    marks = ["---", *["---:"] * (len(rows[0]) - 1)]
    return [f"| {' | '.join(row)} |" for row in [rows[0], marks, *rows[1:]]]


def json_text(bench: LlmBench, quality: Mapping[str, float], notes: Sequence[str]) -> str:
    """Everything: what was run, on what, all figures, and all requests with the times of their
    events.
    """
    return json.dumps(
        {
            "options": {**options_dict(bench.options), "ignore_eos": True},
            "machine": bench.machine,
            "engines": bench.engines,
            "read_gb_per_s": bench.read_gb_per_s,
            "other_work": bench.other_work,
            "bleu": dict(quality),
            "notes": list(notes),
            "figures": figures_of(bench),
            "requests": [vars(each) for each in bench.requests],
        },
        indent=1,
    )


def csv_text(bench: LlmBench) -> str:
    """A line for each request."""
    columns = ("engine", "batch", "iteration", "prompt", "kind", "prompt_tokens")
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*columns, "tokens", *_FIGURES, "finish_reason", "error"])
    for each in bench.requests:
        found = [of(each) for of in _FIGURES.values()]
        shown = ["" if value is None else f"{value:.6g}" for value in found]
        head = [getattr(each, name) for name in columns]
        writer.writerow([*head, each.tokens, *shown, each.finish_reason, each.error])
    return file.getvalue()
