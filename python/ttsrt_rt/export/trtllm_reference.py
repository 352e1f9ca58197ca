"""Runs an export in NumPy float32, as TensorRT-LLM's LLaMA and GPT and a correct driver would.

It reads nothing but the exported files, so that it shows what they say: a wrong name, a wrong
factor of the gate, a wrong rule in t3_metadata.json gives other logits. It is written for the check
of `ttsrt validate`, one sequence or one guided pair at a time, not for speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.casting import bits_to_float32
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.errors import FormatError
from ttsrt_rt.export.t3_checkpoint import Floats
from ttsrt_rt.export.trtllm_metadata import BIAS, CONFIG, POSITIONS, WEIGHTS, read_metadata
from ttsrt_rt.json_text import read_json

__all__ = ["Decoder", "ExportedModel", "read_floats"]


def read_floats(path: Path) -> dict[str, Floats]:
    """Reads every tensor of a safetensors file as float32.

    Raises:
        ConfigError: The file can't be read.
        FormatError: It is damaged.
    """
    read: dict[str, Floats] = {}
    for name, tensor in SafetensorsFile.open(path).tensors.items():
        values = tensor.read()
        if tensor.dtype == "bfloat16":
            read[name] = bits_to_float32(values)
        else:
            read[name] = np.ascontiguousarray(values, dtype=np.float32)
    return read


class ExportedModel:
    """An exported folder: its tensors, and the rules of its driver.

    Raises:
        ConfigError, FormatError: A file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        """Reads the files."""
        self.config = Block(read_json(folder / CONFIG), "config.json: ")
        self.metadata = read_metadata(folder)
        self.weights = read_floats(folder / WEIGHTS)
        self._positions: Mapping[str, Floats] = {}
        self._rules = self.metadata.block("positions")
        if self._rules.has("file"):
            self._positions = read_floats(folder / POSITIONS)
        self.bias: Floats = np.load(folder / BIAS, allow_pickle=False)
        self.ids = self.metadata.block("ids")
        self.start_rows = self.metadata.integer("start_rows", 1, 2)

    def tensor(self, name: str) -> Floats:
        """Returns a tensor of rank0.safetensors.

        Raises:
            FormatError: There is none of the name.
        """
        if name not in self.weights:
            raise FormatError(f"{WEIGHTS}: {name}: expected a tensor, got nothing")
        return self.weights[name]

    def text_rows(self, ids: Sequence[int], *, unconditional: bool = False) -> Floats:
        """Embeds the text: [len(ids), hidden]. The unconditional rows are positions alone."""
        rows = self.tensor("transformer.vocab_embedding.weight")[list(ids)]
        if unconditional:
            rows = np.zeros_like(rows)
        first = self._rules.integer("first_text", 0, 1)
        at = range(first, first + len(ids))
        return np.asarray(rows + self._position_rows("text", at), np.float32)

    def start_embeddings(self) -> Floats:
        """Embeds the rows of the BOS: [start_rows, hidden]."""
        bos = self.ids.integer("bos", 0, 1 << 24)
        at = self._rules.integer("bos", 0, 1)
        return self.speech_rows([bos] * self.start_rows, [at] * self.start_rows)

    def generated_row(self, unified_id: int, step: int) -> Floats:
        """Embeds the token that step `step` has drawn: [1, hidden]."""
        return self.speech_rows([unified_id], [self._rules.integer("first_generated", 0, 2) + step])

    def speech_rows(self, unified_ids: Sequence[int], positions: Sequence[int]) -> Floats:
        """Embeds speech at learned positions: [len(unified_ids), hidden]."""
        rows = self.tensor("transformer.vocab_embedding.weight")[list(unified_ids)]
        return np.asarray(rows + self._position_rows("speech", positions), np.float32)

    def _position_rows(self, kind: str, at: Sequence[int]) -> Floats:
        if not self._rules.has(kind):
            return np.zeros((1, 1), np.float32)
        name = str(self._rules.values[kind])
        if name not in self._positions:
            raise FormatError(f"{POSITIONS}: {name}: expected a tensor, got nothing")
        return np.asarray(self._positions[name][list(at)], np.float32)


class Decoder:
    """The decoder with a cache of its own, for `branches` sequences of one length.

    Args:
        model: The export.
        branches: Sequences that advance together.
    """

    def __init__(self, model: ExportedModel, branches: int) -> None:
        config = model.config
        self._model = model
        self._is_gpt = config.word(
            "architecture", ("GPTForCausalLM", "LlamaForCausalLM")
        ).startswith("GPT")
        self._heads = config.integer("num_attention_heads", 1, 4096)
        self._kv_heads = config.integer("num_key_value_heads", 1, self._heads)
        self._head_dim = config.integer("head_size", 1, 4096)
        self._layers = config.integer("num_hidden_layers", 1, 4096)
        self._epsilon = np.float32(config.number("norm_epsilon", 0.0, 1.0))
        empty = np.zeros((branches, self._kv_heads, 0, self._head_dim), np.float32)
        self._cache = [(empty, empty) for _ in range(self._layers)]
        self._length = 0
        self._frequencies = None if self._is_gpt else _frequencies(config, self._head_dim)

    def step(self, rows: Floats) -> Floats:
        """Appends rows [branches, n, hidden]; returns the logits of the last [branches, vocab]."""
        count = rows.shape[1]
        at = np.arange(self._length, self._length + count)
        x = rows
        if self._is_gpt:
            x = x + self._model.tensor("transformer.position_embedding.weight")[at]
        for layer in range(self._layers):
            where = f"transformer.layers.{layer}"
            x = x + self._attend(layer, where, self._norm(x, f"{where}.input_layernorm"), at)
            x = x + self._feed_forward(where, self._norm(x, f"{where}.post_layernorm"))
        self._length += count
        last = self._norm(x[:, -1], "transformer.ln_f")
        return np.asarray(last @ self._model.tensor("lm_head.weight").T, np.float32)

    def _linear(self, x: Floats, name: str) -> Floats:
        y = x @ self._model.tensor(f"{name}.weight").T
        return np.asarray(y + self._model.tensor(f"{name}.bias") if self._is_gpt else y)

    def _norm(self, x: Floats, name: str) -> Floats:
        if self._is_gpt:
            x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(-1, keepdims=True) + self._epsilon)
        x = x * self._model.tensor(f"{name}.weight")
        return np.asarray(x + self._model.tensor(f"{name}.bias") if self._is_gpt else x)

    def _feed_forward(self, where: str, x: Floats) -> Floats:
        inner = self._linear(x, f"{where}.mlp.fc")
        if self._is_gpt:
            cubed = inner + np.float32(0.044715) * inner**3
            inner = inner * (1 + np.tanh(np.float32(np.sqrt(2 / np.pi)) * cubed)) / 2
        else:
            gate = inner / (1 + np.exp(-inner))
            inner = gate * self._linear(x, f"{where}.mlp.gate")
        return self._linear(inner.astype(np.float32), f"{where}.mlp.proj")

    def _attend(self, layer: int, where: str, x: Floats, at: NDArray[np.int64]) -> Floats:
        branches, count, _ = x.shape
        both = self._linear(x, f"{where}.attention.qkv")
        split = both.reshape(branches, count, -1, self._head_dim).transpose(0, 2, 1, 3)
        q, k, v = np.split(split, [self._heads, self._heads + self._kv_heads], axis=1)
        if self._frequencies is not None:
            q, k = (_rotated(rows, at, self._frequencies) for rows in (q, k))
        past_k, past_v = self._cache[layer]
        k, v = np.concatenate([past_k, k], 2), np.concatenate([past_v, v], 2)
        self._cache[layer] = (k, v)
        group = self._heads // self._kv_heads
        keys, values = np.repeat(k, group, 1), np.repeat(v, group, 1)
        scores = q @ keys.transpose(0, 1, 3, 2) / np.float32(np.sqrt(self._head_dim))
        scores = np.where(np.arange(k.shape[2]) <= at[:, None], scores, np.float32(-np.inf))
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weights / weights.sum(-1, keepdims=True)) @ values
        joined = mixed.transpose(0, 2, 1, 3).reshape(branches, count, -1).astype(np.float32)
        return self._linear(joined, f"{where}.attention.dense")


def _frequencies(config: Block, head_dim: int) -> NDArray[np.float64]:
    """Angles per position of the pairs (j, j + head_dim / 2): [head_dim / 2]."""
    base = config.number("rotary_base", 1.0, 1e12)
    plain = base ** (-np.arange(0, head_dim, 2) / head_dim)
    scaling: Mapping[str, Any] = config.values.get("rotary_scaling") or {}
    kind = scaling.get("type", "default")
    if kind == "default":
        return plain
    if kind == "linear":
        return plain / float(scaling["factor"])
    wave = 2 * np.pi / plain
    original = float(scaling["original_max_position_embeddings"])
    low, high = float(scaling["low_freq_factor"]), float(scaling["high_freq_factor"])
    scaled = plain / float(scaling["factor"])
    smooth = (original / wave - low) / (high - low)
    between = (1 - smooth) * scaled + smooth * plain
    return np.where(wave < original / high, plain, np.where(wave > original / low, scaled, between))


def _rotated(rows: Floats, at: NDArray[np.int64], frequencies: NDArray[np.float64]) -> Floats:
    """Rotates [branches, heads, n, head_dim] at the positions `at` [n]."""
    angles = at[:, None] * frequencies[None]
    cos, sin = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    half = len(frequencies)
    first, second = rows[..., :half], rows[..., half:]
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)
