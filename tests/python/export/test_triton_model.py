"""The Triton model over a stand-in for Triton: codes, errors, cancellation, voices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export import fake_triton
from tests.python.export.fake_triton import Request, TritonError, arguments
from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.export.triton_model import Model
from ttsrt_rt.voice_file import read_voice

TEXT = list(range(3, 20))


class TritonModel(Model):
    utils = fake_triton


@pytest.fixture
def model(engine: Path, tmp_path: Path) -> Iterator[Model]:
    opened = TritonModel()
    opened.initialize(arguments(tmp_path, engine=str(engine), device="cpu", num_threads="1"))
    yield opened
    opened.finalize()


@pytest.mark.parametrize("chunk_frames", [1, 4])
def test_codes_are_those_of_the_executor(model: Model, engine: Path, chunk_frames: int) -> None:
    fields = {"text_ids": TEXT, "cfg_scale": 2.5, "max_frames": 30}
    requests = [
        Request(**fields, seed=seed, voice="0", chunk_frames=chunk_frames) for seed in (1, 2, 2**63)
    ]
    model.execute(requests)
    with rt.Executor(engine, device="cpu", num_threads=1) as executor:
        for request, seed in zip(requests, (1, 2, 2**63), strict=True):
            expected = executor.generate(**fields, seed=seed, voice=0)
            responses = request.sender.all()
            assert not any(response.has_error() for response in responses)
            chunks = [response.values("codes") for response in responses]
            assert np.array_equal(np.concatenate(chunks), expected.codes)
            assert all(chunk.dtype == np.int32 for chunk in chunks)
            assert all(len(chunk) >= chunk_frames for chunk in chunks[:-1])
            firsts = [int(response.values("first_frame")[0]) for response in responses]
            assert firsts == [0, *np.cumsum([len(chunk) for chunk in chunks])[:-1]]
            reasons = [response.values("finish_reason")[0].decode() for response in responses]
            assert reasons == [""] * (len(responses) - 1) + [expected.finish_reason]


@pytest.mark.parametrize(
    ("fields", "code", "message"),
    [
        ({"text_ids": TEXT, "voice": "nobody"}, TritonError.INVALID_ARG, "nobody"),
        ({"text_ids": TEXT, "voice": "0", "temperature": -1}, TritonError.INVALID_ARG, "temperat"),
        ({"text_ids": [10**6], "voice": "0"}, TritonError.INVALID_ARG, r"text_ids\[0\]"),
        ({"text_ids": TEXT}, TritonError.INVALID_ARG, "context"),
        (
            {"text_ids": TEXT, "voice": "0", "seed": np.zeros(2, np.uint64)},
            TritonError.INVALID_ARG,
            r"seed: expected one value, got \[2\]",
        ),
        (
            {"text_ids": TEXT, "voice": np.zeros(1, np.int32)},
            TritonError.INVALID_ARG,
            "voice: expected a name or a number",
        ),
        ({"voice": "0"}, TritonError.INVALID_ARG, "text"),
        (
            {"text_ids": TEXT, "voice": np.array([b"\xff"], np.object_)},
            TritonError.INVALID_ARG,
            "voice: expected UTF-8",
        ),
        (
            {"text_ids": TEXT, "voice": "0", "flow": "sideways"},
            TritonError.INVALID_ARG,
            "flow",
        ),
        (
            {"text_ids": TEXT, "voice": "0", "max_frames": 1 << 20},
            TritonError.INVALID_ARG,
            "max_frames",
        ),
    ],
)
def test_bad_requests_end_alone(
    model: Model, fields: dict[str, object], code: str, message: str
) -> None:
    bad, good = Request(**fields), Request(text_ids=TEXT, voice="0", max_frames=4)
    model.execute([bad, good])
    (response,) = bad.sender.all()
    error = response.error()
    assert error is not None
    assert error.code() == code
    with pytest.raises(rt.ConfigError, match=message):
        raise rt.ConfigError(error.message())
    assert not good.sender.all()[-1].has_error()


def test_a_client_that_goes_cancels_its_request(model: Model) -> None:
    request = Request(text_ids=TEXT, voice="0", max_frames=400, temperature=0.9)
    request.sender.is_gone = True
    model.execute([request])
    responses = request.sender.all()
    error = responses[-1].error()
    assert len(responses) == 1
    assert error is not None
    assert (error.code(), error.message()) == (TritonError.CANCELLED, "the request was cancelled")
    again = Request(text_ids=TEXT, voice="0", max_frames=4)
    model.execute([again])
    assert not again.sender.all()[-1].has_error()


def test_the_end_of_the_server_ends_requests(engine: Path, tmp_path: Path) -> None:
    model = TritonModel()
    model.initialize(arguments(tmp_path, engine=str(engine), device="cpu", num_threads="1"))
    requests = [Request(text_ids=TEXT, voice="0", max_frames=400, seed=seed) for seed in range(30)]
    model.execute(requests)
    model.finalize()
    for request in requests:
        last = request.sender.all()[-1]
        assert last.has_error() or last.values("finish_reason")[0]
    late = Request(text_ids=TEXT, voice="0")
    model.execute([late])
    error = late.sender.all()[-1].error()
    assert error is not None
    assert error.code() == TritonError.UNAVAILABLE


def write_array(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_safetensors(path, {"values": tensor_of_array("values", values)})


def test_voices_of_the_repository(engine: Path, tmp_path: Path) -> None:
    with rt.Executor(engine, device="cpu") as executor:
        dim = executor.engine.info.dim
        rows = np.random.default_rng(1).normal(size=(6, dim)).astype(np.float32)
        expected = executor.generate(
            text_ids=TEXT, context_embeddings=rows, max_frames=6, seed=1
        ).codes
    write_array(tmp_path / "1" / "voices" / "anna.safetensors", rows)
    model = TritonModel()
    model.initialize(arguments(tmp_path, engine=str(engine), device="cpu", num_threads="1"))
    request = Request(text_ids=TEXT, voice="anna", max_frames=6, seed=1)
    model.execute([request])
    codes = [response.values("codes") for response in request.sender.all()]
    assert np.array_equal(np.concatenate(codes), expected)
    model.finalize()


def test_a_damaged_voice_is_named(engine: Path, tmp_path: Path) -> None:
    path = tmp_path / "1" / "voices" / "anna.safetensors"
    path.parent.mkdir(parents=True)
    both = tensor_of_array("a", np.zeros((1, 2), np.float32))
    write_safetensors(path, {"a": both, "b": both})
    with pytest.raises(rt.FormatError, match=r"anna\.safetensors: expected a voice file, or one"):
        TritonModel().initialize(arguments(tmp_path, engine=str(engine), device="cpu"))


@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_t3_with_voice_files(variant: str, tmp_path: Path) -> None:
    """Voice files become voices; a request may change the emotion where the model has one."""
    rt.build(write_t3(tmp_path / "checkpoint", variant), tmp_path / "engine", dtype="float32")
    voice = write_voice(tmp_path / "1" / "voices" / "anna.safetensors", variant)
    file = read_voice(voice)
    model = TritonModel()
    model.initialize(arguments(tmp_path, engine=str(tmp_path / "engine"), device="cpu"))
    fields = {"text_ids": [5, 6, 7], "max_frames": 8, "seed": 3, "temperature": 1.0}
    changes = [{}, {"emotion": 1.5, "cfg_scale": 1.5}] if variant == "english" else [{}]
    requests = [Request(voice="anna", **fields, **change) for change in changes]
    model.execute(requests)
    with rt.Executor(tmp_path / "engine", device="cpu") as executor:
        executor.add_voice(
            "anna",
            speaker_emb=file.speaker_emb,
            cond_prompt_speech_tokens=file.cond_prompt_speech_tokens,
            emotion=file.emotion if variant == "english" else None,
        )
        for request, change in zip(requests, changes, strict=True):
            codes = [response.values("codes") for response in request.sender.all()]
            expected = executor.generate(voice="anna", **fields, **change).codes
            assert np.array_equal(np.concatenate(codes), expected)
    model.finalize()
