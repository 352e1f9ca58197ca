"""A real Triton server that speaks: T3 and S3Gen in one engine, and in an engine each."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.python.export.triton_server import Stream, needs_server, serving, tensors_of
from tests.python.text.test_t3_tokenizer import write_english
from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert
from ttsrt_rt.export import export_triton
from ttsrt_rt.synth import write_random_conds, write_random_s3gen, write_random_t3

pytestmark = needs_server

FIELDS: dict[str, Any] = {"text": "hello world.", "max_frames": 30, "seed": 5}
HEARD: dict[str, Any] = {**FIELDS, "cfg_scale": 2.0, "chunk_frames": 4}


class Engines:
    """A release as one engine, and as two; and a second voice."""

    def __init__(self, folder: Path) -> None:
        write_random_t3(folder / "t3_cfg.safetensors", "tiny", 1)
        write_random_s3gen(folder / "s3gen.safetensors", "tiny", 2)
        write_random_conds(folder / "conds.pt", "tiny", 3)
        write_english(folder)
        limits: dict[str, Any] = {"max_batch_size": 4, "max_seq_len": 600, "progress": False}
        for name, options in (("both", {}), ("codes", {"sound": False})):
            made = convert(folder, folder / f"{name}-checkpoint", progress=False, **options)
            rt.build(made, folder / name, **limits)
        made = convert(folder / "s3gen.safetensors", folder / "checkpoint", progress=False)
        rt.build(made, folder / "sound", **limits)
        self.both, self.codes, self.sound = folder / "both", folder / "codes", folder / "sound"
        (folder / "other").mkdir()
        write_random_conds(folder / "other" / "conds.pt", "tiny", 9)
        self.anna = folder / "anna.safetensors"
        told = ["voice", str(folder / "other" / "conds.pt"), "--variant", "english"]
        assert main([*told, "--output", str(self.anna)]) == 0


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    return Engines(tmp_path_factory.mktemp("engines"))


@pytest.fixture(scope="module", params=["both", "codes"])
def served(
    request: pytest.FixtureRequest, engines: Engines, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, str]]:
    """The address of a server, and the name of its engine."""
    folder = tmp_path_factory.mktemp("triton")
    name = request.param
    sound = {} if name == "both" else {"codec_dir": engines.sound}
    repository = export_triton(
        getattr(engines, name),
        folder / "repository",
        codec="native",
        voices=[engines.anna],
        num_threads=1,
        device="cpu",
        **sound,
    )
    models = ("ttsrt", "ttsrt_speech", *(() if name == "both" else ("s3gen",)))
    with serving(repository, folder, *models) as address:
        yield address, name


def spoken(engines: Engines, voice: str, **fields: Any) -> rt.Result:
    """What an executor makes of the request."""
    with rt.Executor(engines.both, device="cpu", num_threads=1) as executor:
        executor.add_voice("anna", file=engines.anna)
        return executor.generate(voice=voice, **fields)


def ask(address: str, model: str, **fields: Any) -> Any:
    import tritonclient.grpc as grpc

    with grpc.InferenceServerClient(address) as client:
        return client.infer(model, tensors_of(fields))


def joined(results: list[Any], name: str) -> NDArray[Any]:
    return np.concatenate([result.as_numpy(name) for result in results])


@pytest.mark.parametrize("voice", ["default", "anna"])
def test_a_text_is_spoken(served: tuple[str, str], engines: Engines, voice: str) -> None:
    """Two engines make the sound of one, in both modes of the flow."""
    address, _ = served
    mode: Any = "whole" if voice == "default" else "chunks"
    expected = spoken(engines, voice, **FIELDS, flow=rt.Flow(mode=mode))
    answer = ask(address, "ttsrt_speech", voice=voice, flow=mode, **FIELDS)
    np.testing.assert_array_equal(answer.as_numpy("codes"), expected.codes)
    np.testing.assert_array_equal(answer.as_numpy("waveform"), expected.audio)
    assert answer.as_numpy("sample_rate").tolist() == [24000]


@pytest.mark.parametrize("mode", ["whole", "chunks"])
def test_sound_is_streamed(served: tuple[str, str], engines: Engines, mode: Any) -> None:
    address, name = served
    if name != "both":
        pytest.skip("the engine makes codes only, and ttsrt_speech answers once")
    stream = Stream(address)
    for voice in ("default", "anna"):
        stream.send(voice, **HEARD, voice=voice, flow=mode)
    found = stream.all(["default", "anna"])
    stream.close()
    for voice, results in found.items():
        expected = spoken(engines, voice, **HEARD, flow=rt.Flow(mode=mode))
        np.testing.assert_array_equal(joined(results, "waveform"), expected.audio)
        np.testing.assert_array_equal(joined(results, "codes"), expected.codes)
        reasons = [result.as_numpy("finish_reason")[0].decode() for result in results]
        assert reasons == [""] * (len(results) - 1) + [expected.finish_reason]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({**FIELDS, "voice": "nobody"}, "nobody"),
        ({**FIELDS, "voice": "default", "temperature": -1.0}, "temperature: expected a number"),
        ({"voice": "default"}, "text"),
    ],
)
def test_errors_are_those_of_the_request(
    served: tuple[str, str], fields: dict[str, Any], message: str
) -> None:
    from tritonclient.utils import InferenceServerException

    address, _ = served
    stream = Stream(address)
    stream.send("bad", **fields)
    with pytest.raises(InferenceServerException, match=message):
        stream.take()
    stream.close()
    with pytest.raises(InferenceServerException, match=message):
        ask(address, "ttsrt_speech", **fields)


def test_codes_become_sound(served: tuple[str, str], engines: Engines) -> None:
    from tritonclient.utils import InferenceServerException

    address, name = served
    if name == "both":
        pytest.skip("the engine makes sound itself, so there is no s3gen")
    codes = np.array([[5], [17], [99], [6562]], np.int32)
    with rt.Executor(engines.sound, device="cpu") as executor:
        executor.add_voice("anna", file=engines.anna)
        for voice in ("default", "anna"):
            expected = executor.generate(codes=codes, voice=voice).audio
            answer = ask(address, "s3gen", codes=codes, voice=voice)
            np.testing.assert_array_equal(answer.as_numpy("waveform"), expected)
    with pytest.raises(InferenceServerException, match="nobody"):
        ask(address, "s3gen", codes=codes, voice="nobody")
