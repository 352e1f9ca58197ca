"""Names, shapes and values of TensorRT-LLM's checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import (
    DIM,
    FFN,
    SPEECH_VOCAB,
    TEXT_VOCAB,
    gpt_stack,
    llama_stack,
    t3_model,
    t3_tensors,
    write_t3,
)
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_layout import config_of, is_gpt, rank_tensors, vocab_size

VOCAB = TEXT_VOCAB + SPEECH_VOCAB


def layer_shapes(layer: int, *, biased: bool) -> dict[str, tuple[int, ...]]:
    where = f"transformer.layers.{layer}."
    matrices = {
        "attention.qkv": (3 * DIM, DIM),
        "attention.dense": (DIM, DIM),
        "mlp.fc": (FFN, DIM),
        "mlp.proj": (DIM, FFN),
        "input_layernorm": (DIM,),
        "post_layernorm": (DIM,),
    }
    shapes = {f"{where}{name}.weight": shape for name, shape in matrices.items()}
    if biased:
        return shapes | {f"{where}{name}.bias": shape[:1] for name, shape in matrices.items()}
    return shapes | {f"{where}mlp.gate.weight": (FFN, DIM)}


@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_every_tensor_of_the_stock_model(variant: str, tmp_path: Path) -> None:
    source = open_t3(write_t3(tmp_path / "checkpoint", variant))
    biased = variant == "turbo"
    expected: dict[str, tuple[int, ...]] = {
        "transformer.vocab_embedding.weight": (VOCAB, DIM),
        "transformer.ln_f.weight": (DIM,),
        "lm_head.weight": (VOCAB, DIM),
        **layer_shapes(0, biased=biased),
        **layer_shapes(1, biased=biased),
    }
    if biased:
        expected["transformer.ln_f.bias"] = (DIM,)
        expected["transformer.position_embedding.weight"] = (512, DIM)
    tensors = rank_tensors(source)
    assert {name: tensor.shape for name, tensor in tensors.items()} == expected
    for name, tensor in tensors.items():
        assert tensor.read().shape == tensor.shape, name


def test_speech_follows_text_in_table_and_head(tmp_path: Path) -> None:
    tensors = rank_tensors(open_t3(write_t3(tmp_path / "checkpoint", "english")))
    ours = t3_tensors(t3_model("english"), 5)
    table = tensors["transformer.vocab_embedding.weight"].read()
    assert np.array_equal(table[:TEXT_VOCAB], ours["text_embedding"])
    assert np.array_equal(table[TEXT_VOCAB:], ours["speech_embedding"])
    head = tensors["lm_head.weight"].read()
    assert not head[:TEXT_VOCAB].any()
    assert np.array_equal(head[TEXT_VOCAB:], ours["head"])


def test_fc_is_the_gate_and_gate_the_other_factor(tmp_path: Path) -> None:
    tensors = rank_tensors(open_t3(write_t3(tmp_path / "checkpoint", "english")))
    both = t3_tensors(t3_model("english"), 5)["decoder.layers.1.ffn_in"]
    assert np.array_equal(tensors["transformer.layers.1.mlp.fc.weight"].read(), both[:FFN])
    assert np.array_equal(tensors["transformer.layers.1.mlp.gate.weight"].read(), both[FFN:])


def test_config_of_the_two_architectures(tmp_path: Path) -> None:
    llama = config_of(open_t3(write_t3(tmp_path / "english", "english")).fields, "bfloat16")
    assert llama["architecture"] == "LlamaForCausalLM"
    assert llama["dtype"] == "bfloat16"
    assert llama["vocab_size"] == VOCAB
    assert llama["position_embedding_type"] == "rope_gpt_neox"
    assert llama["rotary_base"] == 500000.0
    assert llama["rotary_scaling"] == {
        "type": "llama3",
        "rope_type": "llama3",
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    gpt = config_of(open_t3(write_t3(tmp_path / "turbo", "turbo")).fields, "float16")
    assert gpt["architecture"] == "GPTForCausalLM"
    assert gpt["position_embedding_type"] == "learned_absolute"
    assert gpt["max_position_embeddings"] == 512
    assert gpt["hidden_act"] == "gelu"
    assert gpt["bias"] is True


@pytest.mark.parametrize(
    ("text_vocab", "speech_vocab", "bos", "eos"),
    [(704, 8194, 7265, 7266), (2454, 8194, 9015, 9016)],
)
def test_unified_ids_of_the_published_models(
    text_vocab: int, speech_vocab: int, bos: int, eos: int, tmp_path: Path
) -> None:
    model = {"text_vocab": text_vocab, "speech_vocab": speech_vocab, "speech_rows": speech_vocab}
    folder = write_t3(tmp_path / "checkpoint", "english", **model, bos=6561, eos=6562)
    fields = open_t3(folder).fields
    assert vocab_size(fields) == text_vocab + speech_vocab
    assert (text_vocab + fields.bos, text_vocab + fields.eos) == (bos, eos)


def test_linear_and_plain_ropes(tmp_path: Path) -> None:
    for kind, expected in [
        ("default", None),
        ("linear", {"type": "linear", "rope_type": "linear", "factor": 2.0}),
    ]:
        rope = {"kind": kind, "dims": 8, "theta": 10000.0, "factor": 2.0}
        folder = write_t3(tmp_path / kind, "english", decoder={**llama_stack(), "rope": rope})
        assert config_of(open_t3(folder).fields, "float32")["rotary_scaling"] == expected


@pytest.mark.parametrize(
    ("variant", "decoder", "message"),
    [
        ("flash", llama_stack(), "got 'flash', which TensorRT-LLM can't run"),
        ("english", {**llama_stack(), "parallel": True}, "LLaMA .* or GPT"),
        ("english", {**llama_stack(), "rope": None}, "LLaMA .* or GPT"),
        ("turbo", {**gpt_stack(), "ffn_bias": False}, "LLaMA .* or GPT"),
    ],
)
def test_other_models_are_refused(
    variant: str, decoder: dict[str, object], message: str, tmp_path: Path
) -> None:
    fields = open_t3(write_t3(tmp_path / "checkpoint", variant, decoder=decoder)).fields
    with pytest.raises(rt.ConfigError, match=message):
        is_gpt(fields)
