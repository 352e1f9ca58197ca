"""Figures from outcomes: ours in codec frames and seconds of audio, and CSV in the fork's columns.

The fork counts flat tokens, `codebooks` per codec frame. Its columns have the fork's definitions,
for comparison.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ttsrt_rt.bench.figures import STATISTICS, Figures
from ttsrt_rt.bench.listener import listener_figures
from ttsrt_rt.bench.load import Outcome

__all__ = [
    "Measurement",
    "csv_columns",
    "csv_text",
    "real_time",
    "summarize",
]

_STREAMING = (
    "time_to_first_token(ms)",
    "inter_token_latency(ms)",
    "user_tokens_per_second(tokens/sec/user)",
)
_REAL_TIME = ("x_real_time", "rtf", "p50_stream_x_real_time", "p50_stream_rtf")


@dataclass(frozen=True)
class Measurement:
    """One run of all samples.

    Attributes:
        load: "concurrency 4", "rate 2.5/s" or "all at once".
        concurrency: Of a closed loop, otherwise None.
        request_rate: Of an open loop, requests per second, otherwise None.
        is_streaming: Whether events were taken one by one.
        seconds: From the first submission to the last end.
        outcomes: Of all requests, by index.
        sample_rate: Of the sound that requests make; None if they make codes alone.
    """

    load: str
    concurrency: int | None
    request_rate: float | None
    is_streaming: bool
    seconds: float
    outcomes: list[Outcome] = field(repr=False)
    sample_rate: int | None = None

    @property
    def ok(self) -> list[Outcome]:
        """Outcomes of the requests that did not fail."""
        return [outcome for outcome in self.outcomes if outcome.is_ok]


def real_time(frames: float, frame_rate: float, seconds: float) -> dict[str, float]:
    """Speed relative to real time, in both directions.

    Args:
        frames: Codec frames that were made.
        frame_rate: Codec frames per second of audio.
        seconds: The time that it took.

    Returns:
        `x_real_time`, seconds of audio per second, and `rtf`, the real-time factor: seconds per
        second of audio, or 0 if there are no frames.
    """
    audio = frames / frame_rate
    return {"x_real_time": audio / seconds, "rtf": seconds / audio if frames else 0.0}


def summarize(run: Measurement, frame_rate: float) -> dict[str, Any]:
    """Times in milliseconds, throughput in codec frames, steps and seconds of audio.

    Args:
        run: What was measured.
        frame_rate: Codec frames per second of audio.
    """
    ok = run.ok
    frames = sum(outcome.frames for outcome in ok)
    per_second = frames / run.seconds
    refused = sum(outcome.is_refused for outcome in run.outcomes)
    errors = [outcome for outcome in run.outcomes if not outcome.is_ok and not outcome.is_refused]
    return {
        "load": run.load,
        "concurrency": run.concurrency,
        "request_rate": run.request_rate,
        "streaming": run.is_streaming,
        "requests": len(run.outcomes),
        "completed": len(ok),
        "errors": len(errors),
        "refused": refused,
        "error_messages": sorted({outcome.error or "" for outcome in errors})[:10],
        "seconds": run.seconds,
        "frames": frames,
        "requests_per_second": len(ok) / run.seconds,
        "frames_per_second": per_second,
        "steps_per_second": sum(outcome.steps for outcome in ok) / run.seconds,
        **real_time(frames, frame_rate, run.seconds),
        **{f"stream_{name}": vars(value) for name, value in _streams(ok, frame_rate).items()},
        "sequence_latency_ms": vars(Figures.of(1e3 * (o.ended - o.submitted) for o in ok)),
        "first_frame_ms": vars(Figures.of(_first_frame_ms(ok))),
        "inter_chunk_ms": vars(Figures.of(_inter_chunk_ms(ok))) if run.is_streaming else None,
        "queue_ms": vars(Figures.of(1e3 * outcome.queue_seconds for outcome in ok)),
        "listener": None
        if run.sample_rate is None
        else listener_figures(ok, run.sample_rate, is_streaming=run.is_streaming),
    }


def csv_columns(is_streaming: bool) -> list[str]:
    """The fork's column names in their order, and behind them ours."""
    names = [
        "num_samples",
        "num_error_samples",
        "total_latency(ms)",
        "seq_throughput(seq/sec)",
        "token_throughput(token/sec)",
        *(f"{statistic}_sequence_latency(ms)" for statistic in STATISTICS),
        "avg_acceptance_rate(tokens/decoding steps)",
    ]
    if is_streaming:
        names += [f"{statistic}_{name}" for name in _STREAMING for statistic in STATISTICS]
    return [*names, *_REAL_TIME]


def csv_text(runs: Sequence[Measurement], codebooks: int, frame_rate: float) -> str:
    """The fork's CSV with our columns: its header, which ends with a comma, and a line per run."""
    header = "".join(f"{name}," for name in csv_columns(runs[0].is_streaming))
    lines = (
        ",".join(f"{value:.9g}" for value in _csv_row(run, codebooks, frame_rate)) for run in runs
    )
    return "\n".join([header, *lines]) + "\n"


def _csv_row(run: Measurement, codebooks: int, frame_rate: float) -> list[float]:
    ok = run.ok
    tokens = sum(outcome.frames for outcome in ok) * codebooks
    steps = sum(outcome.steps for outcome in ok)
    row: list[float] = [
        len(ok),
        len(run.outcomes) - len(ok),
        1e3 * run.seconds,
        len(ok) / run.seconds,
        tokens / run.seconds,
        *Figures.of(1e3 * (outcome.ended - outcome.submitted) for outcome in ok).values(),
        tokens / steps if steps else 0.0,
    ]
    if run.is_streaming:
        between = _inter_token_ms(ok, codebooks)
        row += Figures.of(_first_frame_ms(ok)).values()
        row += Figures.of(between).values()
        row += Figures.of(1e3 / value for value in between if value > 0).values()
    row += real_time(sum(outcome.frames for outcome in ok), frame_rate, run.seconds).values()
    row += [figures.p50 for figures in _streams(ok, frame_rate).values()]
    return row


def _streams(outcomes: Iterable[Outcome], frame_rate: float) -> dict[str, Figures]:
    """`real_time` of each request. One without frames has no real-time factor."""
    each = [real_time(o.frames, frame_rate, o.ended - o.submitted) for o in outcomes]
    return {
        "x_real_time": Figures.of(speed["x_real_time"] for speed in each),
        "rtf": Figures.of(speed["rtf"] for speed in each if speed["rtf"] > 0),
    }


def _first_frame_ms(outcomes: Iterable[Outcome]) -> list[float]:
    return [
        1e3 * (outcome.first_frame - outcome.submitted)
        for outcome in outcomes
        if outcome.first_frame is not None
    ]


def _inter_token_ms(outcomes: Iterable[Outcome], codebooks: int) -> list[float]:
    """(end - first response) / (tokens - 1) of each request, in flat tokens."""
    return [
        1e3 * (outcome.ended - outcome.first_frame) / (outcome.frames * codebooks - 1)
        for outcome in outcomes
        if outcome.first_frame is not None and outcome.frames * codebooks > 1
    ]


def _inter_chunk_ms(outcomes: Iterable[Outcome]) -> list[float]:
    """The times between the chunks of each request."""
    return [
        1e3 * (later - earlier)
        for outcome in outcomes
        for (earlier, _), (later, _) in zip(outcome.arrivals, outcome.arrivals[1:], strict=False)
    ]
