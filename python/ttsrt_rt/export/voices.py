"""The voices of an export: read from voice files, and kept beside the table that holds their rows.

`voices.safetensors` has for the voice of task t the tensors `t.speaker_emb` (float32
[speaker_dim]), `t.cond_prompt_speech_tokens` (int32 [n]) and `t.emotion` (float32 [1]), so that its
rows can be computed again: to check them, or for another emotion.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.export.t3_checkpoint import T3Checkpoint
from ttsrt_rt.export.t3_prefix import Voice
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import quote
from ttsrt_rt.stored_voices import prefix_rows
from ttsrt_rt.voice_file import find_built_in_voice, read_voice, sound_part

if TYPE_CHECKING:
    from ttsrt_rt import _core

__all__ = [
    "VoiceFields",
    "read_stored_voices",
    "read_voice_arguments",
    "read_voice_fields",
    "read_voices",
    "write_stored_voices",
]


class VoiceFields(TypedDict):
    """Arguments of `Executor.add_voice`."""

    speaker_emb: NDArray[np.float32]
    cond_prompt_speech_tokens: NDArray[np.int32]
    emotion: float | None


_SPEAKER, _TOKENS, _EMOTION = "speaker_emb", "cond_prompt_speech_tokens", "emotion"


def read_voices(paths: Sequence[str | os.PathLike[str]], source: T3Checkpoint) -> list[Voice]:
    """Reads voice files; a voice is named like its file.

    Args:
        paths: The files; none stands for the voice that the checkpoint brings.
        source: The checkpoint that is to speak with them.

    Raises:
        ConfigError: There is no voice, one can't be read, two have one name, or one was made for
            another variant.
        FormatError: A file is not a voice.
    """
    if not paths:
        built_in = find_built_in_voice(source.folder)
        if built_in is None:
            raise ConfigError(
                f"voices: expected one voice file or more, got none; {source.folder} brings none"
            )
        paths = [built_in]
    voices: list[Voice] = []
    for each in paths:
        path = path_of(each, "voices")
        voice = _read_voice_file(path, source.fields.variant)
        if any(voice.name == other.name for other in voices):
            raise ConfigError(f"voices: expected files of different names, got two {voice.name}")
        voices.append(voice)
    return voices


def write_stored_voices(path: Path, voices: Sequence[Voice]) -> None:
    """Writes what the voices are made from.

    Raises:
        ConfigError: The file can't be written.
        CapacityError: The disk is full.
    """
    tensors: dict[str, LazyTensor] = {}
    for task, voice in enumerate(voices):
        arrays: dict[str, NDArray[np.generic]] = {
            _SPEAKER: np.asarray(voice.speaker, np.float32),
            _TOKENS: np.asarray(voice.tokens, np.int32),
            _EMOTION: np.array([voice.emotion], np.float32),
        }
        for name, values in arrays.items():
            tensors[f"{task}.{name}"] = tensor_of_array(f"{task}.{name}", values)
    write_safetensors(path, tensors, {"format": "ttsrt.voices"})


def read_stored_voices(path: Path, names: Sequence[str]) -> list[Voice]:
    """Reads what `write_stored_voices` wrote, in the order of `names`.

    Raises:
        ConfigError: The file can't be read.
        FormatError: A tensor is missing, or of another kind.
    """
    tensors = SafetensorsFile.open(path).tensors
    return [_voice_of(tensors, f"{task}.", name, path) for task, name in enumerate(names)]


def read_voice_fields(path: Path, model: Mapping[str, Any]) -> VoiceFields:
    """Reads a voice file as the arguments of `Executor.add_voice`.

    Args:
        path: The file.
        model: The description of the engine's model, as engine.json has it.

    Raises:
        ConfigError: The file can't be read, or the voice is made for another variant.
        FormatError: It is not a voice.
    """
    file = read_voice(path, variant=model.get("variant"))
    has_emotion = bool(model.get("conditioning", {}).get("emotion"))
    return {
        "speaker_emb": file.speaker_emb,
        "cond_prompt_speech_tokens": file.cond_prompt_speech_tokens,
        "emotion": file.emotion if has_emotion else None,
    }


def read_voice_arguments(path: Path, engine: _core.Engine) -> dict[str, Any]:
    """Reads a voice for an engine of any family as the arguments of `Executor.add_voice`.

    Args:
        path: A voice file, or a .safetensors of one array of rows or of codec codes.
        engine: The engine that is to speak with it.

    Raises:
        ConfigError: The file can't be read, or the engine does not take such a voice.
        FormatError: The file is none of these.
    """
    info = engine.info
    description = json.loads(engine.description)
    file = SafetensorsFile.open(path)
    if info.family == "llm":
        raise ConfigError(f"{path}: expected no voice for a language model")
    if file.metadata.get("format") == "ttsrt.voice":
        voice = read_voice(path)
        if info.family == "s3gen":
            return sound_part(voice, str(path))
        if info.family != "t3":
            raise ConfigError(
                f"{path}: expected one array of rows or codes for an engine of {info.family}, got "
                "a voice file of Chatterbox T3"
            )
        fields = read_voice_fields(path, description["model"])
        _check_rows(path, prefix_rows(voice, description["model"]), info.max_input_len)
        has_sound = info.has_vocoder and bool(voice.generator)
        return {**fields, **(sound_part(voice, str(path)) if has_sound else {})}
    if len(file.tensors) != 1:
        raise FormatError(
            f"{path}: expected a voice file, or one array of rows or codes, got "
            f"{len(file.tensors)} arrays"
        )
    (tensor,) = file.tensors.values()
    if tensor.dtype.startswith(("int", "uint")):
        if info.family == "t3":
            raise ConfigError(
                f"{path}: expected a voice file or an array of rows, got {tensor.dtype}: "
                "this model takes no codes"
            )
        return {"codes": tensor.read()}
    if tensor.dtype not in ("float32", "float16", "float64"):
        raise ConfigError(f"{path}: expected float32 rows or integer codes, got {tensor.dtype}")
    if tensor.shape[-1:] != (info.dim,):
        raise ConfigError(f"{path}: expected [rows, {info.dim}], got {list(tensor.shape)}")
    _check_rows(path, math.prod(tensor.shape[:-1]), info.max_input_len)
    return {"embeddings": tensor.read()}


def _check_rows(path: Path, rows: int, most: int) -> None:
    if rows > most:
        raise ConfigError(f"{path}: expected at most max_input_len {most} rows, got {rows}")


def _read_voice_file(path: Path, variant: str) -> Voice:
    """Reads a voice file and checks that it was made for this variant."""
    file = read_voice(path, variant=variant)
    return Voice(path.stem, file.speaker_emb, file.cond_prompt_speech_tokens, file.emotion)


def _voice_of(tensors: dict[str, LazyTensor], prefix: str, name: str, path: Path) -> Voice:
    def read(key: str, dtype: str) -> NDArray[np.generic]:
        tensor = tensors.get(prefix + key)
        where = f"{path}: {quote(prefix + key)}"
        if tensor is None:
            raise FormatError(f"{where}: expected {dtype} [n], got nothing")
        if tensor.dtype != dtype or len(tensor.shape) != 1:
            raise FormatError(
                f"{where}: expected {dtype} [n], got {tensor.dtype} {list(tensor.shape)}"
            )
        return tensor.read()

    emotion = read(_EMOTION, "float32")
    if emotion.shape != (1,):
        raise FormatError(f"{path}: {_EMOTION}: expected [1], got {list(emotion.shape)}")
    return Voice(
        name,
        np.asarray(read(_SPEAKER, "float32"), np.float32),
        np.asarray(read(_TOKENS, "int32"), np.int32),
        float(emotion[0]),
    )
