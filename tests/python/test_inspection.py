"""The contents of checkpoints and engines of every family, and of their voice files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.cli import main
from ttsrt_rt.inspection import inspect_folder
from ttsrt_rt.synth import write_random_conds, write_random_t3
from ttsrt_rt.voice_file import VoiceFile, write_voice


@pytest.fixture(scope="module")
def t3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted model with a built-in voice and one more, and its engine."""
    folder = tmp_path_factory.mktemp("t3")
    write_random_t3(folder / "t3.safetensors", "tiny", seed=2)
    write_random_conds(folder / "conds.pt", seed=3)
    rt.convert(folder / "t3.safetensors", folder / "checkpoint", progress=False)
    voice = VoiceFile(variants=("english",), speaker_emb=np.ones(256, np.float32))
    write_voice(folder / "checkpoint" / "voices" / "ann.safetensors", voice)
    rt.build(folder / "checkpoint", folder / "engine", max_batch_size=1, progress=False)
    return folder


def test_a_checkpoint_and_an_engine_of_magpie(
    checkpoint_of: Callable[[str], Path], engine: Path
) -> None:
    for folder, kind in ((checkpoint_of("tinyhf"), "checkpoint"), (engine, "engine")):
        contents = inspect_folder(folder, verify=True)
        assert (contents.kind, contents.description["family"]) == (kind, "magpie")
        assert contents.tensors and contents.voice_files == ()


@pytest.mark.parametrize("kind", ["checkpoint", "engine"])
@pytest.mark.parametrize("flags", [[], ["--verify"]], ids=["plain", "verify"])
def test_t3(t3: Path, capsys: pytest.CaptureFixture[str], kind: str, flags: list[str]) -> None:
    contents = inspect_folder(t3 / kind, verify=bool(flags))
    assert contents.kind == kind
    assert (contents.description["family"], contents.voice_files) == ("t3", ("ann", "default"))
    assert any(tensor.name.startswith("speech_embedding") for tensor in contents.tensors)
    assert main(["inspect", str(t3 / kind), *flags]) == 0
    shown = capsys.readouterr().out
    assert 'family: "t3"' in shown and "voice files: ann, default" in shown
    told = f"verified: {len(contents.tensors)} tensors, 2 voice files"
    assert (told in shown) == bool(flags)
    assert main(["inspect", str(t3 / kind), *flags, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["voice_files"] == ["ann", "default"]
    assert len(values["tensors"]) == len(contents.tensors)


@pytest.mark.parametrize("kind", ["checkpoint", "engine"])
def test_verify_reads_the_voice_files(t3: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / kind
    shutil.copytree(t3 / kind, folder)
    path = folder / "voices" / "ann.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    assert inspect_folder(folder).voice_files == ("ann", "default")
    with pytest.raises(rt.FormatError, match=r"ann\.safetensors"):
        inspect_folder(folder, verify=True)
    voice = VoiceFile(variants=("turbo",), speaker_emb=np.ones(256, np.float32))
    write_voice(path, voice)
    with pytest.raises(rt.ConfigError, match=r"ann\.safetensors: expected a voice for english"):
        inspect_folder(folder, verify=True)


def test_a_damaged_checkpoint_of_t3(t3: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint"
    shutil.copytree(t3 / "checkpoint", folder)
    config = json.loads((folder / "config.json").read_bytes())
    config["model"]["text_vocab"] += 1
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(rt.FormatError, match=r"text_embedding: expected \[705, 64\]"):
        inspect_folder(folder)
    config["family"] = "other"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(rt.FormatError, match="family"):
        inspect_folder(folder)
    del config["family"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(rt.FormatError, match="family"):
        inspect_folder(folder)
