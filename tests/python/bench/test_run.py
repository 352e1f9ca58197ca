"""`bench run` on tiny engines: every load, every output, and what the figures must agree on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.bench.prepare import DatasetOptions, Lengths, write_dataset
from ttsrt_rt.bench.requests import RequestOptions
from ttsrt_rt.bench.run import RunOptions, run_dataset

FRAMES = 6


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """Seven requests for the tiny 2503 engine."""
    options = DatasetOptions(
        samples=7,
        num_vocabs=4,
        audio_vocab_size=96,
        text_vocab_size=30,
        input_len=Lengths(12, 4, 4, 20),
        context_len=Lengths(9, 2, 5, 12),
        output_len=Lengths(FRAMES, 0, FRAMES, FRAMES),
    )
    return write_dataset(tmp_path / "samples.json", options)


@pytest.fixture
def tiny(engine_of: Callable[[str], Path]) -> Path:
    return engine_of("tiny2503")


def test_closed_loops_side_by_side(tiny: Path, samples: Path) -> None:
    shown: list[tuple[str, int, int]] = []
    options = RunOptions(concurrency=(1, 3), streaming=True, executor={"device": "cpu"})
    report = run_dataset(
        tiny, samples, options, progress=lambda load, done, of: shown.append((load, done, of))
    )
    assert shown == [(f"concurrency {n}", i, 7) for n in (1, 3) for i in range(1, 8)]
    assert [run.concurrency for run in report.runs] == [1, 3]
    for run in report.runs:
        assert [outcome.index for outcome in run.outcomes] == list(range(7))
        for outcome in run.outcomes:
            assert outcome.is_ok and outcome.frames == outcome.steps == FRAMES
            assert sum(frames for _, frames in outcome.arrivals) == FRAMES
            moments = [moment for moment, _ in outcome.arrivals]
            assert outcome.submitted <= moments[0] and moments == sorted(moments)
            assert outcome.first_frame == moments[0] and moments[-1] <= outcome.ended
    figures = report.json()
    json.dumps(figures)
    assert figures["engine"]["device"] == "cpu" and figures["runs"][1]["frames"] == 7 * FRAMES


@pytest.mark.parametrize("poisson", [False, True])
def test_an_open_loop(tiny: Path, samples: Path, poisson: bool) -> None:
    options = RunOptions(request_rate=500.0, enable_exp_delays=poisson, max_num_samples=5)
    (run,) = run_dataset(tiny, samples, options).runs
    assert run.load == "rate 500/s" and run.concurrency is None and len(run.ok) == 5
    assert not run.outcomes[0].arrivals and run.outcomes[0].first_frame is not None


def test_all_at_once_with_a_queue_too_short(tiny: Path, samples: Path) -> None:
    options = RunOptions(executor={"max_batch_size": 1, "max_queue_size": 1, "num_threads": 1})
    report = run_dataset(tiny, samples, options)
    (run,) = report.runs
    refused = [outcome for outcome in run.outcomes if outcome.is_refused]
    assert run.load == "all at once" and len(run.ok) + len(refused) == 7 and len(run.ok) >= 1
    assert report.json()["runs"][0]["refused"] == len(refused)
    assert report.engine["max_batch_size"] == 1


def test_chunks_and_codes(tiny: Path, samples: Path) -> None:
    requests = RequestOptions(chunk_frames=4)
    for streaming in (True, False):
        options = RunOptions(
            concurrency=(2,), streaming=streaming, requests=requests, keeps_codes=True
        )
        (run,) = run_dataset(tiny, samples, options).runs
        codes = [outcome.codes.tolist() for outcome in run.outcomes if outcome.codes is not None]
        assert len(codes) == 7
        if streaming:
            assert [frames for _, frames in run.outcomes[0].arrivals] == [4, 2]
            streamed = codes
    assert codes == streamed  # the load does not change the codes


def test_voices_of_an_engine(engine: Path, samples: Path) -> None:
    options = RunOptions(concurrency=(2,), max_num_samples=2, requests=RequestOptions(voice=1))
    (run,) = run_dataset(engine, samples, options).runs
    assert [outcome.frames for outcome in run.ok] == [2 * FRAMES] * 2  # two frames a step
    with pytest.raises(rt.ConfigError, match="--voice"):
        run_dataset(engine, samples, RunOptions())
    nobody = RunOptions(requests=RequestOptions(voice="nobody"), warm_up=0)
    with pytest.raises(rt.ConfigError, match=r"request 0: .*nobody"):
        run_dataset(engine, samples, nobody)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"concurrency": (1,), "request_rate": 1.0}, "expected concurrency or request_rate"),
        ({"concurrency": (0,)}, "concurrency: expected 1 to 4096"),
        ({"request_rate": 0.0}, "request_rate: expected"),
        ({"request_rate": float("nan")}, "request_rate: expected"),
        ({"enable_exp_delays": True}, "enable_exp_delays: expected a request_rate"),
        ({"warm_up": -1}, "warm_up: expected 0 to"),
    ],
)
def test_senseless_options(values: dict[str, object], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        RunOptions(**values)
