"""The Magpie converter: maps original tensor names to ours, one tensor at a time.

The mapping is made first, from names and shapes alone: every expected tensor must exist with its
shape, and every other tensor must be on the skip lists below (bundled codec, speaker and
speech-recognition models, causal masks, the aligner used in training). Values are read only while
the file is written; they are checked to be finite, and cast if the caller asks for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import get_args

import numpy as np

from ttsrt_rt.convert.lazy_tensor import DTYPES, Array, LazyTensor
from ttsrt_rt.convert.magpie_config import BAKED
from ttsrt_rt.convert.magpie_model import MagpieModel
from ttsrt_rt.convert.manifest import DeclaredTensor, check_tensors
from ttsrt_rt.convert.mapped_tensor import MappedTensor, read_as, target_dtype
from ttsrt_rt.errors import FormatError
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.quoting import list_names, quote

MAX_VOICE_ROWS = 1 << 20

SKIPPED_MODULES = (
    "_codec_model",
    "_speaker_verification_model",
    "_reference_model",
    "_teacher_model",
    "whisper_model",
    "squim_objective_model",
    "alignment_encoder",
)
SKIPPED_PREFIXES = ("eval_",)
MASK_SUFFIX = ".self_attention.causal_mask"
RENAMED = (("t5_encoder.", "encoder."), ("t5_decoder.", "decoder."))

STACKS = {
    "text_encoder": "encoder",
    "context_encoder": "context_encoder",
    "decoder": "decoder",
    "local_transformer": "local_transformer",
}
LAYER_NAMES = {
    "self_norm": "norm_self.weight",
    "self_qkv": "self_attention.qkv_net.weight",
    "self_out": "self_attention.o_net.weight",
    "ffn_norm": "norm_pos_ff.weight",
    "ffn_in": "pos_ff.proj.conv.weight",
    "ffn_out": "pos_ff.o_net.conv.weight",
    "cross_query_norm": "norm_xattn_query.weight",
    "cross_memory_norm": "norm_xattn_memory.weight",
    "cross_q": "cross_attention.q_net.weight",
    "cross_kv": "cross_attention.kv_net.weight",
    "cross_out": "cross_attention.o_net.weight",
}
PLAIN_NAMES = {
    "text_embedding": "text_embedding.weight",
    "context_text_embedding": "context_text_embedding.weight",
    "final_proj": "final_proj.weight",
    "final_proj_bias": "final_proj.bias",
    "local_transformer.in_proj": "local_transformer_in_projection.weight",
    "local_transformer.in_proj_bias": "local_transformer_in_projection.bias",
}
STACKED_NAMES = {
    "audio_embeddings": "audio_embeddings.{}.weight",
    "local_transformer.heads": "local_transformer_out_projections.{}.weight",
    "local_transformer.heads_bias": "local_transformer_out_projections.{}.bias",
}
# The first parts of original names; another one that all tensors share is that of a wrapper.
ROOTS = frozenset(
    {
        *(name.split(".")[0] for name in (*PLAIN_NAMES.values(), *STACKED_NAMES.values())),
        *(old.rstrip(".") for old, _ in RENAMED),
        *STACKS.values(),
        *SKIPPED_MODULES,
        BAKED.split(".")[0],
    }
)
BAKED_NAMES = (BAKED, "_baked_embedding_T", "_baked_embedding_D", "baked_context_embedding_len")
OUR_LAYER = re.compile(r"(\w+)\.layers\.(\d+)\.(\w+)")


def normalize_names(tensors: Mapping[str, LazyTensor]) -> dict[str, LazyTensor]:
    """Returns the tensors that are not skipped, under the names that the current code uses.

    Raises:
        FormatError: a tensor appears under both its old and its new name.
    """
    kept: dict[str, LazyTensor] = {}
    for name, tensor in tensors.items():
        if name.endswith(MASK_SUFFIX) or name.startswith(SKIPPED_PREFIXES):
            continue
        if any(module in name.split(".")[0] for module in SKIPPED_MODULES):
            continue
        for old, new in RENAMED:
            if name.startswith(old):
                name = new + name[len(old) :]
        if name in kept:
            raise FormatError(
                f"{quote(name)}: expected it once, got it under an old and a new name"
            )
        kept[name] = tensor
    return kept


def source_names(name: str, tables: int) -> tuple[str, ...]:
    """Returns the original names of our tensor `name`: a stacked tensor has one for each table."""
    if name in PLAIN_NAMES:
        return (PLAIN_NAMES[name],)
    if name in STACKED_NAMES:
        return tuple(STACKED_NAMES[name].format(table) for table in range(tables))
    match = OUR_LAYER.fullmatch(name)
    if match:
        return (f"{STACKS[match[1]]}.layers.{match[2]}.{LAYER_NAMES[match[3]]}",)
    stack, _, rest = name.partition(".")
    return (f"{STACKS[stack]}.{'position_embeddings' if rest == 'positions' else rest}.weight",)


def map_tensors(
    model: MagpieModel,
    declared: Mapping[str, DeclaredTensor],
    tensors: Mapping[str, LazyTensor],
    dtype: str | None,
    notices: list[str],
) -> dict[str, MappedTensor]:
    """Maps `tensors`, keyed by original names (see `normalize_names`), to those that are declared.

    `dtype` casts floating-point weights; None keeps the dtype of the source.

    Raises:
        FormatError: a tensor is missing, unexpected, or of a wrong shape or dtype.
    """
    remaining = set(tensors)
    voice_rows = _voice_rows(model, tensors) if model.context == "voices" else 0
    mapped: dict[str, MappedTensor] = {}
    missing: list[str] = []
    for name, expected in declared.items():
        shape = expected.sized(voice_rows)
        if name == "voice_lengths":
            mapped[name] = _map_voice_lengths(
                tensors["baked_context_embedding_len"], shape, voice_rows
            )
            continue
        sources = (BAKED,) if name == "voices" else source_names(name, model.tables)
        missing += [source for source in sources if source not in tensors]
        if not missing:
            mapped[name] = _map_tensor(name, shape, [tensors[source] for source in sources], dtype)
        remaining.difference_update(sources)
    if missing:
        raise FormatError(f"{len(missing)} tensors are missing: {list_names(missing)}")
    if model.context == "voices":
        remaining.difference_update(BAKED_NAMES)
        unused = {
            n for n in remaining if n.startswith(("context_encoder.", "context_text_embedding."))
        }
        if unused:
            notices.append(
                f"{len(unused)} tensors of the context encoder were left out, because the stored "
                "voices replace it"
            )
            remaining -= unused
    if remaining:
        raise FormatError(f"{len(remaining)} unexpected tensors: {list_names(sorted(remaining))}")
    check_tensors(declared, {name: (made.dtype, made.shape) for name, made in mapped.items()})
    return mapped


def _map_tensor(
    name: str, shape: tuple[int, ...], sources: list[LazyTensor], dtype: str | None
) -> MappedTensor:
    """Maps one tensor: a copy, or sources stacked along a new first axis; `voices` is reshaped."""
    stacked = name in STACKED_NAMES
    wanted = shape[1:] if stacked else shape
    if name == "voices":
        wanted = (shape[0], shape[1] * shape[2])
    for source in sources:
        if source.shape != wanted:
            raise FormatError(f"{source.name}: expected {list(wanted)}, got {list(source.shape)}")
        if source.dtype not in ("float32", "float16", "bfloat16", "float64"):
            raise FormatError(f"{source.name}: expected floating-point values, got {source.dtype}")
        if source.dtype != sources[0].dtype:
            raise FormatError(
                f"{source.name}: expected {sources[0].dtype} like the other tensors of the stack, "
                f"got {source.dtype}"
            )
    target = target_dtype(sources[0].dtype, dtype)

    def read() -> Array:
        if not stacked:
            return read_as(sources[0], target).reshape(shape)
        whole = np.empty(shape, DTYPES[target])
        for index, source in enumerate(sources):
            whole[index] = read_as(source, target)
        return whole

    return MappedTensor(name, target, shape, read)


def _scalar(tensors: Mapping[str, LazyTensor], name: str) -> int:
    if name not in tensors:
        raise FormatError(f"{name}: missing, although {BAKED} is there")
    tensor = tensors[name]
    if int(np.prod(tensor.shape, dtype=np.int64)) != 1 or not tensor.dtype.startswith("int"):
        raise FormatError(f"{name}: expected one integer, got {tensor.dtype} {list(tensor.shape)}")
    return int(tensor.read().reshape(-1)[0])


def _voice_rows(model: MagpieModel, tensors: Mapping[str, LazyTensor]) -> int:
    """Returns the rows of one stored voice, checked against the width of the flattened table."""
    rows, width = _scalar(tensors, "_baked_embedding_T"), _scalar(tensors, "_baked_embedding_D")
    if width != model.dim:
        raise FormatError(f"_baked_embedding_D: expected {model.dim}, got {width}")
    if not 1 <= rows <= MAX_VOICE_ROWS:
        raise FormatError(f"_baked_embedding_T: expected 1..{MAX_VOICE_ROWS}, got {rows}")
    if "baked_context_embedding_len" not in tensors:
        raise FormatError(f"baked_context_embedding_len: missing, although {BAKED} is there")
    return rows


def _map_voice_lengths(source: LazyTensor, shape: tuple[int, ...], rows: int) -> MappedTensor:
    """Maps the valid rows per voice, as int32. The values are small, so they are read and checked
    here, before the file is written.
    """
    if source.shape != shape or not source.dtype.startswith("int"):
        raise FormatError(
            f"{source.name}: expected integers {list(shape)}, "
            f"got {source.dtype} {list(source.shape)}"
        )
    lengths = source.read()
    if lengths.min() < 1 or lengths.max() > rows:
        raise FormatError(
            f"{source.name}: expected lengths in 1..{rows}, "
            f"got {int(lengths.min())}..{int(lengths.max())}"
        )
    values = lengths.astype(np.int32)
    return MappedTensor("voice_lengths", "int32", shape, lambda: values)


def check_dtype(dtype: object) -> str | None:
    """Returns the name of a type that weights can be cast to, or None for None.

    Raises:
        ConfigError: they cannot.
    """
    return None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
