"""Opening checkpoints of the family "t3"."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import TEXT_VOCAB, t3_model, t3_tensors, write_t3
from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.export.t3_checkpoint import open_t3


def test_fields_and_tensors(tmp_path: Path) -> None:
    source = open_t3(write_t3(tmp_path / "checkpoint", "english"))
    fields = source.fields
    assert (fields.variant, fields.text_vocab, fields.speech_vocab) == ("english", TEXT_VOCAB, 96)
    assert (fields.text_start, fields.text_stop, fields.start_rows) == (7, 0, 2)
    assert fields.conditioning.queries == 5
    expected = t3_tensors(t3_model("english"), 5)["text_embedding"]
    assert np.array_equal(source.floats("text_embedding", *expected.shape), expected)


def test_a_text_without_a_frame(tmp_path: Path) -> None:
    fields = open_t3(write_t3(tmp_path / "a", "turbo", text_start=-1)).fields
    assert fields.text_start is None
    assert fields.text_stop is None


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_tensors_are_widened_exactly(dtype: str, tmp_path: Path) -> None:
    folder = write_t3(tmp_path / "checkpoint", "english")
    values = np.array([1.5, -2.0, 0.25], np.float32)
    narrow = cast("x", values, "float32", dtype)
    write_safetensors(folder / "model.safetensors", {"x": tensor_of_array("x", narrow, dtype)})
    assert open_t3(folder).floats("x", 3).tolist() == values.tolist()


def test_bad_checkpoints_are_refused(tmp_path: Path) -> None:
    folder = write_t3(tmp_path / "checkpoint", "english")
    source = open_t3(folder)
    with pytest.raises(rt.FormatError, match=r"no_such: expected \[3\], got nothing"):
        source.floats("no_such", 3)
    with pytest.raises(rt.FormatError, match=r"text_embedding: expected \[3\], got \[40, 32\]"):
        source.floats("text_embedding", 3)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for change, message in [
        ({"family": "magpie"}, "family: expected 't3', got 'magpie'"),
        ({"model": {**config["model"], "variant": "bass"}}, "model.variant: expected one of"),
        ({"model": {**config["model"], "conditioning": None}}, "model.conditioning: expected"),
    ]:
        (folder / "config.json").write_text(json.dumps({**config, **change}), "utf-8")
        with pytest.raises(rt.FormatError, match=message):
            open_t3(folder)
