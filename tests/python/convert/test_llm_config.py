"""config.json of Llama and Phi: old and new fields, defaults, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.llm_config import read_llm_config
from ttsrt_rt.errors import ConfigError, FormatError

from .llm_models import LLAMA, PHI, write_config

LLAMA3 = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}


def rope_of(folder: Path, base: dict[str, Any], **changed: Any) -> dict[str, Any]:
    return read_llm_config(write_config(folder, base, **changed)).decoder.rope


def test_the_stack_of_a_llama(tmp_path: Path) -> None:
    config = read_llm_config(write_config(tmp_path, LLAMA))
    stack = config.decoder
    assert (stack.heads, stack.kv_heads, stack.head_dim) == (4, 2, 8)
    assert (stack.norm, stack.gated, stack.parallel, stack.attention_bias) == (
        *("rms", True, False, False),
    )
    assert not config.is_tied
    assert not config.has_head_bias


def test_the_stack_of_a_phi(tmp_path: Path) -> None:
    config = read_llm_config(write_config(tmp_path, PHI))
    stack = config.decoder
    assert stack.kv_heads == stack.heads  # the field is absent
    assert (stack.norm, stack.gated, stack.parallel) == ("layer", False, True)
    assert stack.attention_bias
    assert stack.ffn_bias
    assert config.has_head_bias
    assert stack.rope["dims"] == 4


def test_fields_that_are_null_or_absent(tmp_path: Path) -> None:
    config = read_llm_config(
        write_config(
            tmp_path,
            LLAMA,
            num_key_value_heads=None,
            rms_norm_eps=...,
            architectures=...,
            rope_scaling=None,
            sliding_window=None,
            head_dim=24,
        )
    )
    assert config.decoder.kv_heads == 4
    assert config.decoder.norm_epsilon == 1e-6
    assert config.decoder.head_dim == 24
    assert config.decoder.rope == {"kind": "default", "dims": 24, "theta": 10000.0}


def test_biases_of_a_llama(tmp_path: Path) -> None:
    stack = read_llm_config(
        write_config(tmp_path, LLAMA, attention_bias=True, mlp_bias=True)
    ).decoder
    assert stack.has_bias("model.layers.0.self_attn.o_proj")
    assert stack.has_bias("model.layers.0.mlp.up_proj")


@pytest.mark.parametrize("style", ["rope_parameters", "rope_scaling"])
@pytest.mark.parametrize("name", ["rope_type", "type"])
def test_rotations_of_both_styles(tmp_path: Path, style: str, name: str) -> None:
    top = {"rope_theta": 5e5} if style == "rope_scaling" else {}
    inner = {} if style == "rope_scaling" else {"rope_theta": 5e5}
    rope = rope_of(tmp_path, LLAMA, **top, **{style: {name: "llama3", **inner, **LLAMA3}})
    assert rope == {
        "kind": "llama3",
        "dims": 8,
        "theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_positions": 32,
    }
    linear = {style: {name: "linear", "factor": 2.0, **inner}}
    assert rope_of(tmp_path, LLAMA, **top, **linear)["factor"] == 2.0


def test_the_new_style_wins(tmp_path: Path) -> None:
    rope = rope_of(
        tmp_path,
        PHI,
        rope_theta=1.0,
        rope_scaling={"type": "linear", "factor": 4.0},
        rope_parameters={"rope_type": "default", "rope_theta": 7e4, "partial_rotary_factor": 0.25},
    )
    assert rope == {"kind": "default", "dims": 2, "theta": 7e4}


def test_the_rotated_part_of_a_phi_defaults_to_half(tmp_path: Path) -> None:
    assert rope_of(tmp_path, PHI, partial_rotary_factor=...)["dims"] == 4


@pytest.mark.parametrize(
    ("base", "changed", "message"),
    [
        (LLAMA, {"model_type": "phi3"}, "model_type: expected one of llama, phi, got 'phi3'"),
        (LLAMA, {"model_type": ...}, "model_type: expected one of"),
        (LLAMA, {"architectures": ["LlamaForSequenceClassification"]}, "architectures: expected"),
        (LLAMA, {"architectures": "LlamaForCausalLM"}, "architectures: expected"),
        (LLAMA, {"hidden_size": 33}, "a divisor of hidden_size 33, or a head_dim"),
        (LLAMA, {"hidden_size": 1 << 30}, "hidden_size: expected an integer in"),
        (LLAMA, {"hidden_size": ...}, "hidden_size: expected an integer"),
        (LLAMA, {"num_key_value_heads": 3}, "num_key_value_heads: expected a divisor"),
        (LLAMA, {"num_hidden_layers": 65}, r"num_hidden_layers: expected an integer in 1\.\.64"),
        (LLAMA, {"vocab_size": True}, "vocab_size: expected an integer"),
        (LLAMA, {"hidden_act": "gelu"}, "hidden_act: expected one of silu, got 'gelu'"),
        (LLAMA, {"sliding_window": 32}, "sliding_window: expected none, or at least"),
        (LLAMA, {"partial_rotary_factor": 0.5}, "partial_rotary_factor: expected 1, as heads"),
        (LLAMA, {"head_dim": 7}, "an even number of rotated dimensions"),
        (LLAMA, {"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "got 'dynamic'"),
        (LLAMA, {"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, "got 'yarn'"),
        (LLAMA, {"rope_parameters": {"rope_type": "longrope"}}, "got 'longrope'"),
        (LLAMA, {"rope_scaling": {"factor": 2.0}}, "rope_type: expected one of .* beside factor"),
        (LLAMA, {"rope_scaling": {"type": "linear"}}, "factor: expected a number"),
        (LLAMA, {"rope_scaling": {"type": "linear", "factor": -1}}, "factor: expected a number"),
        (LLAMA, {"rope_scaling": {"type": "llama3", **LLAMA3, "high_freq_factor": 1}}, "more than"),
        (LLAMA, {"rope_parameters": {"full_attention": {}, "sliding": {}}}, "one rotation for all"),
        (LLAMA, {"rope_theta": float("inf")}, "rope_theta: expected a number"),
        (PHI, {"qk_layernorm": True}, "qk_layernorm: expected false"),
        (PHI, {"hidden_act": "silu"}, "hidden_act: expected one of gelu_new"),
        (PHI, {"partial_rotary_factor": 0.01}, "an even number of rotated dimensions"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, base: dict[str, Any], changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_llm_config(write_config(tmp_path, base, **changed))


def test_a_window_of_all_positions_changes_nothing(tmp_path: Path) -> None:
    read_llm_config(write_config(tmp_path, LLAMA, sliding_window=64))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{", "utf-8")
    with pytest.raises(FormatError, match=r"config\.json: expected JSON"):
        read_llm_config(tmp_path)
    (tmp_path / "config.json").write_text("[]", "utf-8")
    with pytest.raises(ConfigError, match="expected a mapping, got list"):
        read_llm_config(tmp_path)
