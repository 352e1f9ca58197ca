"""What the driver of an exported engine is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_metadata import METADATA, metadata_of, read_metadata
from ttsrt_rt.export.voices import read_voices


def metadata_for(variant: str, folder: Path) -> dict[str, object]:
    source = open_t3(write_t3(folder / "checkpoint", variant))
    voices = read_voices([write_voice(folder / "anna.safetensors", variant)], source)
    return metadata_of(source.fields, voices, [7], dtype="float16", conditioning_hash="c")


def test_the_llama_kind(tmp_path: Path) -> None:
    metadata = metadata_for("english", tmp_path)
    assert metadata["start_rows"] == 2
    assert metadata["ids"] == {
        "vocab_size": 136,
        "text": [0, 40],
        "speech": [40, 136],
        "speech_offset": 40,
        "text_start": 7,
        "text_stop": 0,
        "bos": 130,
        "eos": 131,
    }
    positions = metadata["positions"]
    assert isinstance(positions, dict)
    assert (positions["bos"], positions["first_generated"]) == (0, 1)
    assert "adds no learned positions" in str(metadata["stock_engine"])


def test_the_gpt_kind(tmp_path: Path) -> None:
    metadata = metadata_for("turbo", tmp_path)
    assert metadata["start_rows"] == 1
    positions, bias = metadata["positions"], metadata["logits_bias"]
    assert isinstance(positions, dict)
    assert isinstance(bias, dict)
    assert positions["file"] is None
    assert bias["has_head_bias"] is True
    assert "exactly" in str(metadata["stock_engine"])


def test_reading(tmp_path: Path) -> None:
    with pytest.raises(rt.NotFoundError, match=r"t3_metadata\.json"):
        read_metadata(tmp_path)
    metadata = metadata_for("english", tmp_path)
    (tmp_path / METADATA).write_text(json.dumps(metadata), "utf-8")
    assert read_metadata(tmp_path).integer("start_rows", 1, 2) == 2
    for change, message in [
        ({"format": "other"}, "format: expected 'ttsrt.trtllm_export', got 'other'"),
        ({"format_version": 2}, "format_version: expected an integer in 1..1, got 2"),
    ]:
        (tmp_path / METADATA).write_text(json.dumps({**metadata, **change}), "utf-8")
        with pytest.raises(rt.FormatError, match=message):
            read_metadata(tmp_path)
