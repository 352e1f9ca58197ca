"""Voices of recordings: layouts of codes, lengths, what is stored, and who takes none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import Sound, to_rate, write_wav
from ttsrt_rt.cli import main
from ttsrt_rt.code_voice import read_code_voice, write_code_voice
from ttsrt_rt.recording import convert_codes, encode_voice

from .codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models

TONE = (0.5 * np.sin(np.arange(6000) / 11)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def codec(models: CodecModels) -> Iterator[rt.Executor]:
    with rt.Executor(models.codec, device=NATIVE) as executor:
        yield executor


def values_of(codes: np.ndarray, levels: list[int]) -> np.ndarray:
    """The values of FSQ as the original computes them: (digit - half) / half."""
    flat = []
    for group in codes.T:
        for level in levels:
            flat.append((group % level - level // 2) / (level // 2))
            group = group // level
    return np.stack(flat, 1)


@given(st.integers(0, 2**32 - 1))
def test_codes_of_another_layout_have_the_same_values(seed: int) -> None:
    old, new = (2, [8, 7, 6, 6]), (4, [8, 7])
    codes = np.random.default_rng(seed).integers(0, 8 * 7 * 6 * 6, (5, 2)).astype(np.int32)
    with pytest.raises(rt.ConfigError, match="quantizer: expected the codec's levels"):
        convert_codes(codes, old, new)
    same = [8, 7, 8, 7]
    codes = codes % (8 * 7 * 8 * 7)
    converted = convert_codes(codes, (2, same), (4, [8, 7]))
    assert converted.dtype == np.int32 and converted.shape == (5, 4)
    np.testing.assert_array_equal(values_of(converted, [8, 7]), values_of(codes, same))
    np.testing.assert_array_equal(convert_codes(converted, (4, [8, 7]), (2, same)), codes)


def test_columns_of_a_voice(models: CodecModels, codec: rt.Executor) -> None:
    engine = rt.Engine.open(str(models.contexts))
    sound = Sound(np.stack([TONE, TONE], 1), RATE)
    made = encode_voice(sound, codec, engine, seconds=100.5 * SAMPLES_PER_FRAME / RATE)
    ids = engine.info.special_ids
    assert made.shape == (103, 4)
    assert (made[0] == ids["context_bos"]).all() and (made[-1] == ids["context_eos"]).all()
    count = int(100.5 * SAMPLES_PER_FRAME)
    np.testing.assert_array_equal(made[1:-1], codec.generate(samples=TONE[:count]).codes)
    short = encode_voice(Sound(TONE[:500, None], RATE), codec, engine, seconds=900.5 / RATE)
    repeated = np.concatenate([TONE[:500], TONE[:400]])
    np.testing.assert_array_equal(short[1:-1], codec.generate(samples=repeated).codes)
    other = encode_voice(Sound(TONE[:, None], 44100), codec, engine, seconds=0.05)
    wanted = to_rate(TONE, 44100, RATE)[: int(0.05 * RATE)]
    np.testing.assert_array_equal(other[1:-1], codec.generate(samples=wanted).codes)
    for seconds in (0.0, -1.0, float("nan"), 601.0):
        with pytest.raises(rt.ConfigError, match="seconds: expected above 0"):
            encode_voice(sound, codec, engine, seconds=seconds)
    with pytest.raises(rt.ConfigError, match="audio: expected at least 16 samples"):
        encode_voice(sound, codec, engine, seconds=10 / RATE)


def test_what_takes_no_recording(models: CodecModels, codec: rt.Executor) -> None:
    sound = Sound(TONE[:, None], RATE)
    for folder, told in (
        (models.spoken, "takes the voices that are stored with it"),
        (models.codec, "as it is a codec"),
    ):
        with pytest.raises(rt.ConfigError, match=told):
            encode_voice(sound, codec, rt.Engine.open(str(folder)))
    with (
        rt.Executor(models.silent, device=NATIVE) as model,
        pytest.raises(rt.ConfigError, match=r"codec: .*expected an engine of a codec"),
    ):
        encode_voice(sound, model, rt.Engine.open(str(models.contexts)))


def test_the_command(
    models: CodecModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = tmp_path / "engine"
    shutil.copytree(models.contexts, engine)
    ref = write_wav(tmp_path / "ref.wav", TONE, RATE)
    make = ["voice", str(engine), "me", "--audio", str(ref), "--codec", str(models.codec)]
    make += ["--seconds", "0.08", "--device", NATIVE]
    assert main(make) == 0
    path = engine / "voices" / "me.safetensors"
    shown = capsys.readouterr().out
    assert "113, of them 2 special" in shown and f"voice: {path}" in shown
    codes = read_code_voice(path, "magpie")
    assert codes.shape == (113, 4)
    with rt.Executor(engine, device=NATIVE) as executor:
        assert executor.voices() == ["me"]
        fields = {"text_ids": [3, 4, 5], "seed": 3, "max_frames": 6}
        named = executor.generate(**fields, voice="me")
        given = executor.generate(**fields, context_codes=codes)
        np.testing.assert_array_equal(named.codes, given.codes)
        np.testing.assert_array_equal(named.audio, given.audio)
    assert main(["inspect", str(engine), "--verify"]) == 0
    assert "voice files: me" in capsys.readouterr().out
    assert main(make) == 2
    assert "there is a voice of this name; pass --overwrite" in capsys.readouterr().err
    assert main([*make, "--overwrite"]) == 0
    apart = tmp_path / "apart.safetensors"
    assert main([*make, "--output", str(apart)]) == 0
    (tmp_path / "ids.json").write_text("[3, 4, 5]")
    run = ["run", str(models.contexts), "--text_ids", str(tmp_path / "ids.json"), "--seed", "3"]
    run += ["--max_frames", "6", "--voice_file", str(apart), "--device", NATIVE]
    assert main([*run, "--output", str(tmp_path / "a.npy")]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), named.codes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "../me"}, "name: expected 1 to 64 letters"),
        ({"name": None}, "--audio: expected a name of the voice behind the engine"),
        ({"--codec": None}, "--audio: expected --codec ENGINE"),
        ({"--audio": None}, "expected --audio with it, a recording"),
        ({"--audio": "absent.wav"}, "absent.wav: expected a sound, got no file of this name"),
        ({"--audio": "ids.json"}, "ids.json"),
        ({"--codec": "absent"}, "absent"),
        ({"--emotion": "0.5"}, "--emotion: expected none beside --audio"),
        ({"--seconds": "0"}, "--seconds: expected above 0"),
        ({"--seconds": "1"}, "max_input_len"),
        ({"--output": "me.npz"}, "--output: expected a name in .safetensors"),
    ],
)
def test_mistakes(
    models: CodecModels,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    change: dict[str, str | None],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_wav(tmp_path / "ref.wav", TONE, RATE)
    (tmp_path / "ids.json").write_text("[1]")
    given: dict[str, str | None] = {"--audio": "ref.wav", "--codec": str(models.codec)}
    given |= {"name": "me", "--device": NATIVE, **change}
    name = given.pop("name")
    flags = [part for flag, value in given.items() if value is not None for part in (flag, value)]
    names = [str(models.contexts), *([] if name is None else [name])]
    assert main(["voice", *names, *flags]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert not (models.contexts / "voices").exists()


def test_voice_files_of_codes(tmp_path: Path, models: CodecModels) -> None:
    path = tmp_path / "me.safetensors"
    codes = np.arange(8, dtype=np.int32).reshape(2, 4)
    write_code_voice(path, codes, "magpie")
    np.testing.assert_array_equal(read_code_voice(path, "magpie"), codes)
    with pytest.raises(rt.FormatError, match="family: expected 't3', got 'magpie'"):
        read_code_voice(path, "t3")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(rt.FormatError):
        read_code_voice(path, "magpie")
    path.write_text(json.dumps([1]))
    with pytest.raises(rt.FormatError, match="expected a voice file"):
        read_code_voice(path, "magpie")
    with pytest.raises(rt.NotFoundError):
        read_code_voice(tmp_path / "absent", "magpie")
    write_code_voice(path, codes + 500, "magpie")
    with (
        rt.Executor(models.contexts, device=NATIVE) as executor,
        pytest.raises(rt.ConfigError, match="add_voice"),
    ):
        executor.add_voice("me", file=path)
