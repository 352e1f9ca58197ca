"""The front model: codes of one model, in chunks, given to the other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.python.export import fake_triton
from tests.python.export.fake_triton import (
    InferenceRequest,
    InferenceResponse,
    Request,
    Tensor,
    TritonError,
    arguments,
)
from ttsrt_rt.export.triton_speech import Speech

CHUNKS = [np.array([[1], [2]], np.int32), np.array([[3]], np.int32)]


def codes(inputs: dict[str, Tensor]) -> list[InferenceResponse]:
    assert set(inputs) == {"text_ids", "voice"}
    empty = InferenceResponse([])
    return [InferenceResponse([Tensor("codes", chunk)]) for chunk in CHUNKS] + [empty]


def waveform(inputs: dict[str, Tensor]) -> list[InferenceResponse]:
    assert inputs["voice"].as_numpy().tolist() == [b"anna"]
    made = inputs["codes"].as_numpy().reshape(-1).astype(np.float32) / 2
    rate = np.array([24000], np.int32)
    return [InferenceResponse([Tensor("waveform", made), Tensor("sample_rate", rate)])]


def fail(inputs: dict[str, Tensor]) -> list[InferenceResponse]:
    return [InferenceResponse([], TritonError("no place"))]


@pytest.fixture
def speech(tmp_path: Path) -> Speech:
    class TritonSpeech(Speech):
        utils = fake_triton

    model = TritonSpeech()
    model.initialize(arguments(tmp_path, model="ttsrt", vocoder="s3gen"))
    return model


def test_all_chunks_are_spoken(speech: Speech, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InferenceRequest, "answers", {"ttsrt": codes, "s3gen": waveform})
    (response,) = speech.execute([Request(text_ids=[1, 2], voice="anna")])
    assert not response.has_error()
    assert response.values("waveform").tolist() == [0.5, 1.0, 1.5]
    assert response.values("sample_rate").tolist() == [24000]
    assert response.values("codes").tolist() == [[1], [2], [3]]


@pytest.mark.parametrize("broken", ["ttsrt", "s3gen"])
def test_errors_of_either_are_told(
    speech: Speech, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"ttsrt": codes, "s3gen": waveform, broken: fail}
    monkeypatch.setattr(InferenceRequest, "answers", answers)
    (response,) = speech.execute([Request(text_ids=[1, 2], voice="anna")])
    assert response.error().message() == "no place"
