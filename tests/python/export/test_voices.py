"""Voice files, and the voices that an export keeps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.export.t3_checkpoint import T3Fields, open_t3
from ttsrt_rt.export.voices import read_stored_voices, read_voices, write_stored_voices


@pytest.fixture
def fields(tmp_path: Path) -> T3Fields:
    return open_t3(write_t3(tmp_path / "checkpoint", "english")).fields


def test_stored_voices_are_the_files(fields: T3Fields, tmp_path: Path) -> None:
    paths = [
        write_voice(tmp_path / "anna.safetensors", "english", seed=1),
        write_voice(tmp_path / "ben.safetensors", "english", seed=2, tokens=0, emotion=1.25),
    ]
    voices = read_voices(paths, fields)
    assert [voice.name for voice in voices] == ["anna", "ben"]
    write_stored_voices(tmp_path / "voices.safetensors", voices)
    stored = read_stored_voices(tmp_path / "voices.safetensors", ["anna", "ben"])
    for voice, other in zip(voices, stored, strict=True):
        assert (voice.name, voice.emotion) == (other.name, other.emotion)
        assert np.array_equal(voice.speaker, other.speaker)
        assert np.array_equal(voice.tokens, other.tokens)
    with pytest.raises(rt.FormatError, match=r"2\.emotion"):
        read_stored_voices(tmp_path / "voices.safetensors", ["anna", "ben", "carl"])


def test_bad_voice_files_are_refused(fields: T3Fields, tmp_path: Path) -> None:
    turbo = write_voice(tmp_path / "turbo.safetensors", "turbo")
    with pytest.raises(rt.ConfigError, match="expected a voice for english, got one for 'turbo'"):
        read_voices([turbo], fields)
    with pytest.raises(rt.ConfigError, match="expected one voice file or more, got none"):
        read_voices([], fields)
    (tmp_path / "other").mkdir()
    twice = [write_voice(tmp_path / at / "anna.safetensors", "english") for at in (".", "other")]
    with pytest.raises(rt.ConfigError, match="got two anna"):
        read_voices(twice, fields)
    with pytest.raises(rt.NotFoundError, match=r"none\.safetensors"):
        read_voices([tmp_path / "none.safetensors"], fields)
    plain = tmp_path / "plain.safetensors"
    ids = tensor_of_array("ids", np.zeros(3, np.int32))
    write_safetensors(plain, {"ids": ids})
    with pytest.raises(rt.FormatError, match=r"format: expected 'ttsrt.voice', got None"):
        read_voices([plain], fields)
    write_safetensors(plain, {"emotion": ids}, {"format": "ttsrt.voice", "variant": "english"})
    with pytest.raises(rt.FormatError, match="'emotion': expected float32"):
        read_voices([plain], fields)
