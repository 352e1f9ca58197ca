"""Requests that run together: order, room in the queue, and errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.runs import audio_of, run_all, spectrogram_of
from ttsrt_rt.request import Request
from ttsrt_rt.synth import write_random_vocos


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    checkpoint = rt.convert(write_random_vocos(folder / "vocos"), folder / "ckpt", progress=False)
    rt.build(checkpoint, folder / "engine", max_seq_len=64, max_batch_size=2)
    return folder / "engine"


def mel_of(frames: int) -> Request:
    return Request(mel=np.full((frames, 100), 0.1, np.float32))


def test_results_stand_in_the_order_of_their_requests(engine: Path) -> None:
    lengths = [2, 30, 5, 17, 9, 3, 40]
    with rt.Executor(engine, device=NATIVE, max_queue_size=4) as executor:
        results = run_all(executor, [mel_of(length) for length in lengths])
    assert [len(audio_of(result)) for result in results] == [256 * (of - 1) for of in lengths]
    with pytest.raises(ConfigError, match="spectrogram: expected an engine that makes one"):
        spectrogram_of(results[0])


def test_the_first_error_ends_all(engine: Path) -> None:
    with rt.Executor(engine, device=NATIVE) as executor:
        with pytest.raises(ConfigError, match="mel: expected"):
            run_all(executor, [mel_of(40), mel_of(1), mel_of(40)])
        assert run_all(executor, [mel_of(2)])[0].finish_reason == "stop"
