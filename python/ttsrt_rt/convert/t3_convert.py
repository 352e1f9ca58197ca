"""Runs a conversion of Chatterbox's T3: tells the model from its tensors, maps them, and writes.

The source is one file with the original keys, `.safetensors` or `.pt`: English, multilingual, a
single-language pack, Turbo, Nano or Flash. A `conds.pt` beside it, the voice that the release
brings, becomes a voice file in the checkpoint, and an S3Gen beside it a checkpoint in its folder
`sound`.
"""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.checkpoint import CheckpointWriter, config_of
from ttsrt_rt.convert.magpie_model import to_json
from ttsrt_rt.convert.manifest import check_mapped
from ttsrt_rt.convert.mapped_tensor import MappedTensor, write_mapped
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.convert.t3_defaults import read_defaults
from ttsrt_rt.convert.t3_model import Shapes, T3Model, T3Options, read_model
from ttsrt_rt.convert.t3_prior import block_prior
from ttsrt_rt.convert.t3_sound import find_sound, open_sound, sound_writers
from ttsrt_rt.convert.t3_tensors import ROOTS, is_unused, map_tensors, plan_tensors
from ttsrt_rt.convert.t3_text import t3_text_folder
from ttsrt_rt.convert.t3_voice import find_conds, voice_writers
from ttsrt_rt.convert.text_front_end import file_writers
from ttsrt_rt.convert.wrapped_names import unwrap_names
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.progress import Progress, reporting, share_of
from ttsrt_rt.quoting import list_names, quote

__all__ = ["convert_t3", "looks_like_t3"]

LOGGER = logging.getLogger(__name__)

# Parts of names that every variant has.
TOLD_BY = ("speech_emb.weight", "tfmr.")


def looks_like_t3(path: Path) -> bool:
    """Whether this converter accepts `path`: a file with the tensors of T3."""
    if path.is_dir():
        return False
    with open_weights(path) as weights:
        return all(any(part in name for name in weights) for part in TOLD_BY)


def convert_t3(
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
    front_end: bool | None = None,
    sound: str | os.PathLike[str] | bool | None = None,
) -> Path:
    """Converts a T3 model and returns the new folder.

    Args:
        source: what `ttsrt_rt.convert` takes.
        output_dir: the folder to create; see `overwrite`.
        dtype: "float32", "float16" or "bfloat16" casts the weights; None keeps the dtype of the
            source.
        overwrite: whether to replace an existing checkpoint. Other folders are never replaced.
        progress: True shows a bar if standard error is a terminal; a function is called with
            (tensors done, of all, name of the one just done).
        root: the entry of a `.pt` that holds the weights, if it is not `state_dict` or `model`.
        variant: "english" or "multilingual", if the rows of the text table are none of the
            published numbers; "turbo" or "nano" for a model of their kind. None detects it.
        heads: attention heads of the backbone. None: heads of 64, or of 16 in miniature models.
        conds: the `conds.pt` of the built-in voice. None takes one in the folder of the source.
        front_end: whether to store the release's text tokenizer. None: where its files are in the
            folder of the source; True: it is an error if they aren't; False: never.
        sound: the `s3gen*` file that makes sound of the tokens, which is stored with the model.
            None takes the one in the folder of the source, if there is one; False: none.

    Raises:
        NotFoundError: a file that was given does not exist.
        ConfigError: the variant or the heads cannot be told or contradict the tensors; or the
            output folder is in use or cannot be written.
        CapacityError: the disk is full.
        FormatError: the source is damaged, or tensors are missing, unexpected, of a wrong shape, or
            not finite; or the voice is damaged.
    """
    dtype = None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        path = find_source(Path(source))
        weights = files.enter_context(open_weights(path, root=root))
        tensors, prefix = unwrap_names(weights, ROOTS)
        shapes = Shapes({name: tensor.shape for name, tensor in tensors.items()})
        model = read_model(shapes, T3Options(variant, heads))
        blocks = {"model": to_json(model), "defaults": to_json(read_defaults(model, path.name))}
        config = config_of("t3", {"file": path.name}, blocks)
        mapped = map_tensors(plan_tensors(model), tensors, dtype)
        if model.block_size is not None:  # last: by then, all weights were found to be finite
            prior = functools.partial(block_prior, tensors, model)
            shape = (model.speech_vocab,)
            mapped["block_prior"] = MappedTensor("block_prior", "float32", shape, prior)
        check_mapped(config, mapped)
        if prefix:
            LOGGER.warning(
                "%s: all names of tensors begin with %s, which was removed",
                path.name,
                quote(f"{prefix}."),
            )
        _log(path, model, mapped, [name for name in tensors if is_unused(name)])
        voice = find_conds(path, conds, [model.variant])
        of_sound = open_sound(files, find_sound(path, sound, model.variant), voice, dtype)
        count = len(mapped) + (len(of_sound.tensors) if of_sound else 0)
        others = {
            **voice_writers(voice),
            **file_writers(t3_text_folder(path, model, front_end)),
            **sound_writers(of_sound, share_of(report, len(mapped), count)),
        }
        tell = share_of(report, 0, count)
        writer.write(config, lambda made: write_mapped(made, mapped, tell), others)
    return Path(output_dir)


def _log(path: Path, model: T3Model, mapped: Mapping[str, MappedTensor], unused: list[str]) -> None:
    """Tells what was found in the source and what is written."""
    if unused:
        LOGGER.info(
            "%s: %d tensors have no use after training and were left out: %s",
            path.name,
            len(unused),
            list_names(unused),
        )
    dtypes = sorted({tensor.dtype for tensor in mapped.values()})
    LOGGER.info("%d tensors of %s", len(mapped), ", ".join(dtypes))
    for name, value in to_json(model).items():
        LOGGER.info("model.%s: %s", name, json.dumps(value)[:200])
