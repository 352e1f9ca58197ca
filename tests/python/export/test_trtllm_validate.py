"""The report of all checks."""

from __future__ import annotations

from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.python.export.damage import put, with_field, with_tensor, write_export
from ttsrt_rt.export import validate_trtllm

NAMES = [
    *("export_integrity", "weights", "embedding_equivalence", "logits_bias"),
    *("prompt_table", "voice_prefix", "generation_equivalence"),
]


def test_every_check_is_reported(tmp_path: Path) -> None:
    checkpoint, folder = write_export(tmp_path, "english", "float32")
    reports = validate_trtllm(folder, checkpoint)
    assert [(report.check, report.is_ok) for report in reports] == [(name, True) for name in NAMES]


def test_a_failure_does_not_hide_others(tmp_path: Path) -> None:
    checkpoint, folder = write_export(tmp_path, "english", "float32")
    with_field("t3_metadata.json", "ids.bos", 5000)(folder)  # beyond the table
    name = "transformer.layers.0.post_layernorm.weight"
    with_tensor("rank0.safetensors", name, put(0, 7))(folder)
    reports = {report.check: report for report in validate_trtllm(folder, checkpoint)}
    failed = [check for check, report in reports.items() if not report.is_ok]
    assert failed == [NAMES[0], NAMES[1], NAMES[2], NAMES[6]]
    assert "ids: bos: expected 130, got 5000" in reports["export_integrity"].detail
    assert "IndexError" in reports["embedding_equivalence"].detail
    assert f"{name}: [0] differs" in reports["weights"].detail


def test_other_folders_are_refused(tmp_path: Path) -> None:
    checkpoint, folder = write_export(tmp_path, "english", "float16")
    with pytest.raises(rt.NotFoundError, match=r"t3_metadata\.json"):
        validate_trtllm(checkpoint, checkpoint)
    with pytest.raises(rt.FormatError, match=r"config\.json"):
        validate_trtllm(folder, folder)
