"""What listeners hear: playback by the book, and against a player that plays sample by sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ttsrt_rt as rt
from ttsrt_rt.bench.listener import listen, listener_figures
from ttsrt_rt.bench.load import Load, Outcome, run_closed, run_open
from ttsrt_rt.bench.report import Measurement, summarize

from .fakes import CODEBOOKS, FakeClock, FakeHandle

RATE = 100  # samples of a second

Sounds = list[tuple[float, int]]


@pytest.mark.parametrize(
    ("sounds", "underruns", "stalled"),
    [
        ([], 0, 0.0),
        ([(5.0, 100)], 0, 0.0),  # late, but there is nothing to wait for once it plays
        ([(1.0, 100), (2.0, 100), (3.0, 100)], 0, 0.0),  # each just as the one before ends
        ([(1.0, 100), (2.5, 100), (3.0, 100)], 1, 0.5),
        ([(1.0, 100), (2.5, 100), (4.0, 100)], 2, 1.0),
        ([(1.0, 400), (1.1, 10), (5.0, 100)], 0, 0.0),  # what came early makes up for it
        ([(1.0, 400), (1.1, 10), (5.2, 100)], 1, 0.1),
    ],
)
def test_playback(sounds: Sounds, underruns: int, stalled: float) -> None:
    heard = listen(sounds, RATE)
    assert heard.underruns == underruns
    assert heard.stalled_seconds == pytest.approx(stalled)
    assert len(heard.gaps) == max(len(sounds) - 1, 0)


def played_tick_by_tick(sounds: Sounds) -> tuple[int, int]:
    """A player with a clock of ticks, one sample each: underruns, and ticks of silence in them."""
    tick, waiting, left = round(sounds[0][0]), list(sounds), 0
    underruns = silent = 0
    is_silent = False
    while waiting or left:
        while waiting and waiting[0][0] <= tick:
            left += waiting.pop(0)[1]
        if left:
            left, is_silent = left - 1, False
        elif waiting:
            underruns += not is_silent
            is_silent = True
            silent += 1
        tick += 1
    return underruns, silent


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 20)), min_size=1, max_size=30))
def test_playback_is_that_of_a_player(pauses: list[tuple[int, int]]) -> None:
    moment, sounds = 7, []
    for pause, samples in pauses:
        moment += pause
        sounds.append((float(moment), samples))
    underruns, silent = played_tick_by_tick(sounds)
    heard = listen(sounds, 1)
    assert (heard.underruns, heard.stalled_seconds) == (underruns, silent)
    waited = [(max(moment, sounds[0][0] + silent), samples) for moment, samples in sounds]
    assert listen(waited, 1).underruns == 0  # a player that waits as long at first never stops


def streaming(clock: FakeClock, chunks: Sounds) -> FakeHandle:
    """A request whose chunks of sound come after pauses of the clock."""

    def events() -> Iterator[rt.Event]:
        for index, (pause, samples) in enumerate(chunks):
            clock.advance(pause)
            yield rt.Event(
                codes=np.zeros((int(samples > 0), CODEBOOKS), np.int32),
                first_frame=index,
                is_last=index == len(chunks) - 1,
                finish_reason=None,
                audio=np.zeros(samples, np.float32) if samples else None,
            )

    samples = sum(samples for _, samples in chunks)
    result = rt.Result(
        codes=np.zeros((len(chunks), CODEBOOKS), np.int32),
        finish_reason="stop",
        metrics=rt.Metrics(steps=len(chunks), first_frame_seconds=0.1, first_audio_seconds=0.3),
        audio=np.zeros(samples, np.float32),
        sample_rate=RATE,
    )
    return FakeHandle(result, events())


def test_an_open_loop_with_sound() -> None:
    """Two streams by the clock: the second one stops twice."""
    clock = FakeClock()
    outcomes: list[Outcome] = []
    chunks = [
        [(0.5, 100), (0.5, 100), (0.25, 0)],  # the last event has no sound
        [(0.25, 50), (1.0, 50), (0.75, 50)],
    ]
    load = Load(
        lambda request: streaming(clock, chunks[request.seed]),
        outcomes.append,
        is_streaming=True,
        clock=clock,
    )
    run_closed(load, [rt.Request(seed=0), rt.Request(seed=1)], 1)
    assert outcomes[0].sounds == [(0.5, 100), (1.0, 100)]
    assert [outcome.samples for outcome in outcomes] == [200, 150]
    assert [outcome.first_audio for outcome in outcomes] == [0.5, 1.5]
    figures = listener_figures(outcomes, RATE, is_streaming=True)
    assert (figures["streams"], figures["audio_seconds"]) == (2, 3.5)
    assert (figures["first_audio_ms"]["p50"], figures["first_audio_ms"]["p95"]) == (250, 500)
    assert figures["audio_gap_ms"]["max"] == 1000 and figures["audio_gap_ms"]["min"] == 500
    assert figures["underruns"] == {
        "count": 2,
        "streams": 1,
        "seconds": 0.75,
        "longest_seconds": 0.75,
    }
    assert figures["rtf"]["max"] == pytest.approx(2.0 / 1.5)
    run = Measurement("rate 1/s", None, 1.0, True, 3.25, outcomes, RATE)
    assert summarize(run, 5.0)["listener"] == figures
    silent = Measurement("rate 1/s", None, 1.0, True, 3.25, outcomes)
    assert summarize(silent, 5.0)["listener"] is None


def test_without_streaming_the_library_says_when_sound_began() -> None:
    clock = FakeClock()
    outcomes: list[Outcome] = []
    load = Load(lambda request: streaming(clock, [(0.5, 100)]), outcomes.append, clock=clock)
    run_open(load, [rt.Request()], [2.0], 1)
    assert outcomes[0].first_audio == 2.3 and outcomes[0].sounds == []
    figures = listener_figures(outcomes, RATE, is_streaming=False)
    assert figures["first_audio_ms"]["p50"] == pytest.approx(300)
    assert figures["audio_gap_ms"] is None and figures["underruns"] is None


def test_nothing_was_heard() -> None:
    figures = listener_figures([Outcome(0, 0.0, ended=1.0)], RATE, is_streaming=True)
    assert figures["streams"] == 0 and figures["underruns"]["count"] == 0
    assert figures["first_audio_ms"]["p95"] == 0 and figures["rtf"]["p50"] == 0


def test_frames_of_a_codec_are_counted_by_samples() -> None:
    outcomes: list[Outcome] = []
    result = rt.Result(
        codes=np.zeros((0, CODEBOOKS), np.int32),
        finish_reason="stop",
        audio=np.zeros(80, np.float32),
        sample_rate=RATE,
    )
    load = Load(lambda request: FakeHandle(result), outcomes.append, samples_per_frame=16)
    run_closed(load, [rt.Request()], 1)
    assert outcomes[0].frames == 5
