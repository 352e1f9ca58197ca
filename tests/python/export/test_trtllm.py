"""Exports: the files, their dtypes, and what is never overwritten."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import write_t3, write_voice
from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.export import export_trtllm
from ttsrt_rt.export.prompt_table import read_prompt_table
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_layout import rank_tensors

FILES = {
    "build_engine.sh",
    "config.json",
    "logits_bias.npy",
    "prompt_table.npz",
    "rank0.safetensors",
    "t3_metadata.json",
    "voices.safetensors",
}


def make(folder: Path, variant: str = "english") -> tuple[Path, list[Path]]:
    checkpoint = write_t3(folder / "checkpoint", variant)
    voices = [
        write_voice(folder / f"{name}.safetensors", variant, seed=seed, tokens=tokens)
        for seed, (name, tokens) in enumerate([("anna", 9), ("ben", 0), ("carl", 4)])
    ]
    return checkpoint, voices


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_the_dtype_is_that_asked_for(variant: str, dtype: str, tmp_path: Path) -> None:
    checkpoint, voices = make(tmp_path, variant)
    done: list[int] = []
    folder = export_trtllm(
        checkpoint,
        tmp_path / "export",
        voices=voices,
        dtype=dtype,
        progress=lambda count, of, name: done.append(of - count),
    )
    restarts = variant == "english"
    assert {path.name for path in folder.iterdir()} == FILES | (
        {"positions.safetensors"} if restarts else set()
    )
    assert os.access(folder / "build_engine.sh", os.X_OK)
    found = SafetensorsFile.open(folder / "rank0.safetensors").tensors
    expected = rank_tensors(open_t3(checkpoint))
    assert found.keys() == expected.keys()
    assert done == list(range(len(done)))[::-1]
    assert len(done) == len(expected) + 2 * restarts
    for name, tensor in expected.items():
        assert found[name].dtype == dtype
        wanted = cast(name, np.ascontiguousarray(tensor.read()), "float32", dtype)
        assert np.array_equal(found[name].read(), wanted), name


def test_any_number_of_voices(tmp_path: Path) -> None:
    checkpoint, _ = make(tmp_path)
    voices = [
        write_voice(tmp_path / f"v{index}.safetensors", "english", seed=index, tokens=index % 13)
        for index in range(40)
    ]
    folder = export_trtllm(checkpoint, tmp_path / "export", voices=voices)
    table = read_prompt_table(folder / "prompt_table.npz")
    assert table.table.shape == (40 * 7, 32)
    assert table.rows_per_task.tolist() == [7]
    assert table.lengths.tolist() == [7 if index % 13 else 2 for index in range(40)]


def test_what_the_stock_model_lacks_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for variant, words in [("english", "adds no learned positions"), ("turbo", "bias of the head")]:
        checkpoint, voices = make(tmp_path / variant, variant)
        with caplog.at_level(logging.WARNING):
            caplog.clear()
            export_trtllm(checkpoint, tmp_path / variant / "export", voices=voices)
        assert [words in record.message for record in caplog.records] == [True]


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    checkpoint, voices = make(tmp_path)
    folder = export_trtllm(checkpoint, tmp_path / "export", voices=voices)
    before = (folder / "prompt_table.npz").read_bytes()
    with pytest.raises(rt.ConfigError, match="holds a TensorRT-LLM export already; pass overwrite"):
        export_trtllm(checkpoint, folder, voices=voices[:1])
    assert (folder / "prompt_table.npz").read_bytes() == before
    export_trtllm(checkpoint, folder, voices=voices[:1], overwrite=True)
    assert (folder / "prompt_table.npz").read_bytes() != before
    with pytest.raises(rt.ConfigError, match="never replaced"):
        export_trtllm(checkpoint, checkpoint, voices=voices, overwrite=True)


def test_failures_leave_nothing(tmp_path: Path) -> None:
    checkpoint, voices = make(tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())

    def stop(count: int, of: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_trtllm(checkpoint, tmp_path / "export", voices=voices, progress=stop)
    after = [path.name for path in tmp_path.iterdir() if not path.name.endswith("-lock")]
    assert sorted(after) == before


def test_bad_arguments(tmp_path: Path) -> None:
    checkpoint, voices = make(tmp_path)
    with pytest.raises(rt.ConfigError, match=r"dtype: expected .*; write 'float16'"):
        export_trtllm(checkpoint, tmp_path / "export", voices=voices, dtype="fp16")
    with pytest.raises(rt.ConfigError, match="voices: expected a list of voice files"):
        export_trtllm(checkpoint, tmp_path / "export", voices="anna.safetensors")
    flash = write_t3(tmp_path / "flash", "flash")
    with pytest.raises(rt.ConfigError, match="flash"):
        export_trtllm(flash, tmp_path / "export", voices=voices)
    assert not (tmp_path / "export").exists()
