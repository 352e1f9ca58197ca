"""Which values of the original go where: rows of rotated heads, columns, stacks, groups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.f5_config import F5Config
from ttsrt_rt.convert.f5_model import F5Model, read_model
from ttsrt_rt.convert.f5_tensors import is_unused, plan_tensors
from ttsrt_rt.synth.f5_layout import F5_SIZES, f5_layout
from ttsrt_rt.synth.f5_random import random_f5_tensors

Arrays = Mapping[str, NDArray[Any]]
ORIGINAL = {
    name: tensor.make() for name, tensor in random_f5_tensors(F5_SIZES["tiny_norm"], 5).items()
}
HALVES = [*range(0, 64, 2), *range(1, 64, 2)]


def model_of(variant: str = "v1") -> F5Model:
    return read_model(f5_layout(F5_SIZES["tiny_norm"]), variant, F5Config(), None)


def made(model: F5Model, name: str) -> NDArray[Any]:
    plan = plan_tensors(model)[name]
    values = [ORIGINAL[source] for source, _ in plan.sources]
    return (values[0] if plan.make is None else plan.make(values)).reshape(plan.shape)


def test_every_original_tensor_is_used() -> None:
    used = {name for plan in plan_tensors(model_of()).values() for name, _ in plan.sources}
    assert {name for name in ORIGINAL if name not in used} == {"rotary_embed.inv_freq"}
    assert is_unused("rotary_embed.inv_freq")


def test_rotated_heads_are_reordered() -> None:
    block = "transformer_blocks.1.attn"
    stacked = np.concatenate(
        [ORIGINAL[f"{block}.{name}.weight"] for name in ("to_q", "to_k", "to_v")]
    )
    parts = stacked.reshape(3, 2, 64, -1)
    for variant, heads in (("v1", 2), ("v0", 1)):
        expected = parts.copy()
        expected[:2, :heads] = parts[:2, :heads][:, :, HALVES]
        got = made(model_of(variant), "decoder.layers.1.self_qkv").reshape(parts.shape)
        np.testing.assert_array_equal(got, expected)
        norm = ORIGINAL[f"{block}.q_norm.weight"]
        scale = np.stack([norm[HALVES], norm[HALVES] if heads == 2 else norm]).reshape(-1)
        np.testing.assert_array_equal(made(model_of(variant), "decoder.layers.1.q_norm"), scale)


def test_biases_follow_their_rows() -> None:
    block = "transformer_blocks.0.attn"
    bias = np.concatenate([ORIGINAL[f"{block}.{name}.bias"] for name in ("to_q", "to_k", "to_v")])
    got = made(model_of(), "decoder.layers.0.self_qkv_bias").reshape(3, 2, 64)
    np.testing.assert_array_equal(got[:2], bias.reshape(3, 2, 64)[:2, :, HALVES])
    np.testing.assert_array_equal(got[2].reshape(-1), bias[256:])


def test_inputs_are_split_by_columns() -> None:
    parts = [made(model_of(), f"input.{name}") for name in ("noisy", "cond", "text")]
    np.testing.assert_array_equal(np.concatenate(parts, 1), ORIGINAL["input_embed.proj.weight"])
    skip = [made(model_of(), f"long_skip.{name}") for name in ("hidden", "input")]
    np.testing.assert_array_equal(np.concatenate(skip, 1), ORIGINAL["long_skip_connection.weight"])


def test_modulations_are_one_matrix() -> None:
    got = made(model_of(), "modulation")
    assert got.shape == (2 * 6 * 64 + 2 * 64, 64)
    second = ORIGINAL["transformer_blocks.1.attn_norm.linear.weight"]
    np.testing.assert_array_equal(got[384:768], second)
    np.testing.assert_array_equal(got[768:], ORIGINAL["norm_out.linear.weight"])


def test_narrow_groups_are_joined_with_zeros() -> None:
    stored = ORIGINAL["input_embed.conv_pos_embed.conv1d.2.weight"]  # [64, 4, 31]
    got = made(model_of(), "position_conv.1")
    assert got.shape == (64, 16, 31)
    for row in range(64):
        place = row // 4 % 4 * 4
        np.testing.assert_array_equal(got[row, place : place + 4], stored[row])
        assert np.count_nonzero(got[row]) <= 4 * 31


def test_wide_groups_stay() -> None:
    wide = replace(F5_SIZES["tiny"], dim=256, heads=4)
    model = read_model(f5_layout(wide), "v1", F5Config(), None)
    plan = plan_tensors(model)["position_conv.0"]
    assert plan.shape == (256, 16, 31)
    assert plan.make is None


def test_depthwise_kernels_have_taps_first() -> None:
    stored = ORIGINAL["text_embed.text_blocks.0.dwconv.weight"]
    np.testing.assert_array_equal(made(model_of(), "text.layers.0.conv"), stored[:, 0].T)
    gamma = ORIGINAL["text_embed.text_blocks.0.grn.gamma"]
    np.testing.assert_array_equal(made(model_of(), "text.layers.0.grn_gamma"), gamma[0, 0])
