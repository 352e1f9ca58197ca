"""Engines have room for the voices that their checkpoints bring."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.stored_voices import limits_for_voices, stored_voice_files
from ttsrt_rt.synth import write_random_conds, write_random_t3
from ttsrt_rt.voice_file import VoiceFile, write_voice


def checkpoint_of(folder: Path, size: str) -> Path:
    """A converted model with its built-in voice of the longest prompt."""
    folder.mkdir(exist_ok=True)
    write_random_t3(folder / "t3.safetensors", size, seed=2)
    write_random_conds(folder / "conds.pt", size, seed=3)
    rt.convert(folder / "t3.safetensors", folder / "checkpoint", progress=False)
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def turbo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint_of(tmp_path_factory.mktemp("turbo"), "tiny_turbo")


def test_the_default_has_room_for_the_longest_voice(turbo: Path, tmp_path: Path) -> None:
    rt.build(turbo, tmp_path / "engine", max_batch_size=2, progress=False)
    limits = json.loads((tmp_path / "engine" / "engine.json").read_bytes())["limits"]
    assert limits["max_input_len"] == 376
    assert limits["max_seq_len"] > 376 + 1000
    with rt.Executor(tmp_path / "engine") as executor:
        assert executor.voices() == ["default"]
        assert executor.voice_embeddings("default").shape == (376, 64)
        assert len(executor.generate(text_ids=[5, 6], voice="default", max_frames=3).codes) == 3


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_input_len": 375}, "max_input_len: expected at least the 376 rows"),
        ({"max_seq_len": 376}, "max_seq_len: expected more than the 376 rows"),
        ({"max_seq_len": 376, "max_input_len": 376}, "max_seq_len: expected more than the 376"),
    ],
)
def test_a_limit_too_small_for_a_stored_voice(
    turbo: Path, tmp_path: Path, limits: dict[str, int], words: str
) -> None:
    with pytest.raises(rt.ConfigError, match=words) as caught:
        rt.build(turbo, tmp_path / "engine", progress=False, **limits)  # type: ignore[arg-type]
    assert str(turbo / "voices" / "default.safetensors") in str(caught.value)
    assert str(caught.value).endswith(f"got {next(iter(limits.values()))}")
    assert not (tmp_path / "engine").exists()


def test_the_least_limits_hold_the_voice(turbo: Path, tmp_path: Path) -> None:
    limits = {"max_input_len": 376, "max_seq_len": 400, "max_batch_size": 1}
    rt.build(turbo, tmp_path / "engine", progress=False, **limits)  # type: ignore[arg-type]
    with rt.Executor(tmp_path / "engine") as executor:
        assert executor.voice_embeddings("default").shape == (376, 64)
        assert len(executor.generate(text_ids=[5], voice="default", max_frames=3).codes) == 3


def test_rows_of_a_perceiver_and_an_emotion(tmp_path: Path) -> None:
    checkpoint = checkpoint_of(tmp_path, "tiny")
    assert limits_for_voices(checkpoint) == {}
    assert limits_for_voices(checkpoint, max_input_len=34, max_seq_len=35) == {}
    with pytest.raises(rt.ConfigError, match="the 34 rows of the stored voice"):
        limits_for_voices(checkpoint, max_input_len=33)
    voice = VoiceFile(variants=("english",), speaker_emb=np.ones(256, np.float32))
    write_voice(checkpoint / "voices" / "default.safetensors", voice)
    assert limits_for_voices(checkpoint, max_input_len=2) == {}  # the speaker and the emotion
    with pytest.raises(rt.ConfigError, match="the 2 rows of the stored voice"):
        limits_for_voices(checkpoint, max_input_len=1)


def test_a_folder_that_is_missing_is_left_to_build(tmp_path: Path) -> None:
    assert limits_for_voices(tmp_path / "none") == {}


def test_a_damaged_voice_stops_the_build(turbo: Path, tmp_path: Path) -> None:
    shutil.copytree(turbo, tmp_path / "checkpoint")
    path = tmp_path / "checkpoint" / "voices" / "b.safetensors"
    path.write_bytes(b"x" * 100)
    assert [each.name for each in stored_voice_files(tmp_path / "checkpoint")] == [
        "b.safetensors",
        "default.safetensors",
    ]
    with pytest.raises(rt.FormatError, match=r"voices/b\.safetensors"):
        rt.build(tmp_path / "checkpoint", tmp_path / "engine", progress=False)
    assert not (tmp_path / "engine").exists()


@pytest.mark.parametrize("config", [b"{", b"[]", b'{"format": "other"}'])
def test_what_is_no_checkpoint_needs_nothing(tmp_path: Path, config: bytes) -> None:
    (tmp_path / "config.json").write_bytes(config)
    assert limits_for_voices(tmp_path) == {}
    with pytest.raises(rt.Error):
        rt.build(tmp_path, tmp_path / "engine", progress=False)


@pytest.mark.parametrize("model", [None, {}, {"variant": "turbo"}, {"variant": 1}])
def test_a_damaged_description_is_left_to_build(tmp_path: Path, model: object) -> None:
    config = {"format": "ttsrt.checkpoint", "format_version": 1, "family": "t3", "model": model}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert limits_for_voices(tmp_path) == {}
    with pytest.raises(rt.FormatError):
        rt.build(tmp_path, tmp_path / "engine", progress=False)
