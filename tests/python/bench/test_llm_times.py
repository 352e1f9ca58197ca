"""The figures of one request, and statistics with intervals."""

from __future__ import annotations

import dataclasses

import pytest

from ttsrt_rt.bench.llm_times import RequestTimes, system_rate
from ttsrt_rt.bench.spread import Ratio, Spread

REQUEST = RequestTimes(
    engine="e",
    batch=1,
    iteration=0,
    prompt="p",
    kind="chat",
    prompt_tokens=90,
    submitted=10.0,
    queue_seconds=0.5,
    events=((12.0, 1), (12.5, 2), (13.5, 1)),
    first_text=12.5,
    ended=14.0,
    ids=(1, 2, 3, 4),
    text="abcd",
    finish_reason="length",
    tokenizing_seconds=0.25,
)


def test_definitions() -> None:
    """Worked by hand: 4 tokens in 3 events from 12.0 to 13.5, submitted at 10.0."""
    assert REQUEST.tokens == 4
    assert REQUEST.ttft == 2.0
    assert REQUEST.ttft_text == 2.75
    assert REQUEST.itl == [0.5, 1.0]
    assert REQUEST.tpot == pytest.approx(1.5 / 3)
    assert REQUEST.latency == 4.0
    assert REQUEST.decode_rate == pytest.approx(3 / 1.5)
    assert REQUEST.request_rate == pytest.approx(4 / 3.5)
    assert REQUEST.prefill_rate == pytest.approx(90 / (2.0 - 0.5 - 0.5))


def test_rounds_of_guessed_ids() -> None:
    assert (REQUEST.tokens_per_round, REQUEST.acceptance) == (None, None)
    guessed = dataclasses.replace(REQUEST, rounds=2, drafted=4, accepted=3)
    assert (guessed.tokens_per_round, guessed.acceptance) == (2.0, 0.75)


def test_what_has_no_figure() -> None:
    none = dataclasses.replace(REQUEST, events=(), first_text=None)
    assert (none.ttft, none.ttft_text, none.tpot, none.itl) == (None, None, None, [])
    assert (none.decode_rate, none.request_rate, none.prefill_rate) == (None, None, None)
    one = dataclasses.replace(REQUEST, events=((12.0, 1),))
    assert (one.tpot, one.decode_rate, one.prefill_rate) == (None, None, None)
    assert one.request_rate == 0.5
    # One event with several tokens has no time between tokens.
    assert dataclasses.replace(REQUEST, events=((12.0, 4),)).tpot is None


def test_a_group_counts_from_its_first_submit_to_its_last_end() -> None:
    other = dataclasses.replace(REQUEST, submitted=9.0, ended=11.0)
    assert system_rate([REQUEST, other]) == pytest.approx(8 / 5)
    assert system_rate([]) is None


def test_statistics() -> None:
    of = Spread.of([4.0, 1.0, 2.0, 3.0])
    assert (of.n, of.mean, of.min, of.max, of.p50) == (4, 2.5, 1.0, 4.0, 2.5)
    assert of.std == pytest.approx(1.2909944)
    assert of.p90 == pytest.approx(3.7)
    assert 1.0 <= of.low <= of.p50 <= of.high <= 4.0
    assert Spread.of([4.0, 1.0, 2.0, 3.0]) == of
    assert Spread.of([]).n == 0
    single = Spread.of([7.0])
    assert (single.std, single.low, single.high) == (0.0, 7.0, 7.0)


def test_a_ratio_says_whether_there_is_a_difference() -> None:
    base = [10.0, 10.1, 9.9, 10.0, 10.2, 9.8]
    faster = Ratio.of([2 * each for each in base], base)
    assert faster is not None and faster.value == pytest.approx(2.0)
    assert faster.is_different and 1.9 < faster.low <= 2.0 <= faster.high < 2.1
    assert faster.text().startswith("2.00x (")
    same = Ratio.of(base, list(reversed(base)))
    assert same is not None and not same.is_different
    assert same.text().endswith("no difference")
    assert Ratio.of([], base) is None
    assert Ratio.of(base, [0.0]) is None


def test_the_interval_of_the_median_covers_it() -> None:
    """In 200 samples of 30 values, 95 % intervals miss the true median in about 10."""
    import numpy as np

    random = np.random.default_rng(5)
    missed = 0
    for _ in range(200):
        of = Spread.of(random.normal(3.0, 1.0, 30).tolist())
        missed += not of.low <= 3.0 <= of.high
    assert missed <= 24
