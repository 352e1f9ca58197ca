"""Voice files, and the voices that an export keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import t3_model, write_t3, write_voice
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.export.t3_checkpoint import T3Checkpoint, open_t3
from ttsrt_rt.export.voices import (
    read_stored_voices,
    read_voice_fields,
    read_voices,
    write_stored_voices,
)
from ttsrt_rt.voice_file import BUILT_IN_VOICE


@pytest.fixture
def source(tmp_path: Path) -> T3Checkpoint:
    return open_t3(write_t3(tmp_path / "checkpoint", "english"))


def test_stored_voices_are_the_files(source: T3Checkpoint, tmp_path: Path) -> None:
    paths = [
        write_voice(tmp_path / "anna.safetensors", "english", seed=1),
        write_voice(tmp_path / "ben.safetensors", "english", seed=2, tokens=0, emotion=1.25),
    ]
    voices = read_voices(paths, source)
    assert [voice.name for voice in voices] == ["anna", "ben"]
    write_stored_voices(tmp_path / "voices.safetensors", voices)
    stored = read_stored_voices(tmp_path / "voices.safetensors", ["anna", "ben"])
    for voice, other in zip(voices, stored, strict=True):
        assert (voice.name, voice.emotion) == (other.name, other.emotion)
        assert np.array_equal(voice.speaker, other.speaker)
        assert np.array_equal(voice.tokens, other.tokens)
    with pytest.raises(rt.FormatError, match=r"2\.emotion"):
        read_stored_voices(tmp_path / "voices.safetensors", ["anna", "ben", "carl"])


def test_bad_voice_files_are_refused(source: T3Checkpoint, tmp_path: Path) -> None:
    turbo = write_voice(tmp_path / "turbo.safetensors", "turbo")
    with pytest.raises(rt.ConfigError, match="expected a voice for english, got one for turbo"):
        read_voices([turbo], source)
    with pytest.raises(
        rt.ConfigError, match=r"expected one voice file or more, got none; .* brings none"
    ):
        read_voices([], source)
    (tmp_path / "other").mkdir()
    twice = [write_voice(tmp_path / at / "anna.safetensors", "english") for at in (".", "other")]
    with pytest.raises(rt.ConfigError, match="got two anna"):
        read_voices(twice, source)
    with pytest.raises(rt.NotFoundError, match=r"none\.safetensors"):
        read_voices([tmp_path / "none.safetensors"], source)
    plain = tmp_path / "plain.safetensors"
    ids = tensor_of_array("ids", np.zeros(3, np.int32))
    write_safetensors(plain, {"ids": ids})
    with pytest.raises(rt.FormatError, match="expected a voice file"):
        read_voices([plain], source)


def test_without_files_the_checkpoint_brings_one(source: T3Checkpoint) -> None:
    write_voice(source.folder / BUILT_IN_VOICE, "english", emotion=0.75)
    (voice,) = read_voices([], source)
    assert (voice.name, voice.emotion) == ("default", 0.75)


def test_fields_are_those_of_add_voice(tmp_path: Path) -> None:
    path = write_voice(tmp_path / "anna.safetensors", "english", tokens=4, emotion=0.25)
    fields = read_voice_fields(path, t3_model("english"))
    assert fields["speaker_emb"].shape == (256,)
    assert fields["cond_prompt_speech_tokens"].shape == (4,)
    assert fields["emotion"] == 0.25
    turbo = write_voice(tmp_path / "ben.safetensors", "turbo")
    assert read_voice_fields(turbo, t3_model("turbo"))["emotion"] is None
    with pytest.raises(rt.ConfigError, match="expected a voice for turbo, got one for english"):
        read_voice_fields(path, t3_model("turbo"))
