"""`export_magpie`: writes a Magpie checkpoint as the components of TensorRT-LLM's T5TTS."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.convert.checkpoint import Checkpoint, open_checkpoint
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.export.float_tensors import read_floats
from ttsrt_rt.export.magpie_layout import (
    COMPONENTS,
    CROSS_HEAD_DIM,
    check_exportable,
    component_tensors,
    config_of,
)
from ttsrt_rt.export.magpie_script import SCRIPT, build_script
from ttsrt_rt.export.text_file import write_text
from ttsrt_rt.export.trtllm_layout import ExportTensor
from ttsrt_rt.export.trtllm_metadata import CONFIG, FORMAT, FORMAT_VERSION, WEIGHTS
from ttsrt_rt.export.trtllm_tensors import write_tensors
from ttsrt_rt.progress import reporting

if TYPE_CHECKING:
    from ttsrt_rt.progress import Progress

__all__ = ["METADATA", "VOICES", "export_magpie", "files_of", "metadata_of", "voice_tensors"]

_LOG = logging.getLogger(__name__)

METADATA = "magpie_metadata.json"
VOICES = "context_features.safetensors"


def export_magpie(
    checkpoint: Path,
    output_dir: Path,
    *,
    voices: Sequence[object],
    dtype: str,
    overwrite: bool,
    progress: Progress,
) -> Path:
    """Writes the folder and returns it; `export_trtllm` says what each argument is.

    Raises:
        ConfigError: The fork's engines can't run the model, voices are given, or the output folder
            can't be written or is in use.
        FormatError: The checkpoint is damaged, or a value is too large for the dtype.
        CapacityError: The disk is full.
    """
    from ttsrt_rt import _core

    if voices:
        raise ConfigError(
            "voices: expected none for a Magpie checkpoint: its context is codes or the rows that "
            f"it stores, which are exported, got {len(voices)}"
        )
    source = open_checkpoint(checkpoint)
    check_exportable(source.model)
    native = _core.FolderWriter(
        os.fsencode(output_dir),
        noun="TensorRT-LLM export",
        format=FORMAT,
        description=METADATA,
        others=[SCRIPT, VOICES],
        folders=list(COMPONENTS),
        overwrite=overwrite,
    )
    try:
        folder = Path(native.folder)
        for component in COMPONENTS:
            (folder / component).mkdir()
            config = config_of(source.model, component, dtype, source.defaults.prior)
            write_text(folder / component / CONFIG, json.dumps(config, indent=2) + "\n")
        with reporting(progress, "export") as report:
            write_tensors(files_of(source), folder, dtype, report)
        write_text(folder / SCRIPT, build_script(source.model, dtype), 0o777)
        metadata = metadata_of(source, dtype)
        write_text(folder / METADATA, json.dumps(metadata, indent=2) + "\n")
        native.publish()
        target = Path(native.target)
    finally:
        native.close()
    for lack in metadata["lacks"]:
        _LOG.warning("%s", lack)
    return target


def files_of(source: Checkpoint) -> dict[str, dict[str, ExportTensor]]:
    """Returns the tensors of every file by the file's path in the folder; nothing is read."""
    files = {f"{part}/{WEIGHTS}": component_tensors(source, part) for part in COMPONENTS}
    stored = voice_tensors(source)
    return {**files, VOICES: stored} if stored else files


def voice_tensors(source: Checkpoint) -> dict[str, ExportTensor]:
    """Returns the stored voices as rows that a request passes as `decoder_context_features`: one
    tensor [rows, dim] for each, named by its number; empty where the model stores none.
    """
    if not source.model.num_voices:
        return {}
    shape = source.weights["voices"].shape
    lengths = source.weights["voice_lengths"].read()

    def reader(voice: int) -> Callable[[], np.ndarray[Any, np.dtype[np.float32]]]:
        return lambda: read_floats(source.weights, "voices", shape)[voice, : lengths[voice]]

    return {
        str(voice): ExportTensor((int(lengths[voice]), shape[2]), reader(voice))
        for voice in range(shape[0])
    }


def metadata_of(source: Checkpoint, dtype: str) -> dict[str, Any]:
    """Returns the contents of `magpie_metadata.json`: what a driver of the engines must know."""
    model, tokens = source.model, source.model.tokens
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "family": "magpie",
        "dtype": dtype,
        "frame_rate": model.frame_rate,
        "codebooks": model.codebooks,
        "codebook_vocab": model.codebook_vocab,
        "ids": {
            "rule": "a frame is one id of each codebook; id = code + codebook * codebook_vocab",
            "audio_bos": tokens.audio_bos,
            "audio_eos": tokens.audio_eos,
            "context_bos": tokens.context_bos,
            "context_eos": tokens.context_eos,
            "forbidden": list(tokens.forbidden),
            "no_token": model.tables * model.codebook_vocab,
            "text_bos": tokens.text_bos,
            "text_eos": tokens.text_eos,
        },
        "context": {
            "kind": model.context,
            "file": VOICES if model.num_voices else None,
            "speakers": dict(model.speakers),
        },
        "guidance": {
            "rule": "logits = cfg_scale * cond + (1 - cfg_scale) * uncond",
            "unconditional": "frames of no_token for the context, and zeros for cross-attention",
            "cfg_scale": source.defaults.cfg_scale,
        },
        "encoder_causal": model.text_encoder.causal,
        "lacks": _lacks(source),
    }


def _lacks(source: Checkpoint) -> list[str]:
    """What the fork's engines leave to their driver, or compute differently."""
    model = source.model
    told = []
    if model.text_encoder.causal:
        told.append(
            "the model's text encoder is causal and the fork's isn't: its engine attends to the "
            "whole text and centres its convolutions; only an encoder output that is computed "
            "elsewhere is the model's"
        )
    if model.decoder.cross_head_dim != CROSS_HEAD_DIM:
        told.append(
            f"the fork's decoder has one head of {CROSS_HEAD_DIM} in its cross-attention, the "
            f"model one of {model.decoder.cross_head_dim}: that number must be changed in the "
            "fork's model.py"
        )
    if model.local_transformer is not None:
        told.append(
            "the local transformer was left out, as the fork builds it as an engine of its own; "
            "the exported head draws all codebooks at once"
        )
    return told
