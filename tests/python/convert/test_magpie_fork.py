"""Writes a golden checkpoint in the TensorRT-LLM fork's layout, converts it, and compares."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.convert.magpie_fork import DECODER_LAYER, ENCODER_LAYER
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import ConfigError, FormatError

DATA = Path(__file__).parents[2] / "data" / "magpie"
Arrays = dict[str, npt.NDArray[Any]]


def fork_tensors(source: Arrays, stack: str, layers: int, names: dict[str, str]) -> Arrays:
    made: Arrays = {}
    made["embedding.position_embedding.weight"] = source[f"{stack}.position_embeddings.weight"]
    made["final_layernorm.weight"] = source[f"{stack}.norm_out.weight"]
    for layer in range(layers):
        for ours, original in names.items():
            values = source[f"{stack}.layers.{layer}.{original}.weight"]
            if original.endswith(".conv"):
                values = values[..., None]
            made[f"{stack}_layers.{layer}.{ours}.weight"] = values
    return made


def write_fork(folder: Path, drop: str = "", extra: Arrays | None = None) -> Path:
    """Writes the golden 2503 model in the fork's layout, in float16 like the fork's converter."""
    with open_weights(DATA / "tiny2503.ckpt") as weights:
        source = {name: np.array(tensor.read()) for name, tensor in weights.items()}
    encoder = fork_tensors(source, "encoder", 2, ENCODER_LAYER)
    encoder["embedding.vocab_embedding.weight"] = source["text_embedding.weight"]
    decoder = fork_tensors(source, "decoder", 4, DECODER_LAYER)
    tables = [source[f"audio_embeddings.{i}.weight"] for i in range(4)]
    decoder["embedding.vocab_embedding.weight"] = np.concatenate(
        [*tables, np.zeros((1, 64), np.float32)]
    )
    decoder["lm_head.weight"] = source["final_proj.weight"]
    for layer in range(4):
        base = f"decoder.layers.{layer}.cross_attention"
        decoder[f"decoder_layers.{layer}.cross_attention.qkv.weight"] = np.concatenate(
            [source[f"{base}.q_net.weight"], source[f"{base}.kv_net.weight"]]
        )
    decoder |= extra or {}
    common = {"num_attention_heads": 4, "hidden_size": 64, "intermediate_size": 256}
    for name, arrays, config in (
        ("encoder", encoder, {"num_hidden_layers": 2}),
        ("decoder", decoder, {"num_hidden_layers": 4, "vocab_sizes": [96] * 4}),
    ):
        (folder / name).mkdir(parents=True)
        (folder / name / "config.json").write_text(json.dumps(common | config))
        tensors = {
            key: tensor_of_array(key, values.astype(np.float16))
            for key, values in arrays.items()
            if key != drop
        }
        write_safetensors(folder / name / "rank0.safetensors", tensors)
    return folder


def test_the_layout_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        made = convert(write_fork(tmp_path / "fork"), tmp_path / "made", progress=False)
    assert "bias" in caplog.text
    checkpoint = open_checkpoint(made)
    direct = open_checkpoint(
        convert(DATA / "tiny2503.ckpt", tmp_path / "direct", dtype="float16", progress=False)
    )
    assert set(checkpoint.weights) == set(direct.weights)
    for name, tensor in direct.weights.items():
        got = checkpoint.weights[name].read()
        if name == "final_proj_bias":
            assert not got.any()
        else:
            np.testing.assert_array_equal(got, tensor.read(), err_msg=name)
    assert not checkpoint.model.text_encoder.causal
    assert checkpoint.model.decoder == direct.model.decoder
    prior = checkpoint.defaults.prior
    assert prior is not None
    assert (prior.mode, prior.epsilon, prior.left, prior.right) == ("window", 0.1, 1, 5)
    assert (prior.lookahead, prior.skip_after, prior.end_after) == (5, 8, 20)


def test_options_override_the_layout(tmp_path: Path) -> None:
    folder = write_fork(tmp_path / "fork")
    made = convert(folder, tmp_path / "o", encoder_causal=True, cross_heads=2, progress=False)
    model = open_checkpoint(made).model
    assert model.text_encoder.causal
    assert (model.decoder.cross_heads, model.decoder.cross_head_dim) == (2, 8)


def test_an_existing_bias_is_kept(tmp_path: Path) -> None:
    folder = write_fork(tmp_path / "fork", extra={"lm_head.bias": np.full(384, 0.5, np.float32)})
    weights = open_checkpoint(convert(folder, tmp_path / "o", progress=False)).weights
    assert (weights["final_proj_bias"].read() == 0.5).all()


def test_missing_and_unexpected_tensors(tmp_path: Path) -> None:
    name = "decoder_layers.1.self_attention.dense.weight"
    with pytest.raises(
        FormatError, match=r"decoder_layers\.1\.self_attention\.dense\.weight: missing"
    ):
        convert(write_fork(tmp_path / "a", drop=name), tmp_path / "o", progress=False)
    extra = {"router.weight": np.zeros(2, np.float32)}
    with pytest.raises(FormatError, match=r"1 unexpected tensors: router\.weight"):
        convert(write_fork(tmp_path / "b", extra=extra), tmp_path / "o", progress=False)


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("decoder", {"vocab_sizes": [96, 95, 96, 96]}, "vocab_sizes"),
        ("decoder", {"vocab_sizes": []}, "vocab_sizes"),
        ("decoder", {"vocab_sizes": [96] * 3}, "expected 288 rows"),
        ("decoder", {"num_hidden_layers": -1}, "decoder/config.json: num_hidden_layers"),
        ("encoder", {"num_attention_heads": 0}, "encoder/config.json: num_attention_heads"),
        ("encoder", {"hidden_size": 128}, "d_model"),
    ],
)
def test_bad_configurations(
    tmp_path: Path, part: str, change: dict[str, Any], message: str
) -> None:
    folder = write_fork(tmp_path / "fork")
    path = folder / part / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises((ConfigError, FormatError), match=message):
        convert(folder, tmp_path / "o", progress=False)
