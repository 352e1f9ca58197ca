"""An unpacked `.nemo`: what it needs, and what its messages name (see also test_sources.py)."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.nemo_folder import NemoFolder, is_nemo_folder
from ttsrt_rt.errors import ConfigError, FormatError

from .builders import CONFIG, small_torch


def test_both_files_are_needed(tmp_path: Path) -> None:
    assert not is_nemo_folder(tmp_path)
    (tmp_path / "model_config.yaml").write_bytes(CONFIG)
    assert not is_nemo_folder(tmp_path)
    (tmp_path / "model_weights.ckpt").write_bytes(small_torch())
    assert is_nemo_folder(tmp_path)


def test_artifacts_are_files_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "model_config.yaml").write_bytes(CONFIG)
    (tmp_path / "model_weights.ckpt").write_bytes(small_torch())
    (tmp_path / "speakers.json").write_bytes(b"{}")
    (tmp_path / "folder").mkdir()
    found = NemoFolder(tmp_path, FileBytes.open(tmp_path / "model_weights.ckpt"))
    assert found.artifacts == ("speakers.json",)
    assert found.artifact("nemo:speakers.json") == b"{}"
    with pytest.raises(ConfigError, match=r"'speakers\.json', got '/etc/passwd'"):
        found.artifact("/etc/passwd")
    with pytest.raises(FormatError, match="at most 1 bytes"):
        found.artifact("speakers.json", 1)
