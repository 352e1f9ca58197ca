"""A path that people have leads to its checkpoint, or to a message that says which file to pass."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.errors import ConfigError, FormatError

from .builders import SPEAKERS, small_nemo, small_torch

DATA = Path(__file__).parents[2] / "data" / "magpie"


def unpack(folder: Path) -> Path:
    """Unpacks the small `.nemo` into a new folder."""
    folder.mkdir(parents=True)
    (folder / "x.tar").write_bytes(small_nemo())
    with tarfile.open(folder / "x.tar") as archive:
        archive.extractall(folder, filter="data")
    (folder / "x.tar").unlink()
    return folder


def cache(folder: Path) -> Path:
    """Makes a model in the cache of Hugging Face, where files are links to blobs."""
    (folder / "blobs").mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("abc123")
    (folder / "snapshots" / "abc123").mkdir(parents=True)
    (folder / "blobs" / "0f0f").write_bytes(small_nemo())
    (folder / "snapshots" / "abc123" / "m.nemo").symlink_to("../../blobs/0f0f")
    return folder


def test_an_unpacked_nemo_is_read(tmp_path: Path) -> None:
    folder = unpack(tmp_path / "unpacked")
    for path in (folder, folder / "model_config.yaml", folder / "model_weights.ckpt"):
        with open_weights(find_source(path)) as weights:
            assert (weights.kind, weights.name) == ("nemo", "unpacked")
            assert weights["n"].read() == 7
            assert weights.config.get_int("encoder.n_layers") == 2
            assert weights.artifact(weights.config.get_str("speaker_map")) == SPEAKERS
            with pytest.raises(ConfigError, match=r"0123_speakers\.json"):
                weights.artifact("../unpacked/0123_speakers.json")


def test_an_unpacked_nemo_converts_to_the_same_checkpoint(tmp_path: Path) -> None:
    with tarfile.open(DATA / "tiny2512.nemo") as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    whole = convert(DATA / "tiny2512.nemo", tmp_path / "a", progress=False)
    parts = convert(tmp_path / "unpacked", tmp_path / "b", progress=False)
    name = "model.safetensors"
    assert (whole / name).read_bytes() == (parts / name).read_bytes()
    configs = [json.loads((folder / "config.json").read_text()) for folder in (whole, parts)]
    assert configs[0]["model"] == configs[1]["model"]


def test_folders_with_one_checkpoint_stand_for_it(tmp_path: Path) -> None:
    model = cache(tmp_path / "models--nvidia--magpie")
    snapshot = model / "snapshots" / "abc123"
    for path in (model, snapshot, snapshot / "m.nemo"):
        assert find_source(path) == snapshot / "m.nemo"
        with open_weights(path) as weights:
            assert weights["n"].read() == 7
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").write_bytes(small_torch())
    assert find_source(tmp_path / "run") == tmp_path / "run" / "last.ckpt"


def test_other_folders_say_what_to_pass(tmp_path: Path) -> None:
    model = cache(tmp_path / "hub" / "models--nvidia--magpie")
    for folder, expected in (
        (tmp_path / "hub", "pass one of those inside: models--nvidia--magpie"),
        (model / "snapshots", r"pass one of those inside: abc123/m\.nemo"),
    ):
        with pytest.raises(ConfigError, match=expected):
            find_source(folder)
    (model / "refs" / "main").unlink()
    (model / "snapshots" / "def456").mkdir()
    with pytest.raises(ConfigError, match="one snapshot, got abc123, def456"):
        find_source(model)
    cases = {
        "two": (["a.nemo", "b.nemo"], r"got 2; pass one of them: a\.nemo, b\.nemo"),
        "mixed": (["a.nemo", "b.ckpt", "c.ckpt"], r"got 3; pass one of them: a\.nemo, b\.ckpt, c"),
        "empty": ([], "got a folder without one.*it has nothing"),
        "half": (["model_config.yaml"], r"an unpacked \.nemo without model_weights\.ckpt"),
        "llama": (["config.json", "model.safetensors"], r"with model\.safetensors, which is not"),
        "engine": (["engine.json"], "got an engine; `ttsrt run"),
    }
    for name, (files, expected) in cases.items():
        (tmp_path / name).mkdir()
        for each in files:
            (tmp_path / name / each).write_bytes(b"{}")
        with pytest.raises(ConfigError, match=expected):
            find_source(tmp_path / name)
        with pytest.raises(ConfigError, match=expected):
            convert(tmp_path / name, tmp_path / "out", progress=False)
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "config.json").write_text('{"format": "ttsrt.checkpoint"}')
    (tmp_path / "ours" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="got one that was converted; the next step is `ttsrt bu"):
        find_source(tmp_path / "ours")


def test_a_path_that_does_not_exist_is_also_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    for name in ("nope.nemo", "link"):
        with pytest.raises(FileNotFoundError, match=name) as caught:
            convert(tmp_path / name, tmp_path / "out")
        assert isinstance(caught.value, ConfigError)
    with pytest.raises(ConfigError, match="no file can have"):
        find_source(Path("a\0b"))


def test_a_pointer_inside_an_unpacked_nemo_is_named(tmp_path: Path) -> None:
    folder = unpack(tmp_path / "unpacked")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    (folder / "model_weights.ckpt").write_bytes(pointer)
    with pytest.raises(FormatError, match=r"unpacked: model_weights\.ckpt.*a Git LFS pointer"):
        open_weights(folder)
    shutil.rmtree(folder)


def test_what_is_somewhere_else_is_downloaded_first() -> None:
    for name, hint in (
        ("https://example.org/magpie.nemo", "nothing is downloaded here: download it first"),
        ("hf://nvidia/magpie", "download it first"),
        ("nvidia/magpie_tts_357m", "hf download nvidia/magpie_tts_357m --local-dir FOLDER"),
    ):
        with pytest.raises(ConfigError, match=hint):
            convert(name, "out", progress=False)
    with pytest.raises(ConfigError) as caught:
        convert("folder/x.nemo", "out", progress=False)
    assert "download" not in str(caught.value)


def test_a_codec_needs_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "codec.ckpt").write_bytes(small_torch())
    with pytest.raises(ConfigError, match="got another one, with tensors ") as caught:
        convert(tmp_path / "codec.ckpt", tmp_path / "out", progress=False)
    assert "family=" not in str(caught.value)
    weights = {"audio_decoder.x": tensor_of_array("audio_decoder.x", np.zeros(3, np.float32))}
    write_safetensors(tmp_path / "codec.safetensors", weights)
    with pytest.raises(ConfigError, match=r"expected its configuration in the same folder"):
        convert(tmp_path / "codec.safetensors", tmp_path / "out", progress=False)
