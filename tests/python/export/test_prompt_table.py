"""The table of voices' rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.export.prompt_table import (
    pack_prompt_table,
    read_prompt_table,
    rounded,
    write_prompt_table,
)


def rows_of(*lengths: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {
        f"voice-{length}": random.normal(size=(length, 6)).astype(np.float32) for length in lengths
    }


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_rows_stand_where_the_builder_reads_them(dtype: str, tmp_path: Path) -> None:
    rows = rows_of(3, 1, 5)
    write_prompt_table(tmp_path / "table.npz", pack_prompt_table(rows, dtype))
    table = read_prompt_table(tmp_path / "table.npz")
    assert table.table.dtype == (np.float16 if dtype == "float16" else np.float32)
    assert table.table.shape == (15, 6)
    assert table.rows_per_task.tolist() == [5]
    assert table.lengths.tolist() == [3, 1, 5]
    assert table.names.tolist() == ["voice-3", "voice-1", "voice-5"]
    for task, each in enumerate(rows.values()):
        found = table.table[5 * task : 5 * task + 5].astype(np.float32)
        assert np.array_equal(found[: len(each)], rounded("rows", each, dtype))
        assert not found[len(each) :].any()


def test_bfloat16_is_rounded_to_bfloat16() -> None:
    values = np.array([[1.0 + 2.0**-9, 1.0 + 2.0**-7]], np.float32)
    assert rounded("x", values, "bfloat16").tolist() == [[1.0, 1.0 + 2.0**-7]]
    assert pack_prompt_table({"a": values}, "bfloat16").table.tolist() == [[1.0, 1.0 + 2.0**-7]]


def test_values_beyond_float16_are_refused() -> None:
    with pytest.raises(
        rt.FormatError, match="rows of voice anna: has values too large for float16"
    ):
        pack_prompt_table({"anna": np.full((1, 2), 1e6, np.float32)}, "float16")


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.npz"
    with pytest.raises(rt.NotFoundError, match=r"table\.npz"):
        read_prompt_table(path)
    path.write_bytes(b"no archive")
    with pytest.raises(rt.FormatError, match=r"expected an \.npz archive"):
        read_prompt_table(path)
    np.savez(path, prompt_lengths=np.zeros(1, np.int32))
    with pytest.raises(rt.FormatError, match="expected prompt_embedding_table, got nothing"):
        read_prompt_table(path)
    np.savez_compressed(path, prompt_lengths=np.zeros(1, np.int32))
    with pytest.raises(rt.FormatError, match="not compressed"):
        read_prompt_table(path)
    objects = np.array([None], dtype=object)
    np.savez(
        path, prompt_embedding_table=objects, prompt_vocab_size=1, prompt_lengths=1, voice_names="a"
    )
    with pytest.raises(rt.FormatError, match="plain arrays"):
        read_prompt_table(path)
