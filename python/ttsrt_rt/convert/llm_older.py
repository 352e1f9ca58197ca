"""Language models under other names than Hugging Face's of today: older exports of Phi, and folders
of TensorRT-LLM. Their tensors get today's names; rows that other formats keep in one matrix are
taken apart, and no value changes.

    a, Phi      transformer.h.N.mixer.Wqkv [3 * heads * head_dim, dim]: all queries, all keys, all
                values; one norm `ln`; the final norm and the head are lm_head.ln, lm_head.linear
    b, Phi      self_attn.query_key_value [heads * 3 * head_dim, dim]: query, key and value of each
    TensorRT    transformer.layers.N.attention.qkv: queries, keys, values; mlp.fc is the gate of
                Llama and fc1 of Phi, mlp.gate Llama's up, mlp.proj down and fc2
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from ttsrt_rt.convert.lazy_tensor import Array, LazyTensor
from ttsrt_rt.convert.llm_config import LlmConfig, LlmStack
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import list_names, quote

__all__ = ["with_todays_names"]

LOGGER = logging.getLogger(__name__)

Named = tuple[str, LazyTensor]
Take = Callable[[Array], Array]

FORM_A, FORM_B, FORM_TENSORRT = "older Phi", "early Phi of Hugging Face", "TensorRT-LLM"
LAYER = r"transformer\.(?:h|layers)\.(\d{1,4})\."
A_NAMES = {
    "ln": "input_layernorm",
    "mixer.out_proj": "self_attn.dense",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
A_OUTER = {
    "transformer.embd.wte": "model.embed_tokens",
    "lm_head.ln": "model.final_layernorm",
    "lm_head.linear": "lm_head",
}
LLAMA_NAMES = {
    "input_layernorm": "input_layernorm",
    "post_layernorm": "post_attention_layernorm",
    "attention.dense": "self_attn.o_proj",
    "mlp.fc": "mlp.gate_proj",
    "mlp.gate": "mlp.up_proj",
    "mlp.proj": "mlp.down_proj",
}
PHI_NAMES = {
    "input_layernorm": "input_layernorm",
    "attention.dense": "self_attn.dense",
    "mlp.fc": "mlp.fc1",
    "mlp.proj": "mlp.fc2",
}
UNUSED = re.compile(
    LAYER
    + r"(?:mixer\.(?:rotary_emb|inner_attn|inner_cross_attn)\..+"
    + r"|attention\.(?:kv_cache_(?:rcp_)?scaling_factor|[kv]_cache_scaling_factor"
    + r"|rotary_inv_freq|embed_positions.*))"
)


def with_todays_names(
    tensors: Mapping[str, LazyTensor], config: LlmConfig, where: str
) -> dict[str, LazyTensor]:
    """Returns the tensors of a model under the names that transformers gives them today; those that
    have these names already, as they are.

    Args:
        tensors: all tensors of the source.
        config: the model.
        where: names the source in messages.

    Raises:
        FormatError: a matrix with queries, keys and values has another shape than the model asks
            for, or two tensors get one name.
    """
    form = _form_of(tensors)
    if form is None:
        return dict(tensors)
    LOGGER.info("%s: the tensors have the names of %s", where, form)
    made: dict[str, LazyTensor] = {}
    unused = []
    for name, tensor in tensors.items():
        if UNUSED.fullmatch(name):
            unused.append(name)
            continue
        for new, part in _parts(name, tensor, form, config):
            if new in made:
                raise FormatError(f"{where}: expected one tensor {quote(new)}, got two")
            made[new] = part
    if unused:
        LOGGER.info("%s: %d tensors are not used: %s", where, len(unused), list_names(unused))
    return made


def _form_of(tensors: Mapping[str, LazyTensor]) -> str | None:
    if "transformer.embd.wte.weight" in tensors:
        return FORM_A
    if "transformer.vocab_embedding.weight" in tensors:
        return FORM_TENSORRT
    if any(".self_attn.query_key_value." in name for name in tensors):
        return FORM_B
    return None


def _parts(name: str, tensor: LazyTensor, form: str, config: LlmConfig) -> Iterator[Named]:
    stem, _, kind = name.rpartition(".")
    if form == FORM_B:
        layer, found, _ = stem.partition(".self_attn.query_key_value")
        if not found:
            yield name, tensor
            return
        yield from _side_by_side(f"{layer}.self_attn", kind, tensor, config.decoder, by_head=True)
        return
    at = re.fullmatch(LAYER + r"(.+)", stem)
    if at is None:
        yield f"{_outer(stem, form, config)}.{kind}", tensor
        return
    layer, inner = f"model.layers.{at[1]}", at[2]
    if inner in ("mixer.Wqkv", "attention.qkv"):
        yield from _side_by_side(f"{layer}.self_attn", kind, tensor, config.decoder)
        return
    names = A_NAMES if form == FORM_A else PHI_NAMES if config.kind == "phi" else LLAMA_NAMES
    yield (f"{layer}.{names[inner]}.{kind}" if inner in names else name), tensor


def _outer(stem: str, form: str, config: LlmConfig) -> str:
    if form == FORM_A:
        return A_OUTER.get(stem, stem)
    final = "model.final_layernorm" if config.kind == "phi" else "model.norm"
    return {
        "transformer.vocab_embedding": "model.embed_tokens",
        "transformer.ln_f": final,
    }.get(stem, stem)


def _side_by_side(
    attention: str, kind: str, tensor: LazyTensor, stack: LlmStack, *, by_head: bool = False
) -> Iterator[Named]:
    """Queries, keys and values of one matrix or one bias."""
    rows = [count * stack.head_dim for count in (stack.heads, stack.kv_heads, stack.kv_heads)]
    if not tensor.shape or tensor.shape[0] != sum(rows):
        raise FormatError(
            f"{tensor.name}: expected {sum(rows)} rows of queries, keys and values, got "
            f"{list(tensor.shape)}"
        )
    if by_head and stack.heads != stack.kv_heads:
        raise FormatError(
            f"{tensor.name}: expected as many heads of keys as of queries, got {stack.kv_heads} "
            f"and {stack.heads}"
        )
    begin = 0
    for place, (letter, count) in enumerate(zip("qkv", rows, strict=True)):
        take = _of_heads(stack, place) if by_head else _rows(begin, begin + count)
        yield f"{attention}.{letter}_proj.{kind}", _part(tensor, count, take)
        begin += count


def _rows(begin: int, end: int) -> Take:
    return lambda whole: whole[begin:end]


def _of_heads(stack: LlmStack, place: int) -> Take:
    def take(whole: Array) -> Array:
        rest = whole.shape[1:]
        of_heads = whole.reshape(stack.heads, 3, stack.head_dim, *rest)[:, place]
        return np.ascontiguousarray(of_heads).reshape(-1, *rest)

    return take


def _part(tensor: LazyTensor, rows: int, take: Take) -> LazyTensor:
    def read() -> Array:
        return np.ascontiguousarray(take(tensor.read()))

    nbytes = tensor.nbytes // tensor.shape[0] * rows
    return LazyTensor(tensor.name, tensor.dtype, (rows, *tensor.shape[1:]), nbytes, read)
