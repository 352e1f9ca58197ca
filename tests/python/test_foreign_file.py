"""What downloads leave behind is called what it is, in every reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt.array_file import NpzFile, read_npy
from ttsrt_rt.cli.files import load_array
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import FormatError
from ttsrt_rt.foreign_file import describe_foreign

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 1436876800\n"
PAGE = b"<!DOCTYPE html>\n<html><head><title>Sign in</title></head><body></body></html>"
FOREIGN = {
    "LFS": (POINTER, "a Git LFS pointer to a file of 1436876800 bytes.*git lfs pull"),
    "HTML": (PAGE, r"an HTML page \('Sign in'\)"),
    "HTML after a mark": (b"\xef\xbb\xbf\n <html lang='en'>", "an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "AccessDenied"),
    "JSON": (b'{"error": "Repository not found"}', "a JSON text.*Repository not found"),
    "text": (b"Entry not found", "a text: 'Entry not found'"),
    "zstd": (b"\x28\xb5\x2f\xfd" + bytes(50), "zstd"),
    "GGUF": (b"GGUF" + bytes(50), "a GGUF model"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_weights_and_arrays_of_another_kind_are_named(name: str, tmp_path: Path) -> None:
    data, expected = FOREIGN[name]
    for ending in (".nemo", ".npy", ".npz"):
        (tmp_path / f"x{ending}").write_bytes(data)
    with pytest.raises(FormatError, match=rf"x\.nemo: expected a torch archive.*{expected}"):
        open_weights(tmp_path / "x.nemo")
    with pytest.raises(FormatError, match=rf"x\.npy: expected a \.npy array, got .*{expected}"):
        read_npy(tmp_path / "x.npy")
    with pytest.raises(FormatError, match=rf"x\.npz: expected an \.npz archive.*{expected}"):
        NpzFile(tmp_path / "x.npz")


def test_configurations_of_another_kind_are_named(tmp_path: Path) -> None:
    for data, expected in (FOREIGN["LFS"], FOREIGN["HTML"]):
        for name in ("hparams.yaml", "ids.json"):
            (tmp_path / name).write_bytes(data)
        with pytest.raises(FormatError, match=f"hparams.yaml: expected YAML, got {expected}"):
            Config.load(tmp_path / "hparams.yaml")
        with pytest.raises(FormatError, match=rf"ids\.json: expected JSON, got {expected}"):
            load_array(str(tmp_path / "ids.json"))


def test_binary_data_has_no_name() -> None:
    for data in (b"", b"\0\1\2", bytes(range(256)), b"PK\3\4\0\0", b"\x80\x02N."):
        assert describe_foreign(data) is None
