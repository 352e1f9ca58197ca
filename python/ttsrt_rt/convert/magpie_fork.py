"""Presents a folder in the layout of the TensorRT-LLM fork as an original checkpoint.

The folder has `encoder/` and `decoder/`, each with `config.json` and `rank0.safetensors`. This
module gives every tensor its original name and shape (as views, without copies) and writes the
matching configuration, so that one converter serves both layouts. It splits the stacked
cross-attention rows and the concatenated audio tables, drops the zero row appended to them, and
drops the trailing axis of convolutions. The layout has lost the bias of the final projection: zeros
replace it, with a notice. The fork's engine runs the text encoder without causality, so that is the
default here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.convert import magpie_model as m
from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.lazy_tensor import DTYPES, Array, LazyTensor
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names

MAX_CONFIG_BYTES = 1 << 20
WEIGHTS = "rank0.safetensors"

ENCODER_LAYER = {
    "attention_layernorm": "norm_self",
    "attention.qkv": "self_attention.qkv_net",
    "attention.dense": "self_attention.o_net",
    "pos_ff_layernorm": "norm_pos_ff",
    "pos_ff.proj": "pos_ff.proj.conv",
    "pos_ff.o_net": "pos_ff.o_net.conv",
}
DECODER_LAYER = {
    "self_attention_layernorm": "norm_self",
    "self_attention.qkv": "self_attention.qkv_net",
    "self_attention.dense": "self_attention.o_net",
    "cross_attention_layernorm": "norm_xattn_query",
    "cross_attention_memory_layernorm": "norm_xattn_memory",
    "cross_attention.dense": "cross_attention.o_net",
    "pos_ff_layernorm": "norm_pos_ff",
    "pos_ff.proj": "pos_ff.proj.conv",
    "pos_ff.o_net": "pos_ff.o_net.conv",
}


@dataclass(frozen=True)
class ForkSource:
    """The contents of the folder, under the names of the original checkpoint.

    `config` is a model block, `tensors` are keyed by original names, and `prior` is the decoder's
    configuration.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, LazyTensor]
    prior: Block
    notices: tuple[str, ...]


def _read_json(path: Path) -> Block:
    where = f"{path.parent.name}/{path.name}: "
    return Block(read_json(path, max_bytes=MAX_CONFIG_BYTES), where, ConfigError)


def _derived(
    source: LazyTensor, name: str, shape: tuple[int, ...], change: Callable[[Array], Array]
) -> LazyTensor:
    """Returns a tensor whose values are computed from another tensor when it is read."""
    nbytes = int(np.prod(shape, dtype=np.int64)) * DTYPES[source.dtype].itemsize
    return LazyTensor(name, source.dtype, shape, nbytes, lambda: change(source.read()))


class _Component:
    """One of the two folders: its configuration and its tensors.

    `left` holds the tensors that were not used yet, `made` the results by original names.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        self.config = _read_json(folder / "config.json")
        self.left = dict(open_weights(folder / WEIGHTS))
        self.made: dict[str, LazyTensor] = {}

    def take(self, name: str, rank: int) -> LazyTensor:
        """Removes and returns the tensor of this name, with or without the prefix `transformer.`;
        it must have `rank` axes.
        """
        for full in (name, f"transformer.{name}"):
            if full in self.left:
                tensor = self.left.pop(full)
                if len(tensor.shape) != rank or 0 in tensor.shape:
                    raise FormatError(
                        f"{self.name}: {name}: expected {rank} axes, got {list(tensor.shape)}"
                    )
                return tensor
        raise FormatError(f"{self.name}: {name}: missing")

    def has(self, name: str) -> bool:
        """Whether `take` would find this name."""
        return name in self.left or f"transformer.{name}" in self.left

    def rename(self, ours: str, original: str, rank: int) -> None:
        """Moves a tensor to the results under its original name."""
        self.made[original] = replace(self.take(ours, rank), name=original)

    def slice_rows(self, source: LazyTensor, original: str, begin: int, end: int) -> None:
        """Adds rows begin..end-1 of a tensor to the results as a tensor of their own."""
        shape = (end - begin, *source.shape[1:])
        self.made[original] = _derived(source, original, shape, lambda values: values[begin:end])

    def layers(self, stack: str, names: Mapping[str, str], count: int) -> None:
        """Moves the layers of one stack to the results; convolutions lose their last axis."""
        for layer in range(count):
            for ours, original in names.items():
                full = f"{stack}.layers.{layer}.{original}.weight"
                name = f"{stack}_layers.{layer}.{ours}.weight"
                if not original.endswith(".conv"):
                    self.rename(name, full, 1 if "norm" in ours else 2)
                    continue
                source = self.take(name, 4)
                if source.shape[3] != 1:
                    raise FormatError(
                        f"{self.name}: {name}: expected a last axis of 1, got {list(source.shape)}"
                    )
                shape = source.shape[:3]
                self.made[full] = _derived(source, full, shape, lambda values: values[..., 0])


def _read_encoder(folder: Path) -> tuple[_Component, dict[str, Any]]:
    part = _Component(folder / "encoder")
    layers = part.config.integer("num_hidden_layers", 1, m.MAX_LAYERS)
    part.rename("embedding.vocab_embedding.weight", "text_embedding.weight", 2)
    part.rename("embedding.position_embedding.weight", "encoder.position_embeddings.weight", 2)
    part.layers("encoder", ENCODER_LAYER, layers)
    part.rename("final_layernorm.weight", "encoder.norm_out.weight", 1)
    return part, {**_stack_fields(part.config, layers), "is_causal": False}


def _stack_fields(config: Block, layers: int) -> dict[str, Any]:
    fields = {
        "n_layers": layers,
        "sa_n_heads": config.integer("num_attention_heads", 1, m.MAX_HEADS),
        "apply_norm_out": True,
    }
    for ours, theirs in (("d_model", "hidden_size"), ("d_ffn", "intermediate_size")):
        if config.has(theirs):
            fields[ours] = config.integer(theirs, 1, m.MAX_FFN_DIM)
    return fields


def _read_decoder(folder: Path, notices: list[str]) -> tuple[_Component, dict[str, Any]]:
    part = _Component(folder / "decoder")
    layers = part.config.integer("num_hidden_layers", 1, m.MAX_LAYERS)
    sizes = part.config.integers_with_repeats("vocab_sizes", 2, m.MAX_VOCAB)
    if not sizes or len(sizes) > m.MAX_TABLES or len(set(sizes)) != 1:
        raise part.config.fail("vocab_sizes", f"1..{m.MAX_TABLES} equal sizes")
    table = part.take("embedding.vocab_embedding.weight", 2)
    vocab, rows = sizes[0], table.shape[0]
    if rows not in (vocab * len(sizes), vocab * len(sizes) + 1):
        raise FormatError(
            f"decoder: embedding.vocab_embedding.weight: expected {vocab * len(sizes)} rows "
            f"and a zero row, got {rows}"
        )
    for index in range(len(sizes)):
        part.slice_rows(
            table, f"audio_embeddings.{index}.weight", index * vocab, (index + 1) * vocab
        )
    part.rename("embedding.position_embedding.weight", "decoder.position_embeddings.weight", 2)
    part.layers("decoder", DECODER_LAYER, layers)
    for layer in range(layers):
        base = f"decoder.layers.{layer}.cross_attention"
        qkv = part.take(f"decoder_layers.{layer}.cross_attention.qkv.weight", 2)
        inner, rest = divmod(qkv.shape[0], 3)
        if rest:
            raise FormatError(f"{base}.qkv: expected rows in three equal parts, got {qkv.shape[0]}")
        part.slice_rows(qkv, f"{base}.q_net.weight", 0, inner)
        part.slice_rows(qkv, f"{base}.kv_net.weight", inner, 3 * inner)
    part.rename("final_layernorm.weight", "decoder.norm_out.weight", 1)
    part.rename("lm_head.weight", "final_proj.weight", 2)
    _take_bias(part, notices)
    notices.append(
        "cross-attention is assumed to have one head, as in the published models; pass cross_heads "
        "if this model has more"
    )
    return part, {
        **_stack_fields(part.config, layers),
        "is_causal": True,
        "has_xattn": True,
        "xa_n_heads": 1,
    }


def _take_bias(part: _Component, notices: list[str]) -> None:
    name = "final_proj.bias"
    if part.has("lm_head.bias"):
        part.rename("lm_head.bias", name, 1)
        return
    weight = part.made["final_proj.weight"]
    rows = weight.shape[:1]
    dtype = DTYPES[weight.dtype]
    part.made[name] = LazyTensor(
        name, weight.dtype, rows, rows[0] * dtype.itemsize, lambda: np.zeros(rows, dtype)
    )
    notices.append("the fork's layout has no bias for the final projection: zeros replace it")


def read_fork_folder(folder: Path) -> ForkSource:
    """Reads both components, without the values of their tensors.

    Raises:
        ConfigError: a field is missing or out of its limits.
        FormatError: a tensor is missing, unexpected, or of a shape that does not fit this layout.
    """
    notices: list[str] = []
    encoder, encoder_fields = _read_encoder(folder)
    decoder, decoder_fields = _read_decoder(folder, notices)
    for part in (encoder, decoder):
        if part.left:
            names = list_names(sorted(part.left))
            raise FormatError(f"{part.name}: {len(part.left)} unexpected tensors: {names}")
    config = {
        "model_type": "decoder_context_tts",
        "encoder": {**encoder_fields, "use_learnable_pos_emb": True},
        "decoder": {**decoder_fields, "use_learnable_pos_emb": True},
    }
    if decoder.made["audio_embeddings.0.weight"].shape[0] == 2048:
        config["num_audio_tokens_per_codebook"] = 2048  # type: ignore[assignment]
    return ForkSource(config, {**encoder.made, **decoder.made}, decoder.config, tuple(notices))
