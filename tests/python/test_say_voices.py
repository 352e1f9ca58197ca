"""The voices that `ttsrt say` is given as files."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.cli.say_voices import named_voice, voice_fields, voice_key
from ttsrt_rt.code_voice import write_code_voice

from .codec_models import CodecModels, make_codec_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("say"))


def write(path: Path, first: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    codes = np.arange(first, first + 20, dtype=np.int32).reshape(5, 4)
    write_code_voice(path, codes, "magpie")
    return path


@pytest.fixture
def executor(models: CodecModels, tmp_path: Path) -> Iterator[rt.Executor]:
    """Of an engine with the voice Aria."""
    engine = tmp_path / "engine"
    shutil.copytree(models.contexts, engine)
    write(engine / "voices" / "Aria.safetensors", 0)
    with rt.Executor(engine, device=NATIVE) as opened:
        yield opened


def codes_of(executor: rt.Executor, voice: int | str) -> list[int]:
    made = executor.generate(text_ids=[3, 4, 5], seed=3, max_frames=6, voice=voice)
    return made.codes.ravel().tolist()


def test_a_file_is_never_taken_for_a_voice_of_its_name(
    executor: rt.Executor, tmp_path: Path
) -> None:
    assert named_voice("Aria", executor) == "Aria" and named_voice("0", executor) == 0
    other = named_voice(str(write(tmp_path / "Aria.safetensors", 9)), executor)
    assert other != "Aria" and len(executor.voices()) == 2
    given = np.arange(9, 29, dtype=np.int32).reshape(5, 4)
    expected = executor.generate(text_ids=[3, 4, 5], seed=3, max_frames=6, context_codes=given)
    assert codes_of(executor, other) == expected.codes.ravel().tolist()
    assert codes_of(executor, other) != codes_of(executor, "Aria")


def test_files_of_one_name_are_several_voices(executor: rt.Executor, tmp_path: Path) -> None:
    one = str(write(tmp_path / "a" / "me.safetensors", 1))
    two = str(write(tmp_path / "b" / "me.safetensors", 2))
    copy = str(write(tmp_path / "copy.safetensors", 1))
    names = [named_voice(each, executor) for each in (one, two, copy, one)]
    assert names[0] == names[2] == names[3] != names[1]
    assert len(executor.voices()) == 3
    assert voice_key(one, []) == voice_key(copy, []) != voice_key(two, [])
    write(Path(one), 3)
    assert named_voice(one, executor) not in names
    args = argparse.Namespace(voice_description=None, voice=copy, verbose=False)
    assert voice_fields(args, executor) == {"voice": names[0]}


def test_what_is_no_voice(executor: rt.Executor, tmp_path: Path) -> None:
    for text, told in (
        ("nobody", "--voice: expected one of Aria, an index or a .safetensors, got 'nobody'"),
        ("me.wav", "ttsrt voice ENGINE me --audio me.wav"),
    ):
        with pytest.raises(rt.ConfigError, match=told):
            named_voice(text, executor)
    with pytest.raises(rt.NotFoundError):
        named_voice(str(tmp_path / "none.safetensors"), executor)
    path = tmp_path / "bad.safetensors"
    path.write_bytes(b"x" * 100)
    with pytest.raises(rt.FormatError):
        named_voice(str(path), executor)
    assert executor.voices() == ["Aria"]


def test_keys(tmp_path: Path) -> None:
    assert voice_key(None, []) is None and voice_key("3", []) == "3"
    assert voice_key("me.safetensors", ["me.safetensors"]) == "me.safetensors"
    with pytest.raises(rt.NotFoundError):
        voice_key(str(tmp_path / "none.safetensors"), [])
