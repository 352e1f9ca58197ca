"""Original tensors become ours: stacked, transposed, dropped, or refused by name."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.magpie_model import to_json
from ttsrt_rt.convert.manifest import check_tensors, declared_tensors
from ttsrt_rt.convert.t3_defaults import read_defaults
from ttsrt_rt.convert.t3_model import Shapes, T3Options, read_model
from ttsrt_rt.convert.t3_tensors import is_unused, map_tensors, plan_tensors
from ttsrt_rt.errors import FormatError
from ttsrt_rt.synth.t3_layout import T3_SIZES, t3_layout

from .t3_keys import flash_shapes, original_shapes, tensors_of

TINY = {size: t3_layout(T3_SIZES[size]) for size in ("tiny", "tiny_turbo")}


def source(size: str) -> dict[str, LazyTensor]:
    """Returns tensors with seeded values."""
    made = {}
    for index, (name, shape) in enumerate(TINY[size].items()):
        values = np.random.default_rng(index).standard_normal(shape, np.float32)
        made[name] = LazyTensor(name, "float32", shape, values.nbytes, lambda v=values: v)
    return made


def mapped(tensors: dict[str, LazyTensor], dtype: str | None = None) -> dict[str, np.ndarray]:
    model = read_model(
        Shapes({name: tensor.shape for name, tensor in tensors.items()}), T3Options()
    )
    return {
        name: tensor.read()
        for name, tensor in map_tensors(plan_tensors(model), tensors, dtype).items()
    }


@pytest.mark.parametrize("variant", ["english", "multilingual", "turbo", "nano", "flash"])
def test_true_sizes_are_what_the_library_declares(variant: str) -> None:
    shapes = flash_shapes() if variant == "flash" else original_shapes(variant)
    model = read_model(Shapes(shapes), T3Options())
    blocks = {"model": to_json(model), "defaults": to_json(read_defaults(model, "x"))}
    made = map_tensors(plan_tensors(model), tensors_of(shapes), None)
    written = {name: (tensor.dtype, tensor.shape) for name, tensor in made.items()}
    if variant == "flash":  # which is computed, not mapped
        written["block_prior"] = ("float32", (8194,))
    check_tensors(declared_tensors({"family": "t3", **blocks}), written)


def test_every_original_tensor_is_used_once_or_dropped() -> None:
    for variant in ("english", "multilingual", "turbo", "nano"):
        shapes = original_shapes(variant)
        model = read_model(Shapes(shapes), T3Options())
        used = [name for plan in plan_tensors(model).values() for name, _ in plan.sources]
        assert len(used) == len(set(used))
        dropped = set(shapes) - set(used)
        backbone = "wte" if variant in ("turbo", "nano") else "embed_tokens"
        assert dropped == {f"tfmr.{backbone}.weight", "text_head.weight"}


def test_llama_queries_keys_values_and_gates_are_stacked() -> None:
    tensors = source("tiny")
    made = mapped(tensors)
    read = {name: tensor.read() for name, tensor in tensors.items()}
    base = "tfmr.layers.2"
    expected = np.concatenate([read[f"{base}.self_attn.{each}_proj.weight"] for each in "qkv"])
    np.testing.assert_array_equal(made["decoder.layers.2.self_qkv"], expected)
    expected = np.concatenate([read[f"{base}.mlp.{each}_proj.weight"] for each in ("gate", "up")])
    np.testing.assert_array_equal(made["decoder.layers.2.ffn_in"], expected)
    for ours, original in (
        ("decoder.layers.2.self_out", f"{base}.self_attn.o_proj.weight"),
        ("decoder.layers.2.ffn_out", f"{base}.mlp.down_proj.weight"),
        ("decoder.layers.2.ffn_norm", f"{base}.post_attention_layernorm.weight"),
        ("decoder.norm_out", "tfmr.norm.weight"),
        ("speech_positions", "speech_pos_emb.emb.weight"),
        ("head", "speech_head.weight"),
    ):
        np.testing.assert_array_equal(made[ours], read[original])


def test_conditioning_is_packed() -> None:
    tensors = source("tiny")
    made = mapped(tensors)
    read = {name: tensor.read() for name, tensor in tensors.items()}
    base = "cond_enc.perceiver.attn"
    for kind in ("weight", "bias"):
        expected = np.concatenate([read[f"{base}.to_{each}.{kind}"] for each in "qkv"])
        name = "conditioning.qkv" if kind == "weight" else "conditioning.qkv_bias"
        np.testing.assert_array_equal(made[name], expected)
    np.testing.assert_array_equal(
        made["conditioning.query"], read["cond_enc.perceiver.pre_attention_query"][0]
    )
    np.testing.assert_array_equal(
        made["conditioning.emotion"], read["cond_enc.emotion_adv_fc.weight"][:, 0]
    )
    np.testing.assert_array_equal(made["conditioning.speaker"], read["cond_enc.spkr_enc.weight"])
    turbo = {name for name in mapped(source("tiny_turbo")) if name.startswith("conditioning")}
    assert turbo == {"conditioning.speaker", "conditioning.speaker_bias"}


def test_gpt2_matrices_are_transposed() -> None:
    tensors = source("tiny_turbo")
    made = mapped(tensors)
    read = {name: tensor.read() for name, tensor in tensors.items()}
    for ours, original in (
        ("self_qkv", "attn.c_attn"),
        ("self_out", "attn.c_proj"),
        ("ffn_in", "mlp.c_fc"),
        ("ffn_out", "mlp.c_proj"),
    ):
        weight = made[f"decoder.layers.1.{ours}"]
        np.testing.assert_array_equal(weight, read[f"tfmr.h.1.{original}.weight"].T)
        assert weight.flags.c_contiguous
        np.testing.assert_array_equal(
            made[f"decoder.layers.1.{ours}_bias"], read[f"tfmr.h.1.{original}.bias"]
        )
    np.testing.assert_array_equal(made["decoder.positions"], read["tfmr.wpe.weight"])
    np.testing.assert_array_equal(made["head_bias"], read["speech_head.bias"])
    np.testing.assert_array_equal(made["decoder.norm_out_bias"], read["tfmr.ln_f.bias"])


def test_buffers_of_other_versions_are_dropped() -> None:
    for name in (
        "tfmr.rotary_emb.inv_freq",
        "tfmr.layers.11.self_attn.rotary_emb.inv_freq",
        "tfmr.h.3.attn.bias",
        "tfmr.h.3.attn.masked_bias",
    ):
        assert is_unused(name)
    for name in ("tfmr.h.3.attn.c_attn.bias", "tfmr.norm.weight", "speech_head.bias"):
        assert not is_unused(name)
    tensors = source("tiny") | tensors_of({"tfmr.rotary_emb.inv_freq": (8,)})
    assert set(mapped(tensors)) == set(mapped(source("tiny")))


def test_what_only_training_uses_may_be_missing() -> None:
    tensors = source("tiny")
    del tensors["text_head.weight"], tensors["tfmr.embed_tokens.weight"]
    assert set(mapped(tensors)) == set(mapped(source("tiny")))


def test_missing_unexpected_and_wrong_tensors_are_named() -> None:
    tensors = source("tiny")
    del tensors["tfmr.layers.1.mlp.up_proj.weight"]
    with pytest.raises(FormatError, match=r"1 tensors are missing: tfmr.layers.1.mlp.up_proj"):
        mapped(tensors)
    tensors = source("tiny") | tensors_of({"lora.a": (1,)})
    with pytest.raises(FormatError, match=r"1 unexpected tensors: lora.a"):
        mapped(tensors)
    for changed, words in (
        (replace(source("tiny")["speech_head.weight"], dtype="int64"), "got int64"),
        (replace(source("tiny")["tfmr.norm.weight"], shape=(63,)), r"expected \[64\], got \[63\]"),
    ):
        with pytest.raises(FormatError, match=words):
            mapped(source("tiny") | {changed.name: changed})
    half = replace(source("tiny")["tfmr.layers.0.self_attn.k_proj.weight"], dtype="float16")
    with pytest.raises(FormatError, match=r"k_proj.weight: expected float32 like .*q_proj"):
        mapped(source("tiny") | {half.name: half})


def test_values_that_are_not_finite_are_named() -> None:
    tensors = source("tiny")
    bad = np.array(tensors["tfmr.norm.weight"].read())
    bad[3] = np.nan
    tensors["tfmr.norm.weight"] = replace(tensors["tfmr.norm.weight"], reader=lambda: bad)
    with pytest.raises(FormatError, match=r"tfmr.norm.weight: expected finite .* element 3"):
        mapped(tensors)


def test_weights_are_cast() -> None:
    made = mapped(source("tiny_turbo"), "float16")
    assert {array.dtype.name for array in made.values()} == {"float16"}
