"""A Magpie model in the layout of the TensorRT-LLM fork for T5TTS: tensors and configurations of
its two components, `encoder` and `decoder`.

Names, shapes and fields are those that the fork's converter writes (version 0.20), with these
differences, each of which is needed for what the model computes: the bias of the head is kept,
queries are scaled as they are elsewhere (`q_scaling` 1; the fork's first version wrote a value that
cancels the scale, its last one ignores the field), and logits are float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ttsrt_rt.convert.checkpoint import Checkpoint
from ttsrt_rt.convert.magpie import LAYER_NAMES
from ttsrt_rt.convert.magpie_fork import DECODER_LAYER, ENCODER_LAYER
from ttsrt_rt.convert.magpie_model import MagpieModel, StackConfig
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.export.float_tensors import Floats, read_floats
from ttsrt_rt.export.trtllm_layout import ExportTensor

__all__ = ["COMPONENTS", "CROSS_HEAD_DIM", "check_exportable", "component_tensors", "config_of"]

COMPONENTS = ("encoder", "decoder")
ENCODER_KERNEL = 3
DECODER_KERNEL = 1
FORK_WINDOW = (5, 1, 5)  # lookahead, left and right where the model's own prior is another rule
CROSS_HEAD_DIM = 128  # that the fork's decoder is written for

_OURS = {original: ours for ours, original in LAYER_NAMES.items()}
_STACKS = {"encoder": "text_encoder", "decoder": "decoder"}


def check_exportable(model: MagpieModel) -> None:
    """Checks that the fork's two engines can be this model.

    Raises:
        ConfigError: They can't; the message names the field, what is expected and what it is.
    """
    _expect("context", "codes or voices", model.context, model.context in ("codes", "voices"))
    _expect("frame_stacking", 1, model.frame_stacking)
    _expect("text_encoder.kernel", ENCODER_KERNEL, model.text_encoder.kernel)
    _expect("decoder.kernel", DECODER_KERNEL, model.decoder.kernel)
    _expect("decoder.cross_heads", 1, model.decoder.cross_heads)
    _expect("decoder.memory_norm", True, model.decoder.memory_norm)
    every = tuple(range(model.decoder.layers))
    _expect(
        "decoder.text_layers",
        "every layer",
        list(model.decoder.text_layers),
        model.decoder.text_layers == every,
    )
    for name, stack in (("text_encoder", model.text_encoder), ("decoder", model.decoder)):
        _expect(f"{name}.norm_out", True, stack.norm_out)


def _expect(field: str, expected: object, got: object, is_right: bool | None = None) -> None:
    if got == expected if is_right is None else is_right:
        return
    raise ConfigError(
        f"model.{field}: expected {expected} for the engines of TensorRT-LLM's T5TTS, got {got}"
    )


def config_of(model: MagpieModel, component: str, dtype: str, prior: Any = None) -> dict[str, Any]:
    """Returns config.json of a component.

    Args:
        model: The model.
        component: "encoder" or "decoder".
        dtype: Of the weights.
        prior: The request defaults' attention prior, whose layers, and window if it has one, the
            decoder is built with; None: without a prior.
    """
    stack: StackConfig = model.text_encoder if component == "encoder" else model.decoder
    head_size = stack.dim // stack.heads
    config: dict[str, Any] = {
        "architecture": f"T5TTS{component.capitalize()}Model",
        "dtype": dtype,
        "logits_dtype": "float32",
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.heads,
        "num_key_value_heads": stack.heads,
        "head_size": head_size,
        "hidden_size": stack.dim,
        "intermediate_size": stack.ffn_dim,
        "norm_epsilon": 1e-5,
        "vocab_size": model.text_vocab,
        "max_position_embeddings": stack.max_positions,
        "position_embedding_type": "learned_absolute",
        "hidden_act": "gelu",
        "gated_act": False,
        "quantization": {"quant_algo": None, "kv_cache_quant_algo": None},
        "mapping": {"world_size": 1, "tp_size": 1, "pp_size": 1},
        "use_parallel_embedding": False,
        "embedding_sharding_dim": 0,
        "has_position_embedding": True,
        "layernorm_type": 0,
        "layernorm_position": 0,
        "has_attention_qkvo_bias": False,
        "has_mlp_bias": False,
        "has_model_final_layernorm": True,
        "has_embedding_layernorm": False,
        "has_embedding_scale": False,
        "q_scaling": 1.0,
        "relative_attention": False,
        "max_distance": 0,
        "num_buckets": 0,
        "model_type": "t5tts",
    }
    if component == "decoder":
        config |= _decoder_fields(model, prior)
    return config


def _decoder_fields(model: MagpieModel, prior: Any) -> dict[str, Any]:
    encoder = model.text_encoder
    fields: dict[str, Any] = {
        "vocab_size": model.tables * model.codebook_vocab,
        "vocab_sizes": [model.codebook_vocab] * model.tables,
        "has_lm_head_bias": True,
        "rescale_before_lm_head": False,
        "cross_attention": True,
        "skip_cross_kv": False,
        "use_implicit_relative_attention": False,
        "use_context_embeddings": True,
        "encoder_hidden_size": encoder.dim,
        "encoder_num_heads": encoder.heads,
        "encoder_head_size": encoder.dim // encoder.heads,
        "decoder_start_token_id": model.tokens.audio_bos,
        "bos_token_id": model.tokens.audio_bos,
        "eos_token_id": model.tokens.audio_eos,
        "pad_token_id": 0,
        "use_attention_prior": prior is not None,
    }
    if prior is not None:
        is_window = prior.mode == "window"  # the rule that the fork's kernel has
        fields |= {
            "compute_attention_prior_from_layers": list(prior.estimate_layers),
            "apply_attention_prior_to_layers": list(prior.apply_layers),
            "attention_prior_lookahead": prior.lookahead if is_window else FORK_WINDOW[0],
            "attention_prior_window_left": prior.left if is_window else FORK_WINDOW[1],
            "attention_prior_window_right": prior.reach if is_window else FORK_WINDOW[2],
        }
    return fields


def component_tensors(checkpoint: Checkpoint, component: str) -> dict[str, ExportTensor]:
    """Returns every tensor of a component's rank0.safetensors by name; nothing is read."""
    stack = _STACKS[component]
    model = checkpoint.model
    tensors: dict[str, ExportTensor] = {}

    def add(theirs: str, ours: str, change: Callable[[Floats], Floats] | None = None) -> None:
        shape = checkpoint.weights[ours].shape

        def read() -> Floats:
            values = read_floats(checkpoint.weights, ours, shape)
            return values if change is None else change(values)

        tensors[theirs] = ExportTensor((*shape, 1) if change is _with_axis else shape, read)

    if component == "encoder":
        add("embedding.vocab_embedding.weight", "text_embedding")
    else:
        tensors["embedding.vocab_embedding.weight"] = _audio_table(checkpoint)
        add("lm_head.weight", "final_proj")
        add("lm_head.bias", "final_proj_bias")
    add("embedding.position_embedding.weight", f"{stack}.positions")
    names = ENCODER_LAYER if component == "encoder" else DECODER_LAYER
    layers = model.text_encoder.layers if component == "encoder" else model.decoder.layers
    for layer in range(layers):
        for theirs, original in names.items():
            ours = f"{stack}.layers.{layer}.{_OURS[f'{original}.weight']}"
            is_conv = original.endswith(".conv")
            add(
                f"{component}_layers.{layer}.{theirs}.weight", ours, _with_axis if is_conv else None
            )
        if component == "decoder":
            name = f"decoder_layers.{layer}.cross_attention.qkv.weight"
            tensors[name] = _cross_rows(checkpoint.weights, layer)
    add("final_layernorm.weight", f"{stack}.norm_out")
    return tensors


def _with_axis(values: Floats) -> Floats:
    return values[..., None]


def _audio_table(checkpoint: Checkpoint) -> ExportTensor:
    """All tables of codes, and a row of zeros: the token of the unconditional branch."""
    tables, vocab, dim = checkpoint.weights["audio_embeddings"].shape

    def read() -> Floats:
        values = read_floats(checkpoint.weights, "audio_embeddings", (tables, vocab, dim))
        return np.concatenate([values.reshape(-1, dim), np.zeros((1, dim), np.float32)])

    return ExportTensor((tables * vocab + 1, dim), read)


def _cross_rows(weights: Mapping[str, Any], layer: int) -> ExportTensor:
    names = [f"decoder.layers.{layer}.cross_{part}" for part in ("q", "kv")]
    shapes = [weights[name].shape for name in names]

    def read() -> Floats:
        return np.concatenate(
            [read_floats(weights, name, shape) for name, shape in zip(names, shapes, strict=True)]
        )

    return ExportTensor((shapes[0][0] + shapes[1][0], shapes[0][1]), read)
