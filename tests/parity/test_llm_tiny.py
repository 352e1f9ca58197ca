"""Language models against `transformers`: equal greedy tokens, alone and in a crowd.

The miniatures of golden/llm: Llama with grouped queries, Llama with tied tables and heads whose
width is not dim / heads, Phi with parallel branches, biases and half of each head rotated. The
goldens ignore end ids; none of them draws one.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE
from tests.parity.block_checkpoint import (
    Tensors,
    defaults_of,
    engines_of,
    llama_stack,
    llama_tensors,
    read_tensors,
    write_checkpoint,
)
from ttsrt_rt.inspection import inspect_folder

DATA = Path(__file__).resolve().parents[1] / "data" / "llm"
CASES = ["tiny_llama", "tiny_llama_tied", "tiny_phi"]
PROMPTS = 3

EngineOf = Callable[[str], Path]


def phi_stack(config: dict[str, Any]) -> dict[str, Any]:
    head_dim = config["hidden_size"] // config["num_attention_heads"]
    return {
        "layers": config["num_hidden_layers"],
        "dim": config["hidden_size"],
        "ffn_dim": config["intermediate_size"],
        "heads": config["num_attention_heads"],
        "kv_heads": config["num_key_value_heads"],
        "head_dim": head_dim,
        "max_positions": config["max_position_embeddings"],
        "learned_positions": False,
        "parallel": True,
        "norm": "layer",
        "norm_bias": True,
        "norm_epsilon": config["layer_norm_eps"],
        "attention_bias": True,
        "attention_scale": head_dim**-0.5,
        "rope": {
            "kind": "default",
            "dims": int(head_dim * config["partial_rotary_factor"]),
            "theta": config["rope_theta"],
        },
        "activation": "gelu_tanh",
        "gated": False,
        "ffn_bias": True,
    }


def phi_tensors(source: Tensors, layers: int) -> Tensors:
    tensors: Tensors = {}
    for layer in range(layers):
        theirs = f"model.layers.{layer}."
        ours = f"decoder.layers.{layer}."
        for kind, suffix in (("weight", ""), ("bias", "_bias")):
            attention = [source[f"{theirs}self_attn.{part}_proj.{kind}"] for part in "qkv"]
            tensors[f"{ours}self_norm{suffix}"] = source[f"{theirs}input_layernorm.{kind}"]
            tensors[f"{ours}self_qkv{suffix}"] = np.concatenate(attention)
            tensors[f"{ours}self_out{suffix}"] = source[f"{theirs}self_attn.dense.{kind}"]
            tensors[f"{ours}ffn_in{suffix}"] = source[f"{theirs}mlp.fc1.{kind}"]
            tensors[f"{ours}ffn_out{suffix}"] = source[f"{theirs}mlp.fc2.{kind}"]
    tensors["decoder.norm_out"] = source["model.final_layernorm.weight"]
    tensors["decoder.norm_out_bias"] = source["model.final_layernorm.bias"]
    return tensors


def convert_case(case: str, folder: Path) -> Path:
    config = json.loads((DATA / case / "config.json").read_text())
    source = read_tensors(DATA / case)
    is_phi = config["model_type"] == "phi"
    layers = config["num_hidden_layers"]
    embedding = source["model.embed_tokens.weight"]
    tensors = phi_tensors(source, layers) if is_phi else llama_tensors(source, "model.", layers)
    tensors["embedding"] = embedding
    tensors["head"] = source.get("lm_head.weight", embedding)
    if is_phi:
        tensors["head_bias"] = source["lm_head.bias"]
    model = {
        "vocab": config["vocab_size"],
        "eos": config["eos_token_id"],
        "head_bias": is_phi,
        "decoder": phi_stack(config) if is_phi else llama_stack(config),
    }
    return write_checkpoint(folder, "llm", model, defaults_of(1.0), tensors)


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> EngineOf:
    return engines_of(tmp_path_factory, convert_case, max_seq_len=128)


def prompts_of(case: str) -> list[tuple[list[int], list[int]]]:
    golden = np.load(DATA / case / "ref.npz")
    return [(golden[f"ids_{n}"].tolist(), golden[f"greedy_{n}"].tolist()) for n in range(PROMPTS)]


def request_of(ids: list[int], max_frames: int) -> rt.Request:
    return rt.Request(text_ids=ids, max_frames=max_frames, prior=None)


def test_a_checkpoint_is_described(tmp_path: Path) -> None:
    contents = inspect_folder(convert_case(CASES[0], tmp_path / "checkpoint"), verify=True)
    assert (contents.kind, contents.description["family"]) == ("checkpoint", "llm")
    assert {"embedding", "head"} <= {tensor.name for tensor in contents.tensors}
    assert contents.voice_files == ()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens(case: str, device: str, engine_of: EngineOf) -> None:
    with rt.Executor(engine_of(case), device=device) as executor:
        for ids, expected in prompts_of(case):
            result = executor.generate(request_of(ids, len(expected)))
            assert result.codes[:, 0].tolist() == expected
            assert result.finish_reason == "length"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_in_a_crowd(case: str, device: str, engine_of: EngineOf) -> None:
    """Prompts of mixed lengths that start and end at different steps."""
    prompts = prompts_of(case)
    wanted = [(ids, expected[: 32 - 5 * i]) for i in range(4) for ids, expected in prompts]
    requests = [request_of(ids, len(expected)) for ids, expected in wanted]
    with rt.Executor(engine_of(case), device=device, max_batch_size=5) as executor:
        for (_, expected), result in zip(wanted, executor.generate(requests), strict=True):
            assert result.codes[:, 0].tolist() == expected


def test_bad_requests_are_refused(engine_of: EngineOf) -> None:
    with rt.Executor(engine_of("tiny_llama"), device=NATIVE) as executor:
        with pytest.raises(rt.ConfigError, match="text_ids"):
            executor.generate(request_of([320], 4))
        with pytest.raises(rt.ConfigError, match="cfg_scale"):
            executor.generate(rt.Request(text_ids=[1], cfg_scale=2.0, prior=None))
        with pytest.raises(rt.ConfigError, match="max_frames"):
            executor.generate(request_of([1] * 100, 30))
        with pytest.raises(rt.ConfigError, match="voice"):
            executor.generate(rt.Request(text_ids=[1], voice=0, prior=None))
