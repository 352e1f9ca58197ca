"""Figures: the fork's percentile, its CSV to the letter, and ours."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttsrt_rt.bench.figures import Figures, percentile
from ttsrt_rt.bench.load import Outcome
from ttsrt_rt.bench.report import Measurement, csv_text, summarize

PLAIN_HEADER = (
    "num_samples,num_error_samples,total_latency(ms),seq_throughput(seq/sec),"
    "token_throughput(token/sec),avg_sequence_latency(ms),max_sequence_latency(ms),"
    "min_sequence_latency(ms),p99_sequence_latency(ms),p90_sequence_latency(ms),"
    "p50_sequence_latency(ms),avg_acceptance_rate(tokens/decoding steps),"
)
OUR_HEADER = "x_real_time,rtf,p50_stream_x_real_time,p50_stream_rtf,"
STREAMING_HEADER = (
    PLAIN_HEADER + "avg_time_to_first_token(ms),max_time_to_first_token(ms),"
    "min_time_to_first_token(ms),p99_time_to_first_token(ms),p90_time_to_first_token(ms),"
    "p50_time_to_first_token(ms),avg_inter_token_latency(ms),max_inter_token_latency(ms),"
    "min_inter_token_latency(ms),p99_inter_token_latency(ms),p90_inter_token_latency(ms),"
    "p50_inter_token_latency(ms),avg_user_tokens_per_second(tokens/sec/user),"
    "max_user_tokens_per_second(tokens/sec/user),min_user_tokens_per_second(tokens/sec/user),"
    "p99_user_tokens_per_second(tokens/sec/user),p90_user_tokens_per_second(tokens/sec/user),"
    "p50_user_tokens_per_second(tokens/sec/user),"
)


def make_run(is_streaming: bool) -> Measurement:
    """Two requests that went well, one that failed, one refused; 2 s."""
    first = Outcome(0, 0.0, ended=1.0, first_frame=0.2, frames=5, steps=5, queue_seconds=0.1)
    first.arrivals = [(0.2, 1), (0.5, 2), (1.0, 2)]
    second = Outcome(1, 0.5, ended=2.0, first_frame=1.0, frames=10, steps=10)
    second.arrivals = [(1.0, 5), (2.0, 5)]
    failed = Outcome(2, 0.0, ended=0.5, frames=3, error="broke", finish_reason="error")
    refused = Outcome(3, 0.0, is_refused=True, error="the queue is full")
    outcomes = [first, second, failed, refused]
    return Measurement("concurrency 2", 2, None, is_streaming, 2.0, outcomes)


def test_percentiles_are_the_forks() -> None:
    assert percentile([], 99) == 0.0
    assert percentile([3.0], 50) == 3.0
    assert [percentile([4.0, 1.0, 3.0, 2.0], p) for p in (50, 90, 99)] == [2.0, 4.0, 4.0]
    hundred = [float(value) for value in range(1, 101)]
    assert [percentile(hundred, p) for p in (50, 90, 99)] == [50.0, 90.0, 99.0]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=300), st.sampled_from([50, 90, 99]))
def test_a_percentile_is_an_entry(values: list[float], percent: int) -> None:
    got = percentile(values, percent)
    assert got == sorted(values)[math.ceil(percent / 100 * len(values)) - 1]
    assert sum(value <= got for value in values) >= percent / 100 * len(values) - 1e-9


def test_the_csv_without_streaming() -> None:
    header, line, end = csv_text([make_run(False)], codebooks=8, frame_rate=5.0).split("\n")
    assert header == PLAIN_HEADER + OUR_HEADER and end == ""
    values = [float(value) for value in line.split(",")]
    # 15 frames of 8 codes in 2 s; latencies 1000 and 1500 ms
    assert values[:12] == [2, 2, 2000, 1, 60, 1250, 1500, 1000, 1500, 1500, 1000, 8]
    # 3 s of audio in 2 s: the first request made 1 s of audio in 1 s, the second 2 s in 1.5 s
    assert values[12:] == pytest.approx([1.5, 2 / 3, 1.0, 0.75], rel=1e-6)


def test_the_csv_of_streaming() -> None:
    header, line, _ = csv_text([make_run(True)], codebooks=8, frame_rate=5.0).split("\n")
    assert header == STREAMING_HEADER + OUR_HEADER
    assert len(line.split(",")) == len(header.split(",")) - 1  # the header ends with a comma
    values = [float(value) for value in line.split(",")][12:]
    between = sorted([800 / 39, 1000 / 79])
    assert values[:6] == [350, 500, 200, 500, 500, 200]
    expected = [sum(between) / 2, between[1], between[0], between[1], between[1], between[0]]
    assert values[6:12] == pytest.approx(expected)
    rates = sorted(1e3 / value for value in between)
    expected = [sum(rates) / 2, rates[1], rates[0], rates[1], rates[1], rates[0]]
    assert values[12:18] == pytest.approx(expected)
    assert values[18:] == pytest.approx([1.5, 2 / 3, 1.0, 0.75], rel=1e-6)


def test_a_line_for_each_run() -> None:
    assert csv_text([make_run(True)] * 3, codebooks=8, frame_rate=5.0).count("\n") == 4


def test_our_figures() -> None:
    figures = summarize(make_run(True), frame_rate=5.0)
    assert (figures["completed"], figures["errors"], figures["refused"]) == (2, 1, 1)
    assert figures["error_messages"] == ["broke"]
    assert figures["frames_per_second"] == 7.5 and figures["requests_per_second"] == 1.0
    assert figures["x_real_time"] == 1.5 and figures["rtf"] == pytest.approx(2 / 3)
    assert figures["steps_per_second"] == 7.5
    assert figures["stream_x_real_time"]["max"] == pytest.approx(2 / 1.5)
    assert figures["stream_rtf"]["min"] == pytest.approx(1.5 / 2)
    assert figures["first_frame_ms"]["p50"] == 200
    assert figures["inter_chunk_ms"]["max"] == 1000 and figures["inter_chunk_ms"]["p50"] == 500
    assert figures["queue_ms"]["max"] == 100
    assert summarize(make_run(False), 5.0)["inter_chunk_ms"] is None


def test_nothing_went_well() -> None:
    run = make_run(True)
    lost = Measurement("all at once", None, None, True, 2.0, run.outcomes[2:])
    figures = summarize(lost, 5.0)
    assert figures["x_real_time"] == 0 and figures["rtf"] == 0
    assert figures["frames_per_second"] == 0 and figures["first_frame_ms"]["p99"] == 0
    assert csv_text([lost], 8, 5.0).split("\n")[1].startswith("0,2,2000,0,0,0,")
    assert Figures.of([]).values() == [0.0] * 6
