"""The native vocoder stage, and models that make sound themselves: the same as an executor's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export import fake_triton
from tests.python.export.fake_triton import InferenceRequest, InferenceResponse, Request, arguments
from ttsrt_rt.convert import convert
from ttsrt_rt.export import export_triton
from ttsrt_rt.export.triton_model import Model
from ttsrt_rt.export.triton_sound import Sound
from ttsrt_rt.export.triton_speech import Speech
from ttsrt_rt.synth import write_random_conds, write_random_s3gen, write_random_t3
from ttsrt_rt.voice_file import VoiceFile, read_voice, write_voice


class Engines:
    """Of a release: the T3 alone, its S3Gen alone, and both in one."""

    def __init__(self, folder: Path) -> None:
        t3 = write_random_t3(folder / "t3_cfg.safetensors", "tiny", 1)
        s3gen = write_random_s3gen(folder / "s3gen.safetensors", "tiny", 2)
        write_random_conds(folder / "conds.pt", "tiny", 3)
        limits: dict[str, Any] = {"max_batch_size": 2, "progress": False}
        self.codes, self.sound = folder / "codes", folder / "sound"
        self.both = folder / "both"
        made = convert(t3, folder / "t3", sound=False, progress=False)
        rt.build(made, self.codes, max_seq_len=500, **limits)
        made = convert(s3gen, folder / "s3gen", progress=False)
        rt.build(made, self.sound, max_seq_len=600, **limits)
        made = convert(t3, folder / "all", progress=False)
        rt.build(made, self.both, max_seq_len=500, **limits)
        self.voice = folder / "anna.safetensors"
        stored = read_voice(made / "voices" / "default.safetensors")
        write_voice(self.voice, stored)
        self.mute = folder / "mute.safetensors"
        write_voice(self.mute, VoiceFile(("english",), stored.speaker_emb))


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    return Engines(tmp_path_factory.mktemp("engines"))


def opened(kind: type[Any], folder: Path, **parameters: str) -> Any:
    made = type(f"Triton{kind.__name__}", (kind,), {"utils": fake_triton})()
    made.initialize(arguments(folder, **parameters))
    return made


def test_codes_become_the_executors_sound(engines: Engines, tmp_path: Path) -> None:
    repository = export_triton(
        engines.codes,
        tmp_path / "r",
        codec="native",
        codec_dir=engines.sound,
        voices=[engines.voice],
    )
    config = (repository / "s3gen" / "config.pbtxt").read_text("utf-8")
    assert f'string_value: "{engines.sound.resolve()}"' in config
    program = (repository / "s3gen" / "1" / "model.py").read_text("utf-8")
    assert "ttsrt_rt.export.triton_sound import Sound" in program
    model = opened(Sound, repository / "s3gen", codec_dir=str(engines.sound))
    codes = np.array([[5], [17], [99]], np.int32)
    with rt.Executor(engines.sound, device="cpu") as executor:
        expected = executor.generate(codes=codes, voice="default").audio
    try:
        answers = model.execute(
            [
                Request(codes=codes),
                Request(codes=codes, voice="anna"),
                Request(codes=np.array([[6562]], np.int32)),
                Request(codes=codes, voice="nobody"),
            ]
        )
    finally:
        model.finalize()
    for answer in answers[:2]:
        np.testing.assert_array_equal(answer.values("waveform"), expected)
        assert answer.values("sample_rate").tolist() == [24000]
    assert answers[2].values("waveform").shape == (0,)
    assert "nobody" in answers[3].error().message()
    assert answers[3].error().code() == fake_triton.TritonError.INVALID_ARG


def test_an_engine_with_sound_streams_it(
    engines: Engines, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = export_triton(engines.both, tmp_path / "r", codec="native")
    assert not (repository / "s3gen").exists()
    assert '"waveform"' in (repository / "ttsrt" / "config.pbtxt").read_text("utf-8")
    fields: dict[str, Any] = {"text_ids": [4, 5, 6], "voice": "default", "max_frames": 9}
    with rt.Executor(engines.both, device="cpu") as executor:
        expected = executor.generate(seed=3, **fields)
    model = opened(Model, repository / "ttsrt", engine=str(engines.both), device="cpu")
    try:
        request = Request(seed=3, **fields)
        model.execute([request])
        parts = request.sender.all()
        sound = np.concatenate([part.values("waveform") for part in parts])
        np.testing.assert_array_equal(sound, expected.audio)

        def answer(inputs: dict[str, fake_triton.Tensor]) -> list[InferenceResponse]:
            inner = Request()
            inner.tensors = inputs
            model.execute([inner])
            return inner.sender.all()

        monkeypatch.setattr(InferenceRequest, "answers", {"ttsrt": answer})
        speech = opened(Speech, repository / "ttsrt_speech", model="ttsrt")
        (spoken,) = speech.execute([Request(seed=3, **fields)])
    finally:
        model.finalize()
    np.testing.assert_array_equal(spoken.values("waveform"), expected.audio)
    np.testing.assert_array_equal(spoken.values("codes"), expected.codes)
    assert spoken.values("sample_rate").tolist() == [24000]


def test_what_does_not_fit_is_refused(engines: Engines, tmp_path: Path) -> None:
    for words, engine, options in (
        ("expected an engine of S3Gen, got none", engines.codes, {}),
        ("expected none, as the engine makes sound", engines.both, {"codec_dir": engines.sound}),
        ("with its vocoder, got one of t3", engines.codes, {"codec_dir": engines.codes}),
        (
            "gen: expected what makes sound",
            engines.codes,
            {"codec_dir": engines.sound, "voices": [engines.mute]},
        ),
    ):
        with pytest.raises(rt.ConfigError, match=words):
            export_triton(engine, tmp_path / "r", codec="native", **options)
