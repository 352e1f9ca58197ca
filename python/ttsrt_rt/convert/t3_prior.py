"""Computes what block diffusion scores codes against: their probabilities without any context.

The original runs the network once on BOS and a block of masks, with the learned positions that
follow each other from 0 on and nothing else, and takes the mean of the probabilities behind all
rows but the last. The result depends on the weights alone, so it is computed here, once, in float32
from the weights as the source has them, whatever type they are stored in later.

Source: `ChatterboxFlashT3._compute_uncond_block_prior` of `chatterbox-flash` 0.1.0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.casting import bits_to_float32
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.t3_model import Rope, T3Model
from ttsrt_rt.errors import ConfigError

__all__ = ["block_prior"]

Floats = npt.NDArray[np.float32]


def block_prior(tensors: Mapping[str, LazyTensor], model: T3Model) -> Floats:
    """Returns the probability of each code, float32 [speech_vocab].

    Args:
        tensors: the source's, by their original names; finite.
        model: what `read_model` returned.

    Raises:
        ConfigError: the model decides no blocks of codes.
    """
    rope = model.decoder.rope
    if model.block_size is None or rope is None:
        raise ConfigError(f"variant {model.variant}: expected one that decides blocks of codes")
    masks = model.block_size - 1  # nothing comes from behind the last row of a block
    ids = [model.bos, *[model.speech_vocab] * masks]
    x = _read(tensors, "speech_emb.weight")[ids]
    x = x + _read(tensors, "speech_pos_emb.emb.weight")[: len(ids)]
    for layer in range(model.decoder.layers):
        name = f"tfmr.layers.{layer}"
        normed = _normalize(tensors, model, f"{name}.input_layernorm", x)
        x = x + _attend(tensors, model, rope, f"{name}.self_attn", normed)
        x = x + _feed_forward(tensors, model, name, x)
    hidden = _normalize(tensors, model, "tfmr.norm", x)
    probabilities = _softmax(hidden @ _read(tensors, "speech_head.weight").T)
    return np.asarray(probabilities.mean(0), np.float32)


def _read(tensors: Mapping[str, LazyTensor], name: str) -> Floats:
    tensor = tensors[name]
    values = tensor.read()
    return bits_to_float32(values) if tensor.dtype == "bfloat16" else values.astype(np.float32)


def _softmax(scores: Floats) -> Floats:
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True), np.float32)


def _normalize(tensors: Mapping[str, LazyTensor], model: T3Model, name: str, x: Floats) -> Floats:
    squares = np.mean(np.square(x), -1, keepdims=True)
    scale = np.sqrt(squares + np.float32(model.decoder.norm_epsilon))
    return np.asarray(x / scale * _read(tensors, f"{name}.weight"), np.float32)


def _frequencies(rope: Rope) -> Floats:
    """Turns of each pair of dimensions from one position to the next."""
    plain = rope.theta ** -(np.arange(0, rope.dims, 2) / rope.dims)
    turns = rope.original_positions * plain / (2 * math.pi)
    share = (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor)
    share = np.clip(share, 0.0, 1.0)
    return np.asarray((1 - share) * plain / rope.factor + share * plain, np.float32)


def _turn(x: Floats, rope: Rope) -> Floats:
    """Turns the heads [rows, heads, dims] of rows at positions 0, 1, ..."""
    angles = np.arange(len(x), dtype=np.float32)[:, None, None] * _frequencies(rope)
    first, second = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([first * cos - second * sin, second * cos + first * sin], -1)


def _attend(
    tensors: Mapping[str, LazyTensor], model: T3Model, rope: Rope, name: str, x: Floats
) -> Floats:
    stack = model.decoder
    parts = [
        (x @ _read(tensors, f"{name}.{part}_proj.weight").T).reshape(len(x), -1, stack.head_dim)
        for part in "qkv"
    ]
    q, k, v = _turn(parts[0], rope), _turn(parts[1], rope), parts[2]
    k, v = (np.repeat(each, stack.heads // stack.kv_heads, 1) for each in (k, v))
    scores = np.einsum("qhd,khd->hqk", q, k) / np.float32(math.sqrt(stack.head_dim))
    is_later = np.arange(len(x)) > np.arange(len(x))[:, None]
    weights = _softmax(np.where(is_later, np.float32(-np.inf), scores))
    out = np.einsum("hqk,khd->qhd", weights, v).reshape(len(x), -1)
    return np.asarray(out @ _read(tensors, f"{name}.o_proj.weight").T, np.float32)


def _feed_forward(
    tensors: Mapping[str, LazyTensor], model: T3Model, name: str, x: Floats
) -> Floats:
    normed = _normalize(tensors, model, f"{name}.post_attention_layernorm", x)
    gate = normed @ _read(tensors, f"{name}.mlp.gate_proj.weight").T
    up = normed @ _read(tensors, f"{name}.mlp.up_proj.weight").T
    hidden = gate / (1 + np.exp(-gate)) * up
    return np.asarray(hidden @ _read(tensors, f"{name}.mlp.down_proj.weight").T, np.float32)
