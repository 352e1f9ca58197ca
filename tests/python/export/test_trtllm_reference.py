"""The reference of exported files, against the rows and logits of the checkpoint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.damage import without_tensor, write_export
from tests.python.export.t3_random import BOS, TEXT_VOCAB, t3_model, t3_tensors
from ttsrt_rt.export.trtllm_reference import Decoder, ExportedModel, read_floats


def test_rows_with_their_positions(tmp_path: Path) -> None:
    model = ExportedModel(write_export(tmp_path, "english", "float32")[1])
    ours = t3_tensors(t3_model("english"), 5)
    text, speech = ours["text_positions"], ours["speech_positions"]
    assert np.array_equal(model.text_rows([4, 4]), ours["text_embedding"][[4, 4]] + text[:2])
    assert np.array_equal(model.text_rows([4, 5], unconditional=True), text[:2])
    bos = ours["speech_embedding"][BOS] + speech[0]
    assert np.array_equal(model.start_embeddings(), np.stack([bos, bos]))
    row = model.generated_row(TEXT_VOCAB + 3, 6)
    assert np.array_equal(row[0], ours["speech_embedding"][3] + speech[7])


@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_steps_are_the_whole(variant: str, tmp_path: Path) -> None:
    """Rows one at a time give the logits of all rows together, for each of two branches."""
    model = ExportedModel(write_export(tmp_path, variant, "float32")[1])
    rows = np.random.default_rng(1).normal(size=(2, 6, 32)).astype(np.float32)
    whole = Decoder(model, 2).step(rows)
    stepwise = Decoder(model, 2)
    for at in range(6):
        logits = stepwise.step(rows[:, at : at + 1])
    np.testing.assert_allclose(logits, whole, atol=1e-4)
    alone = Decoder(model, 1).step(rows[1:])
    np.testing.assert_allclose(alone[0], whole[1], atol=1e-4)


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    folder = write_export(tmp_path, "english", "float32")[1]
    without_tensor("rank0.safetensors", "lm_head.weight")(folder)
    with pytest.raises(rt.FormatError, match=r"lm_head\.weight: expected a tensor, got nothing"):
        Decoder(ExportedModel(folder), 1).step(np.zeros((1, 1, 32), np.float32))


def test_bfloat16_is_widened(tmp_path: Path) -> None:
    folder = write_export(tmp_path, "english", "bfloat16")[1]
    table = read_floats(folder / "rank0.safetensors")["transformer.vocab_embedding.weight"]
    expected = t3_tensors(t3_model("english"), 5)["text_embedding"]
    np.testing.assert_allclose(table[:TEXT_VOCAB], expected, rtol=2.0**-8)
    assert not (table.view(np.uint32) & 0xFFFF).any()
