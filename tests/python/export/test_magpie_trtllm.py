"""Exports of Magpie: the layout of the TensorRT-LLM fork, read back equal, and what is refused."""

from __future__ import annotations

import json
import logging
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.damage import put, with_tensor
from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert
from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.export import export_trtllm, validate_trtllm

DATA = Path(__file__).parents[2] / "data" / "magpie"

# The layer tensors of the published layout: how many axes, and which are square in [dim, dim].
ENCODER = {
    "attention_layernorm": ["dim"],
    "attention.qkv": ["3 dim", "dim"],
    "attention.dense": ["dim", "dim"],
    "pos_ff_layernorm": ["dim"],
    "pos_ff.proj": ["ffn", "dim", 3, 1],
    "pos_ff.o_net": ["dim", "ffn", 3, 1],
}
DECODER = {
    "self_attention_layernorm": ["dim"],
    "self_attention.qkv": ["3 dim", "dim"],
    "self_attention.dense": ["dim", "dim"],
    "cross_attention_layernorm": ["dim"],
    "cross_attention_memory_layernorm": ["dim"],
    "cross_attention.qkv": ["3 cross", "dim"],
    "cross_attention.dense": ["dim", "cross"],
    "pos_ff_layernorm": ["dim"],
    "pos_ff.proj": ["ffn", "dim", 1, 1],
    "pos_ff.o_net": ["dim", "ffn", 1, 1],
}


def converted(folder: Path, name: str) -> Path:
    return convert(DATA / name, folder / f"{name}.checkpoint", progress=False)


def shapes(folder: Path, part: str) -> dict[str, list[int]]:
    found = SafetensorsFile.open(folder / part / "rank0.safetensors").tensors
    return {name: list(tensor.shape) for name, tensor in found.items()}


def test_names_and_shapes_are_the_fork_s(tmp_path: Path) -> None:
    folder = export_trtllm(converted(tmp_path, "tinyfork.ckpt"), tmp_path / "export")
    sizes = {"dim": 64, "3 dim": 192, "ffn": 256, "cross": 16, "3 cross": 48}
    expected: dict[str, dict[str, list[object]]] = {
        "encoder": {"embedding.vocab_embedding.weight": [30, "dim"]},
        "decoder": {
            "embedding.vocab_embedding.weight": [4 * 96 + 1, "dim"],
            "lm_head.weight": [4 * 96, "dim"],
            "lm_head.bias": [4 * 96],
        },
    }
    for part, count, names in (("encoder", 2, ENCODER), ("decoder", 4, DECODER)):
        config = json.loads((folder / part / "config.json").read_text())
        positions = config["max_position_embeddings"]
        expected[part]["embedding.position_embedding.weight"] = [positions, "dim"]
        expected[part]["final_layernorm.weight"] = ["dim"]
        for layer in range(count):
            for name, shape in names.items():
                expected[part][f"{part}_layers.{layer}.{name}.weight"] = list(shape)
        wanted = {
            name: [sizes.get(str(size), size) for size in shape]
            for name, shape in expected[part].items()
        }
        assert shapes(folder, part) == wanted
        assert config["architecture"] == f"T5TTS{part.capitalize()}Model"
        assert config["model_type"] == "t5tts"
        assert (config["num_hidden_layers"], config["hidden_size"]) == (count, 64)
        assert (config["num_attention_heads"], config["head_size"]) == (4, 16)
        assert config["position_embedding_type"] == "learned_absolute"
    assert config["vocab_sizes"] == [96] * 4
    assert config["vocab_size"] == 384
    assert config["cross_attention"] is True
    assert config["use_attention_prior"] is True
    assert config["attention_prior_lookahead"] == 5


def test_the_last_row_is_no_token(tmp_path: Path) -> None:
    checkpoint = converted(tmp_path, "tiny2503.ckpt")
    folder = export_trtllm(checkpoint, tmp_path / "export", dtype="float32")
    found = SafetensorsFile.open(folder / "decoder" / "rank0.safetensors").tensors
    table = found["embedding.vocab_embedding.weight"].read()
    tables = open_checkpoint(checkpoint).weights["audio_embeddings"].read()
    assert np.array_equal(table[:-1].reshape(tables.shape), tables)
    assert not table[-1].any()
    metadata = json.loads((folder / "magpie_metadata.json").read_text())
    assert metadata["ids"]["no_token"] == len(table) - 1


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["tinyfork.ckpt", "tiny2503.ckpt"])
def test_our_reader_reads_it_back_equal(name: str, dtype: str, tmp_path: Path) -> None:
    checkpoint = converted(tmp_path, name)
    folder = export_trtllm(checkpoint, tmp_path / "export", dtype=dtype)
    causal = open_checkpoint(checkpoint).model.text_encoder.causal
    again = convert(folder, tmp_path / "again", encoder_causal=causal, progress=False)
    before, after = open_checkpoint(checkpoint), open_checkpoint(again)
    assert after.weights.keys() == before.weights.keys()
    for tensor_name, tensor in before.weights.items():
        wanted = cast(tensor_name, tensor.read(), tensor.dtype, dtype)
        assert after.weights[tensor_name].dtype == dtype
        assert np.array_equal(after.weights[tensor_name].read(), wanted), tensor_name
    assert after.model.decoder == before.model.decoder
    assert after.model.text_encoder == before.model.text_encoder
    if before.defaults.prior_mode == "window":
        assert after.defaults.prior == before.defaults.prior


def test_stored_voices_are_rows_of_the_context(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoint = converted(tmp_path, "tiny2512.nemo")
    with caplog.at_level(logging.WARNING):
        caplog.clear()
        folder = export_trtllm(checkpoint, tmp_path / "export", dtype="float32")
    told = " ".join(record.message for record in caplog.records)
    for words in ("text encoder is causal", "cross-attention", "local transformer was left out"):
        assert words in told
    weights = open_checkpoint(checkpoint).weights
    lengths = weights["voice_lengths"].read()
    found = SafetensorsFile.open(folder / "context_features.safetensors").tensors
    assert len(found) == len(lengths)
    for voice, length in enumerate(lengths):
        rows = found[str(voice)].read()
        assert np.array_equal(rows, weights["voices"].read()[voice, :length])
    reports = validate_trtllm(folder, checkpoint)
    assert [report.is_ok for report in reports] == [True] * 3, reports


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tinyce.nemo", "model.context: expected codes or voices .*, got encoder"),
        ("tinymulti.nemo", "model.context: expected codes or voices .*, got memory"),
        ("tinyhf.nemo", "model.frame_stacking: expected 1 .*, got 2"),
        ("tinyold.nemo", "model.decoder.kernel: expected 1 .*, got 3"),
    ],
)
def test_models_that_the_fork_cannot_run_are_refused(
    name: str, message: str, tmp_path: Path
) -> None:
    checkpoint = converted(tmp_path, name)
    with pytest.raises(rt.ConfigError, match=message):
        export_trtllm(checkpoint, tmp_path / "export")
    assert not (tmp_path / "export").exists()


def test_arguments_of_t3_are_refused(tmp_path: Path) -> None:
    checkpoint = converted(tmp_path, "tinyfork.ckpt")
    with pytest.raises(rt.ConfigError, match="voices: expected none for a Magpie checkpoint"):
        export_trtllm(checkpoint, tmp_path / "export", voices=["anna.safetensors"])
    folder = export_trtllm(checkpoint, tmp_path / "export")
    with pytest.raises(rt.ConfigError, match="prompt_table: expected none"):
        validate_trtllm(folder, checkpoint, prompt_table="table.npz")


def test_the_script_names_the_flags_of_both_engines(tmp_path: Path) -> None:
    folder = export_trtllm(converted(tmp_path, "tinyfork.ckpt"), tmp_path / "export")
    script = folder / "build_engine.sh"
    assert os.access(script, os.X_OK)
    tools = tmp_path / "tools"
    tools.mkdir()
    fake = tools / "trtllm-build"
    fake.write_text('#!/bin/sh\necho "$@"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        [script, str(tmp_path / "engines"), "--max_batch_size", "8"],
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    encoder, decoder = done.stdout.splitlines()
    for part, line in (("encoder", encoder), ("decoder", decoder)):
        assert (
            f"--checkpoint_dir {folder / part} --output_dir {tmp_path / 'engines' / part}" in line
        )
        assert "--gpt_attention_plugin float16" in line
        assert line.endswith("--max_batch_size 8")  # the last one counts
    assert "--max_encoder_input_len" in decoder
    assert "--max_encoder_input_len" not in encoder
    assert "multi_block_mode=false" in script.read_text()


def _other_field(folder: Path) -> None:
    path = folder / "decoder" / "config.json"
    path.write_text(path.read_text().replace('"skip_cross_kv": false', '"skip_cross_kv": true'))


def _other_script(folder: Path) -> None:
    (folder / "build_engine.sh").write_text("#!/bin/sh\n")


@pytest.mark.parametrize(
    ("damage", "failed"),
    [
        (_other_field, ["export_integrity"]),
        (_other_script, ["export_integrity"]),
        (
            with_tensor(
                "encoder/rank0.safetensors",
                "encoder_layers.0.attention.dense.weight",
                put((0, 0), 5),
            ),
            ["weights", "read_back"],
        ),
    ],
)
def test_damage_is_found(damage: Callable[[Path], None], failed: list[str], tmp_path: Path) -> None:
    checkpoint = converted(tmp_path, "tinyfork.ckpt")
    folder = export_trtllm(checkpoint, tmp_path / "export")
    assert all(report.is_ok for report in validate_trtllm(folder, checkpoint))
    damage(folder)
    reports = validate_trtllm(folder, checkpoint)
    assert [report.check for report in reports if not report.is_ok] == failed


def test_the_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = str(converted(tmp_path, "tinyfork.ckpt"))
    export = str(tmp_path / "export")
    assert main(["export-trtllm", checkpoint, export, "--dtype", "bfloat16"]) == 0
    assert f"ttsrt validate --trtllm {export}" in capsys.readouterr().out
    assert main(["export-trtllm", checkpoint, export]) == 2
    assert "pass --overwrite to replace it" in capsys.readouterr().err
    assert main(["export-trtllm", checkpoint, export, "--overwrite"]) == 0
    capsys.readouterr()
    assert main(["validate", "--trtllm", export, "--checkpoint_dir", checkpoint]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[2:-1]] == [
        ["export_integrity", "ok"],
        ["weights", "ok"],
        ["read_back", "ok"],
    ]
