"""Maps T3's original tensors to ours, one at a time.

The plan is made first, from the model's sizes alone: each of our tensors is one original tensor, or
several stacked on their first axis (queries, keys and values; gates and values). GPT-2 stores the
matrices of its layers as [inputs, outputs], so these are transposed. Values are read only while the
file is written; they are checked to be finite, and cast if the caller asks for it.

Three tensors of the original have no use after training (the tables of the backbone itself and the
text head) and are left out, as are buffers that other versions of the backbones store.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ttsrt_rt.convert.lazy_tensor import DTYPES, Array, LazyTensor
from ttsrt_rt.convert.mapped_tensor import MappedTensor, read_as, target_dtype
from ttsrt_rt.convert.t3_model import T3Model
from ttsrt_rt.convert.tensor_plan import check_sources, dtype_of

__all__ = ["ROOTS", "Plan", "is_unused", "map_tensors", "plan_tensors"]

# The first parts of original names; another one that all tensors share is that of a wrapper.
ROOTS = frozenset(
    {
        *("tfmr", "text_emb", "speech_emb", "text_pos_emb", "speech_pos_emb", "text_head"),
        *("speech_head", "cond_enc"),
    }
)
UNUSED = re.compile(
    r"tfmr\.(?:embed_tokens|wte)\.weight|text_head\.(?:weight|bias)"
    r"|tfmr\.(?:.+\.)?rotary_emb\.inv_freq|tfmr\.h\.\d+\.attn\.(?:bias|masked_bias)"
)

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Plan:
    """How one of our tensors is made.

    Attributes:
        shape: its shape.
        sources: the original tensors that are stacked on the first axis, with their shapes.
        is_transposed: whether the originals are [inputs, outputs].
    """

    shape: Shape
    sources: tuple[tuple[str, Shape], ...]
    is_transposed: bool = False


def is_unused(name: str) -> bool:
    """Whether an original tensor has no use after training."""
    return UNUSED.fullmatch(name) is not None


def plan_tensors(model: T3Model) -> dict[str, Plan]:
    """Returns how each of our tensors is made, by its name (docs/format.md)."""
    dim = model.decoder.dim
    plans = {
        "text_embedding": _same("text_emb.weight", (model.text_vocab, dim)),
        "speech_embedding": _same("speech_emb.weight", (model.speech_rows, dim)),
        "head": _same("speech_head.weight", (model.speech_vocab, dim)),
    }
    if model.head_bias:
        plans["head_bias"] = _same("speech_head.bias", (model.speech_vocab,))
    if model.text_positions:
        plans["text_positions"] = _same("text_pos_emb.emb.weight", (model.text_positions, dim))
        plans["speech_positions"] = _same(
            "speech_pos_emb.emb.weight", (model.speech_positions, dim)
        )
    plans |= dict(_conditioning(model))
    plans |= dict(_gpt2(model) if model.decoder.learned_positions else _llama(model))
    return plans


def _same(source: str, shape: Shape) -> Plan:
    return Plan(shape, ((source, shape),))


def _conditioning(model: T3Model) -> Iterator[tuple[str, Plan]]:
    dim, what = model.decoder.dim, model.conditioning
    yield "conditioning.speaker", _same("cond_enc.spkr_enc.weight", (dim, what.speaker_dim))
    yield "conditioning.speaker_bias", _same("cond_enc.spkr_enc.bias", (dim,))
    if what.emotion:
        yield (
            "conditioning.emotion",
            Plan((dim,), (("cond_enc.emotion_adv_fc.weight", (dim, 1)),)),
        )
    if not what.queries:
        return
    base = "cond_enc.perceiver"
    query = ((f"{base}.pre_attention_query", (1, what.queries, dim)),)
    yield "conditioning.query", Plan((what.queries, dim), query)
    yield "conditioning.norm", _same(f"{base}.attn.norm.weight", (dim,))
    yield "conditioning.norm_bias", _same(f"{base}.attn.norm.bias", (dim,))
    parts = [f"{base}.attn.{name}" for name in ("to_q", "to_k", "to_v")]
    yield (
        "conditioning.qkv",
        Plan((3 * dim, dim), tuple((f"{part}.weight", (dim, dim)) for part in parts)),
    )
    yield (
        "conditioning.qkv_bias",
        Plan((3 * dim,), tuple((f"{part}.bias", (dim,)) for part in parts)),
    )
    yield "conditioning.out", _same(f"{base}.attn.proj_out.weight", (dim, dim))
    yield "conditioning.out_bias", _same(f"{base}.attn.proj_out.bias", (dim,))


def _llama(model: T3Model) -> Iterator[tuple[str, Plan]]:
    stack = model.decoder
    dim, ffn, head_dim = stack.dim, stack.ffn_dim, stack.head_dim
    width, kv_width = stack.heads * head_dim, stack.kv_heads * head_dim
    for layer in range(stack.layers):
        old, new = f"tfmr.layers.{layer}", f"decoder.layers.{layer}"
        yield f"{new}.self_norm", _same(f"{old}.input_layernorm.weight", (dim,))
        yield f"{new}.ffn_norm", _same(f"{old}.post_attention_layernorm.weight", (dim,))
        qkv = tuple(
            (f"{old}.self_attn.{name}_proj.weight", (rows, dim))
            for name, rows in (("q", width), ("k", kv_width), ("v", kv_width))
        )
        yield f"{new}.self_qkv", Plan((width + 2 * kv_width, dim), qkv)
        yield f"{new}.self_out", _same(f"{old}.self_attn.o_proj.weight", (dim, width))
        gates = tuple((f"{old}.mlp.{name}_proj.weight", (ffn, dim)) for name in ("gate", "up"))
        yield f"{new}.ffn_in", Plan((2 * ffn, dim), gates)
        yield f"{new}.ffn_out", _same(f"{old}.mlp.down_proj.weight", (dim, ffn))
    yield "decoder.norm_out", _same("tfmr.norm.weight", (dim,))


def _gpt2(model: T3Model) -> Iterator[tuple[str, Plan]]:
    stack = model.decoder
    dim, ffn = stack.dim, stack.ffn_dim
    matrices = (
        ("self_qkv", "attn.c_attn", dim, 3 * dim),
        ("self_out", "attn.c_proj", dim, dim),
        ("ffn_in", "mlp.c_fc", dim, ffn),
        ("ffn_out", "mlp.c_proj", ffn, dim),
    )
    yield "decoder.positions", _same("tfmr.wpe.weight", (stack.max_positions, dim))
    for layer in range(stack.layers):
        old, new = f"tfmr.h.{layer}", f"decoder.layers.{layer}"
        for ours, norm in (("self_norm", "ln_1"), ("ffn_norm", "ln_2")):
            yield f"{new}.{ours}", _same(f"{old}.{norm}.weight", (dim,))
            yield f"{new}.{ours}_bias", _same(f"{old}.{norm}.bias", (dim,))
        for ours, name, inputs, outputs in matrices:
            source = ((f"{old}.{name}.weight", (inputs, outputs)),)
            yield f"{new}.{ours}", Plan((outputs, inputs), source, is_transposed=True)
            yield f"{new}.{ours}_bias", _same(f"{old}.{name}.bias", (outputs,))
    yield "decoder.norm_out", _same("tfmr.ln_f.weight", (dim,))
    yield "decoder.norm_out_bias", _same("tfmr.ln_f.bias", (dim,))


def map_tensors(
    plans: Mapping[str, Plan], tensors: Mapping[str, LazyTensor], dtype: str | None
) -> dict[str, MappedTensor]:
    """Maps `tensors`, keyed by original names without wrappers, to ours.

    Args:
        plans: what `plan_tensors` returned.
        tensors: all tensors of the source; those that are unused are ignored.
        dtype: casts the weights; None keeps the dtype of the source.

    Raises:
        FormatError: a tensor is missing, unexpected, or of a wrong shape or dtype.
    """
    check_sources(plans, tensors, is_unused)
    return {name: _map(name, plan, tensors, dtype) for name, plan in plans.items()}


def _map(
    name: str, plan: Plan, tensors: Mapping[str, LazyTensor], dtype: str | None
) -> MappedTensor:
    sources = [tensors[source] for source, _ in plan.sources]
    target = target_dtype(dtype_of(sources), dtype)

    def read() -> Array:
        if len(sources) == 1:
            values = read_as(sources[0], target)
            return np.ascontiguousarray(values.T if plan.is_transposed else values).reshape(
                plan.shape
            )
        whole = np.empty(plan.shape, DTYPES[target])
        begin = 0
        for source in sources:
            whole[begin : begin + source.shape[0]] = read_as(source, target)
            begin += source.shape[0]
        return whole

    return MappedTensor(name, target, plan.shape, read)
