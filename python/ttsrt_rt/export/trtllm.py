"""`export_trtllm`: writes a checkpoint of T3 or Magpie as a TensorRT-LLM checkpoint."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np

from ttsrt_rt.convert.checkpoint import read_config
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.export.magpie_trtllm import export_magpie
from ttsrt_rt.export.prompt_table import pack_prompt_table, write_prompt_table
from ttsrt_rt.export.t3_checkpoint import T3Checkpoint, open_t3
from ttsrt_rt.export.t3_prefix import prefix_rows, read_prefix_weights
from ttsrt_rt.export.text_file import write_text
from ttsrt_rt.export.trtllm_bias import logits_bias
from ttsrt_rt.export.trtllm_layout import ExportTensor, config_of, rank_tensors
from ttsrt_rt.export.trtllm_metadata import (
    BIAS,
    CONFIG,
    FORMAT,
    METADATA,
    POSITIONS,
    PROMPT_TABLE,
    SCRIPT,
    SPEECH_POSITIONS,
    TEXT_POSITIONS,
    VOICES,
    WEIGHTS,
    metadata_of,
)
from ttsrt_rt.export.trtllm_script import build_script
from ttsrt_rt.export.trtllm_tensors import write_tensors
from ttsrt_rt.export.voices import read_voices, write_stored_voices
from ttsrt_rt.options import DType, DTypeObject, dtype_name, path_of
from ttsrt_rt.progress import reporting
from ttsrt_rt.writing import writing

if TYPE_CHECKING:
    from ttsrt_rt.progress import Progress

__all__ = ["export_trtllm", "position_tensors"]

_LOG = logging.getLogger(__name__)


def export_trtllm(
    checkpoint: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    voices: Sequence[str | os.PathLike[str]] = (),
    dtype: DType | DTypeObject = "float16",
    overwrite: bool = False,
    progress: Progress = None,
) -> Path:
    """Writes a checkpoint in TensorRT-LLM's layout and returns the new folder (docs/export.md).

    Of T3, the folder holds `config.json` and `rank0.safetensors` of TensorRT-LLM's LLaMA or GPT,
    `prompt_table.npz` with the rows of every voice, `logits_bias.npy`, `positions.safetensors`
    where the model has learned positions that restart, `voices.safetensors`, `build_engine.sh` and
    `t3_metadata.json` with what a driver must know. Of Magpie, it holds `encoder` and `decoder` as
    the fork of TensorRT-LLM for T5TTS has them, each with `config.json` and `rank0.safetensors`,
    `build_engine.sh`, `magpie_metadata.json`, and the rows of stored voices in
    `context_features.safetensors`.

    Args:
        checkpoint: A folder that `convert` wrote, of the family "t3" or "magpie".
        output_dir: The folder to create.
        voices: Voice files of T3; each is a task of the prompt table, named like its file. None
            stands for the voice that the checkpoint brings.
        dtype: Of the weights and the rows: "float16", "bfloat16" or "float32".
        overwrite: Whether an export that is there is replaced.
        progress: As `convert` takes it.

    Raises:
        ConfigError: TensorRT-LLM can't run the model, a voice is for another variant, a file can't
            be read, or the output folder can't be written or is in use.
        FormatError: The checkpoint or a voice is damaged, or a value is too large for the dtype.
        CapacityError: The disk is full.
    """
    from ttsrt_rt import _core

    if isinstance(voices, (str, bytes, os.PathLike)):
        raise ConfigError(f"voices: expected a list of voice files, got {voices!r}")
    name = dtype_name(dtype, "dtype", get_args(DType))
    path = path_of(checkpoint, "checkpoint")
    if read_config(path).get("family") == "magpie":
        target = path_of(output_dir, "output_dir")
        return export_magpie(
            path, target, voices=voices, dtype=name, overwrite=overwrite, progress=progress
        )
    source = open_t3(path)
    config = config_of(source.fields, name)
    named = read_voices(voices, source)
    weights = read_prefix_weights(source)
    rows = {voice.name: prefix_rows(weights, voice) for voice in named}
    native = _core.FolderWriter(
        os.fsencode(path_of(output_dir, "output_dir")),
        noun="TensorRT-LLM export",
        format=FORMAT,
        description=METADATA,
        others=[CONFIG, WEIGHTS, PROMPT_TABLE, VOICES, BIAS, POSITIONS, SCRIPT],
        overwrite=overwrite,
    )
    try:
        folder = Path(native.folder)
        metadata = metadata_of(
            source.fields,
            named,
            [len(each) for each in rows.values()],
            dtype=name,
            conditioning_hash=source.conditioning_hash(),
        )
        table = pack_prompt_table(rows, name)
        write_prompt_table(folder / PROMPT_TABLE, table)
        write_stored_voices(folder / VOICES, named)
        write_text(folder / SCRIPT, build_script(source.fields, name, len(table.table)), 0o777)
        write_text(folder / CONFIG, json.dumps(config, indent=2) + "\n")
        with writing(folder / BIAS):
            np.save(folder / BIAS, logits_bias(source))
        with reporting(progress, "export") as report:
            files = {WEIGHTS: rank_tensors(source), POSITIONS: position_tensors(source)}
            write_tensors(files, folder, name, report)
        write_text(folder / METADATA, json.dumps(metadata, indent=2) + "\n")
        native.publish()
        target = Path(native.target)
    finally:
        native.close()
    _warn(source, target)
    return target


def position_tensors(source: T3Checkpoint) -> dict[str, ExportTensor]:
    """Returns the tensors of positions.safetensors by name; empty where nothing restarts."""
    fields, dim = source.fields, source.fields.dim
    if not fields.text_positions:
        return {}
    text, speech = (fields.text_positions, dim), (fields.speech_positions, dim)
    return {
        TEXT_POSITIONS: ExportTensor(text, lambda: source.floats("text_positions", *text)),
        SPEECH_POSITIONS: ExportTensor(speech, lambda: source.floats("speech_positions", *speech)),
    }


def _warn(source: T3Checkpoint, target: Path) -> None:
    if source.fields.has_head_bias:
        _LOG.warning(
            "TensorRT-LLM's GPT has no bias of the head: it is in %s, which the driver passes as "
            "embedding_bias",
            target / BIAS,
        )
    if source.fields.text_positions:
        _LOG.warning(
            "TensorRT-LLM's LLaMA adds no learned positions: they are in %s, and %s says which row "
            "needs which",
            target / POSITIONS,
            METADATA,
        )
