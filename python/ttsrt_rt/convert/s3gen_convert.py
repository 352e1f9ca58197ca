"""Runs a conversion of Chatterbox's S3Gen: tells the parts from their tensors, maps them, and
writes.

The source is one file with the original keys, `.safetensors` or `.pt`: `s3gen.safetensors`, the one
with mean flow, or a voice encoder alone. A `ve.safetensors` or `ve.pt` beside it becomes a part of
the checkpoint, a `conds.pt` its voice. Whether the flow is one of mean flow is told by a tensor, as
a file of either kind may be called `s3gen.safetensors`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.checkpoint import CheckpointWriter, config_of
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.magpie_model import to_json
from ttsrt_rt.convert.manifest import check_tensors
from ttsrt_rt.convert.mapped_tensor import MappedTensor, write_mapped
from ttsrt_rt.convert.nanocodec_tensors import rename_norms
from ttsrt_rt.convert.s3gen_manifest import FAMILY, declared_s3gen, usual_defaults
from ttsrt_rt.convert.s3gen_model import S3Gen
from ttsrt_rt.convert.s3gen_source import PARTS, VOICE_ENCODER, parts_of, read_s3gen_model
from ttsrt_rt.convert.s3gen_tensors import is_unused, plan_s3gen
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.convert.t3_voice import find_conds, voice_writers
from ttsrt_rt.convert.tensor_plan import make_tensors
from ttsrt_rt.convert.tensor_shapes import shapes_of
from ttsrt_rt.convert.wrapped_names import unwrap_names
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.progress import Progress, reporting
from ttsrt_rt.quoting import list_names, quote
from ttsrt_rt.voice_file import VoiceFile

__all__ = ["OpenedS3Gen", "check_voice", "convert_s3gen", "looks_like_s3gen", "open_s3gen"]

LOGGER = logging.getLogger(__name__)

VOICE_ENCODER_FILES = ("ve.safetensors", "ve.pt")
VOICE_ENCODER_ROOTS = ("lstm", "proj", "similarity_weight", "similarity_bias")
# A name that each part has, without wrappers.
TOLD_BY = {
    "flow": "flow.input_embedding.weight",
    "mel2wav": "mel2wav.m_source.l_linear.weight",
    "tokenizer": "tokenizer.quantizer._codebook.project_down.weight",
    "speaker_encoder": "speaker_encoder.xvector.dense.linear.weight",
}
TOLD_VOICE_ENCODER = ("lstm.weight_ih_l0", "similarity_weight")
VARIANTS = {"cfm": ("english", "multilingual"), "meanflow": ("turbo", "nano")}

T = TypeVar("T")


def looks_like_s3gen(path: Path) -> bool:
    """Whether this converter accepts `path`: a file with a part of S3Gen, or a voice encoder."""
    if path.is_dir():
        return False
    with open_weights(path) as weights:
        names, _ = unwrap_names(weights, (*PARTS, *VOICE_ENCODER_ROOTS))
    return any(name in names for name in TOLD_BY.values()) or _is_voice_encoder(names)


def _is_voice_encoder(names: Iterable[str]) -> bool:
    found = set(names)
    return all(name in found for name in TOLD_VOICE_ENCODER)


def _named(tensors: Mapping[str, T]) -> dict[str, T]:
    """Returns the tensors of any source under names of `PARTS`, with today's names of norms."""
    names, prefix = unwrap_names(tensors, (*PARTS, *VOICE_ENCODER_ROOTS))
    if prefix:
        LOGGER.warning("all names of tensors begin with %s, which was removed", quote(f"{prefix}."))
    if _is_voice_encoder(names):
        return {f"{VOICE_ENCODER}.{name}": tensor for name, tensor in names.items()}
    return rename_norms(names)


def convert_s3gen(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    overwrite: bool = False,
    progress: Progress = True,
    root: str | None = None,
    variant: str | None = None,
    heads: int | None = None,
    conds: str | os.PathLike[str] | None = None,
    voice_encoder: str | os.PathLike[str] | None = None,
) -> Path:
    """Converts an S3Gen and returns the new folder.

    Args:
        source: what `ttsrt_rt.convert` takes.
        output_dir, dtype, overwrite, progress: as of `ttsrt_rt.convert`.
        root: the entry of a `.pt` that holds the weights, if it is not `state_dict` or `model`.
        variant: the variant of T3 that the built-in voice is for. None: English and multilingual,
            or, with mean flow, Turbo and Nano.
        heads: attention heads of the estimator. None: heads of 64, or of 16 in miniature models.
        conds: the `conds.pt` of the built-in voice. None takes one in the folder of the source.
        voice_encoder: the `ve.safetensors` or `ve.pt`. None takes one in the folder of the source.

    Raises:
        ConfigError: the heads cannot be told or contradict the tensors, or the output folder is in
            use or cannot be written.
        NotFoundError: a file that was given does not exist.
        CapacityError: the disk is full.
        FormatError: the source is damaged, parts contradict each other, or tensors are missing,
            unexpected, of a wrong shape, or not finite; or the voice is damaged or of another
            model.
    """
    dtype = None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        path = find_source(Path(source))
        made = open_s3gen(files, path, dtype=dtype, root=root, heads=heads, ve=voice_encoder)
        voice = _built_in_voice(path, conds, variant, made.model)
        writer.write(
            made.config, lambda at: write_mapped(at, made.tensors, report), voice_writers(voice)
        )
    return Path(output_dir)


@dataclass(frozen=True)
class OpenedS3Gen:
    """What a source becomes: config.json, the model in it, and the tensors, still unread."""

    config: dict[str, Any]
    model: S3Gen
    tensors: Mapping[str, MappedTensor]


def open_s3gen(
    files: ExitStack,
    path: Path,
    *,
    dtype: str | None = None,
    root: str | None = None,
    heads: int | None = None,
    ve: str | os.PathLike[str] | None = None,
) -> OpenedS3Gen:
    """Opens a source, and the voice encoder beside it, for as long as `files` is open.

    Args:
        files: closes what is opened.
        path: the file.
        dtype, root, heads: as of `convert_s3gen`.
        ve: as its `voice_encoder`.

    Raises:
        ConfigError, NotFoundError, FormatError: as `convert_s3gen`.
    """
    weights = files.enter_context(open_weights(path, root=root))
    tensors = _named(weights)
    others = sorted(name for name in tensors if name.split(".", 1)[0] not in PARTS)
    if others:
        raise FormatError(f"{path.name}: {len(others)} unexpected tensors: {list_names(others)}")
    told = {"file": path.name}
    beside = _voice_encoder_beside(path, tensors, ve)
    if beside is not None:
        tensors |= _open_voice_encoder(files, beside)
        told["voice_encoder"] = beside.name
    model = read_s3gen_model(shapes_of(tensors), heads)
    mapped = make_tensors(plan_s3gen(model), tensors, dtype, is_unused)
    defaults = usual_defaults(model)
    blocks = {"model": to_json(model), "defaults": to_json(defaults) if defaults else {}}
    config = config_of(FAMILY, told, blocks)
    made = {name: (tensor.dtype, tensor.shape) for name, tensor in mapped.items()}
    check_tensors(declared_s3gen(config), made)
    LOGGER.info("%s: %s", path.name, ", ".join(parts_of(tensors)))
    for name, value in to_json(model).items():
        LOGGER.info("model.%s: %s", name, json.dumps(value))
    return OpenedS3Gen(config, model, mapped)


def _voice_encoder_beside(
    path: Path, tensors: Mapping[str, LazyTensor], given: str | os.PathLike[str] | None
) -> Path | None:
    """Returns the file of the voice encoder, if there is one and the source is not one itself."""
    if VOICE_ENCODER in parts_of(tensors):
        if given is not None:
            raise ConfigError(f"voice_encoder: expected none, as {path.name} is one")
        return None
    if given is not None:
        return Path(given)
    found = (path.parent / name for name in VOICE_ENCODER_FILES)
    return next((each for each in found if each.is_file()), None)


def _open_voice_encoder(files: ExitStack, path: Path) -> dict[str, LazyTensor]:
    tensors = _named(files.enter_context(open_weights(path)))
    if parts_of(tensors) != (VOICE_ENCODER,):
        raise FormatError(
            f"{path}: expected a voice encoder, {' and '.join(TOLD_VOICE_ENCODER)}, got "
            f"{list_names(tensors)}"
        )
    return tensors


def _built_in_voice(
    path: Path, conds: str | os.PathLike[str] | None, variant: str | None, model: S3Gen
) -> VoiceFile | None:
    """Returns the voice to store with the model, if there is one that it can use."""
    if model.flow is None:
        for name, given in (("conds", conds), ("variant", variant)):
            if given is not None:
                raise ConfigError(f"{name}: expected none without a flow, which uses the voice")
        return None
    variants = VARIANTS[model.flow.kind] if variant is None else (variant,)
    voice = find_conds(path, conds, variants)
    if voice is None:
        return None
    if not voice.generator:
        if conds is None:
            LOGGER.warning("conds.pt: left out, as it has no part for the vocoder")
            return None
        raise FormatError(f"{conds}: gen: expected what the vocoder needs, got nothing")
    check_voice(voice, model, path.parent / "conds.pt" if conds is None else Path(conds))
    return voice


def check_voice(voice: VoiceFile, model: S3Gen, path: Path) -> None:
    """Compares the sizes of a voice with those of the model.

    Raises:
        FormatError: they differ.
    """
    flow = model.flow
    if flow is None:
        return
    largest = int(voice.generator["prompt_token"].max(initial=0))
    for name, wanted, got in (
        ("prompt_feat", flow.mel_bins, voice.generator["prompt_feat"].shape[1]),
        ("embedding", flow.speaker_dim, voice.generator["embedding"].shape[0]),
    ):
        if wanted != got:
            raise FormatError(f"{path}: gen.{name}: expected {wanted} columns, got {got}")
    if largest >= flow.vocab:
        raise FormatError(
            f"{path}: gen.prompt_token: expected ids below {flow.vocab}, got {largest}"
        )
