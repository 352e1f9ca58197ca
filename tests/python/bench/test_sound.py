"""Benchmarks of engines with sound: what listeners hear is in the table, the JSON and the plot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.python.codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models
from ttsrt_rt.bench.crowd import measure_crowds
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.overload import OverloadOptions, measure_overload
from ttsrt_rt.bench.prepare import DatasetOptions, Lengths, write_dataset
from ttsrt_rt.bench.requests import RequestOptions, RequestShape
from ttsrt_rt.bench.run import RunOptions, run_dataset
from ttsrt_rt.cli import main

STEPS = 6
FRAMES = 2 * STEPS
SHAPE = RequestShape(text_len=8, context_len=6, frames=FRAMES)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("codec"))


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    options = DatasetOptions(
        samples=5,
        num_vocabs=4,
        audio_vocab_size=96,
        text_vocab_size=30,
        input_len=Lengths(12, 4, 4, 20),
        context_len=Lengths(9, 2, 5, 12),
        output_len=Lengths(STEPS, 0, STEPS, STEPS),
    )
    return write_dataset(tmp_path / "samples.json", options)


def test_an_open_loop(models: CodecModels, samples: Path) -> None:
    requests = RequestOptions(voice=0, initial_chunk_frames=2, chunk_frames=4)
    options = RunOptions(
        request_rate=200.0, streaming=True, requests=requests, executor={"device": NATIVE}
    )
    report = run_dataset(models.spoken, samples, options)
    (run,) = report.runs
    assert run.sample_rate == RATE and len(run.ok) == 5
    for outcome in run.ok:
        assert sum(count for _, count in outcome.sounds) == outcome.samples
        assert outcome.samples == outcome.frames * SAMPLES_PER_FRAME == FRAMES * SAMPLES_PER_FRAME
        assert len(outcome.sounds) >= 2 and outcome.first_audio == outcome.sounds[0][0]
    heard = report.json()["runs"][0]["listener"]
    assert heard["streams"] == 5 and heard["first_audio_ms"]["p95"] > 0
    assert heard["audio_seconds"] == pytest.approx(5 * FRAMES * SAMPLES_PER_FRAME / RATE)
    assert heard["audio_gap_ms"]["max"] > 0 and heard["underruns"]["streams"] <= 5
    only = RunOptions(
        streaming=True,
        requests=RequestOptions(voice=0, codes_only=True),
        executor={"device": NATIVE},
    )
    (silent,) = run_dataset(models.spoken, samples, only).runs
    assert silent.sample_rate is None and not silent.ok[0].sounds


def test_the_command(
    models: CodecModels, samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    command = ["bench", "run", str(models.spoken), "--dataset", str(samples), "--voice", "0"]
    command += ["--device", NATIVE, "--output_json", str(tmp_path / "run.json")]
    command += ["--output_plot", str(tmp_path / "run.svg"), "--concurrency", "1", "2"]
    assert main([*command, "--streaming", "--chunk_frames", "4"]) == 0
    shown = capsys.readouterr().out
    for words in ("first sound", "between chunks of sound", "underruns", "streams"):
        assert words in shown
    runs = json.loads((tmp_path / "run.json").read_text())["runs"]
    assert [run["listener"]["streams"] for run in runs] == [5, 5]
    assert "listener" in (tmp_path / "run.svg").read_text("utf-8")
    assert main(command) == 0  # whole results: no chunks to play
    assert json.loads((tmp_path / "run.json").read_text())["runs"][0]["listener"]["streams"] == 5
    mute = [part if part != str(models.spoken) else str(models.silent) for part in command]
    capsys.readouterr()
    assert main(mute) == 0
    assert "first sound" not in capsys.readouterr().out
    assert main(["bench", "run", str(models.codec), "--dataset", str(samples)]) == 2
    assert "expected an engine that takes texts, got a codec" in capsys.readouterr().err


@pytest.mark.parametrize("codes_only", [False, True])
def test_crowds(models: CodecModels, codes_only: bool) -> None:
    shape = RequestShape(
        text_len=8, context_len=6, frames=FRAMES, chunk_frames=4, codes_only=codes_only
    )
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        crowds = measure_crowds(executor, [1, 3], 2, shape)
    for crowd in crowds:
        assert min(crowd.frames_per_second) > 0
        assert len(crowd.first_audio_ms) == (0 if codes_only else 2)
    figures = crowds[1].figures(crowds[0], 21.5)
    assert (figures["first_audio_ms"] is None) == codes_only


def test_crowds_of_a_codec_alone(
    models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "crowd.json"
    command = ["bench", "crowd", str(models.codec), "--device", NATIVE, "--frames", "30"]
    assert main([*command, "--concurrency", "1", "4", "--output_json", str(out)]) == 0
    assert "ms to the first sound" in capsys.readouterr().out
    for crowd in json.loads(out.read_text())["crowds"]:
        assert crowd["frames_per_second"] > 0 and crowd["first_audio_ms"] > 0


def test_overload(models: CodecModels) -> None:
    options = OverloadOptions(seconds=0.5, factor=3.0, capacity_seconds=1.0, shape=SHAPE)
    with rt.Executor(models.spoken, device=NATIVE, max_queue_size=16) as executor:
        report = measure_overload(executor, EngineFacts.of(executor.engine), options)
    assert report.is_ok and report.completed > 0, report.errors
    with (
        rt.Executor(models.codec, device=NATIVE) as executor,
        pytest.raises(rt.ConfigError, match="expected one that takes texts, got a codec"),
    ):
        measure_overload(executor, EngineFacts.of(executor.engine), options)
