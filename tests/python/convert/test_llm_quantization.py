"""What config.json says of a quantization: taken, defaulted, refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.llm_quantization import Quantization, read_quantization
from ttsrt_rt.errors import ConfigError

AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 64, "desc_act": True, "sym": True}
WEIGHTS = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": 32, "symmetric": False}
COMPRESSED = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"targets": ["Linear"], "weights": WEIGHTS}},
    "ignore": ["lm_head"],
}


def with_weights(**changed: Any) -> dict[str, Any]:
    group = {"targets": ["Linear"], "weights": {**WEIGHTS, **changed}}
    return {**COMPRESSED, "config_groups": {"group_0": group}}


def found(folder: Path, block: Any) -> Quantization | None:
    return read_quantization(folder, Block({"quantization_config": block}, "", ConfigError))


def test_none(tmp_path: Path) -> None:
    assert found(tmp_path, None) is None


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (AWQ, ("awq_gemm", 128, False)),
        ({**AWQ, "version": "GEMV", "group_size": -1}, ("awq_gemv", -1, False)),
        (GPTQ, ("gptq", 64, False)),
        ({**GPTQ, "checkpoint_format": "gptq_v2"}, ("gptq_v2", 64, False)),
        (COMPRESSED, ("pack", 32, False)),
        (with_weights(strategy="channel", group_size=None, symmetric=True), ("pack", -1, True)),
        (
            {
                **with_weights(num_bits=8, strategy="channel", symmetric=True),
                "format": "int-quantized",
            },
            ("int8", -1, True),
        ),
    ],
)
def test_known_forms(tmp_path: Path, block: Any, expected: tuple[str, int, bool]) -> None:
    made = found(tmp_path, block)
    assert made is not None
    assert (made.layout, made.group_size, made.symmetric) == expected


@pytest.mark.parametrize(
    ("name", "value", "layout"),
    [
        ("quant_config.json", {"w_bit": 4, "q_group_size": 64, "version": "GEMM"}, "awq_gemm"),
        ("quantize_config.json", {"bits": 4, "group_size": 128, "desc_act": False}, "gptq"),
    ],
)
def test_files_of_older_exports(tmp_path: Path, name: str, value: Any, layout: str) -> None:
    (tmp_path / name).write_text(json.dumps(value), "utf-8")
    made = found(tmp_path, None)
    assert made is not None
    assert made.layout == layout


@pytest.mark.parametrize(
    "method",
    ["bitsandbytes", "fp8", "fbgemm_fp8", "hqq", "aqlm", "eetq", "quanto", "torchao", "bitnet", 4],
)
def test_other_methods_are_refused_by_name(tmp_path: Path, method: Any) -> None:
    with pytest.raises(ConfigError, match=f"quant_method: expected one of awq, .*{method}"):
        found(tmp_path, {"quant_method": method})


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({**AWQ, "bits": 3}, "bits: expected 4"),
        ({**AWQ, "version": "marlin"}, "version: expected gemm or gemv"),
        ({**AWQ, "version": "gemv_fast"}, "version: expected gemm or gemv"),
        ({**AWQ, "zero_point": False}, "zero_point: expected true"),
        ({**AWQ, "group_size": 48}, "group_size: expected -1, 32, 64, 128"),
        ({**AWQ, "modules_to_not_convert": "lm_head"}, "modules_to_not_convert: expected a list"),
        ({**AWQ, "modules_to_not_convert": [""]}, "modules_to_not_convert: expected a list"),
        ({**GPTQ, "bits": 8}, "bits: expected 4"),
        ({**GPTQ, "checkpoint_format": "marlin"}, "checkpoint_format: expected one of gptq"),
        ({**GPTQ, "is_marlin_format": True}, "is_marlin_format: expected false"),
        ({**COMPRESSED, "format": "float-quantized"}, "format: expected one of pack-quantized"),
        ({**COMPRESSED, "config_groups": {}}, "config_groups: expected one group"),
        (with_weights(type="float"), "type: expected one of int"),
        (with_weights(num_bits=8), "num_bits: expected 4 in the format pack-quantized"),
        (with_weights(strategy="tensor"), "strategy: expected one of group, channel"),
        (
            {
                **COMPRESSED,
                "config_groups": {"g": {"weights": WEIGHTS, "input_activations": {"num_bits": 8}}},
            },
            "input_activations: expected null",
        ),
        ({**COMPRESSED, "transform_config": {"a": 1}}, "transform_config: expected null or {}"),
        ({**COMPRESSED, "sparsity_config": {"format": "sparse"}}, "sparsity_config: expected null"),
        ({**COMPRESSED, "surprise": 1}, "surprise: expected null, as this field is not known"),
        ({**COMPRESSED, "ignore": "lm_head"}, "ignore: expected a list of names"),
        ({**COMPRESSED, "ignore": ["re:(a+)+$"]}, "ignore: expected patterns of letters"),
        ({**COMPRESSED, "ignore": ["re:" + ".*a" * 4]}, "with at most 3 repetitions"),
        (with_weights(dynamic=True), "dynamic: expected null or False"),
        (with_weights(block_structure=[1, 2]), "block_structure: expected null"),
        (
            {**COMPRESSED, "config_groups": {"g": {"targets": ["Embedding"], "weights": WEIGHTS}}},
            "targets: expected Linear",
        ),
        ({**GPTQ, "dynamic": {"-:.*down.*": {}}}, "dynamic: expected null"),
        ({**GPTQ, "lm_head": True}, "lm_head: expected false"),
        ({**GPTQ, "pack_dtype": "int64"}, "pack_dtype: expected"),
        ("awq", "quantization_config: expected a mapping"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, block: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        found(tmp_path, block)


def test_layers_that_stay_floats(tmp_path: Path) -> None:
    ignore = ["lm_head", "model.layers.1.mlp.up_proj", r"re:.*layers\.2.*q_proj$"]
    block = {**COMPRESSED, "ignore": ignore, "sparsity_config": {}, "transform_config": {}}
    made = found(tmp_path, block)
    assert made is not None

    def is_quantized(name: str) -> bool:
        tensor: Any = None
        return made.has_layer(name, {f"{name}.weight_packed": tensor})

    assert not is_quantized("model.layers.1.mlp.up_proj")
    assert is_quantized("model.layers.11.mlp.up_proj")
    assert not is_quantized("model.layers.2.self_attn.q_proj")
    assert is_quantized("model.layers.2.self_attn.k_proj")
    assert is_quantized("model.layers.0.self_attn.q_proj")


def test_groups_that_follow_an_order(tmp_path: Path) -> None:
    for block, expected in [
        (GPTQ, True),
        ({**GPTQ, "desc_act": False}, False),
        (COMPRESSED, False),
        (with_weights(actorder="group"), True),
        (with_weights(actorder="weight"), False),
    ]:
        made = found(tmp_path, block)
        assert made is not None
        assert made.is_reordered is expected
