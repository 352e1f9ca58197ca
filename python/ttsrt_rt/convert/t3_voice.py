"""Reads `conds.pt`, the voice that Chatterbox stores beside its weights, as a voice file's values.

The file is a torch archive of two dictionaries, read as data: `t3` has the speaker embedding, the
prompt tokens and the emotion, `gen` what the vocoder needs. `cond_prompt_speech_emb` is a cache of
the original that depends on the weights, and `clap_emb` was never filled: both are ignored.
"""

from __future__ import annotations

import functools
import logging
import math
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np

from ttsrt_rt.convert.casting import bits_to_float32
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import Array
from ttsrt_rt.convert.pickle_values import Dict, TensorRef, describe
from ttsrt_rt.convert.torch_zip import TorchFile, check_torch_head
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import list_names
from ttsrt_rt.voice_file import BUILT_IN_VOICE, USUAL_EMOTION, VoiceFile, write_voice

__all__ = ["CONDS_NAME", "find_conds", "read_conds", "voice_writers"]

LOGGER = logging.getLogger(__name__)

CONDS_NAME = "conds.pt"
MAX_BYTES = 64 << 20
MAX_TENSOR_BYTES = 4 << 20


def read_conds(path: str | os.PathLike[str], variants: Iterable[str]) -> VoiceFile:
    """Reads a `conds.pt`.

    Args:
        path: the file.
        variants: the variants of T3 that the voice is for; the file does not say it.

    Raises:
        NotFoundError: the file does not exist.
        ConfigError: it cannot be read, or a variant is unknown.
        FormatError: it is damaged, holds anything but data, or a value is missing or out of its
            limits.
    """
    file = FileBytes.open(path)
    try:
        if file.size > MAX_BYTES:
            raise FormatError(f"{path}: expected at most {MAX_BYTES} bytes, got {file.size}")
        check_torch_head(file.all, str(path))
        return _read(Conds(TorchFile(file.all, str(path)), str(path)), tuple(variants))
    finally:
        file.close()


def find_conds(
    source: Path, conds: str | os.PathLike[str] | None, variants: Iterable[str]
) -> VoiceFile | None:
    """Returns the voice to store with a model: `conds`, or the one beside its source, if any.

    Raises:
        NotFoundError, ConfigError, FormatError: as for `read_conds`.
    """
    if conds is not None:
        return read_conds(conds, variants)
    beside = source.parent / CONDS_NAME
    if not beside.is_file():
        return None
    LOGGER.info("%s: its voice is stored with the model", beside)
    return read_conds(beside, variants)


def voice_writers(voice: VoiceFile | None) -> Mapping[str, Callable[[Path], object]]:
    """Returns what writes the built-in voice of a checkpoint, by its name there."""
    if voice is None:
        return {}
    return {BUILT_IN_VOICE: functools.partial(write_voice, voice=voice)}


class Conds:
    """The two dictionaries of one file."""

    def __init__(self, archive: TorchFile, where: str) -> None:
        self.where = where
        self._archive = archive
        top = archive.top
        if not isinstance(top, Dict) or not isinstance(top.items.get("t3"), Dict):
            got = list_names(top.items) if isinstance(top, Dict) else describe(top)
            raise FormatError(
                f"{where}: expected a voice (conds.pt) with a dict at 't3', got {got}"
            )
        self._parts = {name: value for name, value in top.items.items() if isinstance(value, Dict)}

    def has(self, part: str, name: str) -> bool:
        """Whether a value is there and not None."""
        return part in self._parts and self._parts[part].items.get(name) is not None

    def array(self, part: str, name: str) -> Array:
        """Returns a tensor, or a plain number as an array of one.

        Raises:
            FormatError: there is none, or it is too large for a voice.
        """
        where = f"{self.where}: {part}.{name}"
        if not self.has(part, name):
            raise FormatError(f"{where}: expected a tensor, got nothing")
        value = self._parts[part].items[name]
        if isinstance(value, (int, float)):
            return np.array([value])
        if not isinstance(value, TensorRef):
            raise FormatError(f"{where}: expected a tensor, got {describe(value)}")
        tensor = self._archive.tensor(name, value, where)
        if tensor.nbytes > MAX_TENSOR_BYTES:
            raise FormatError(
                f"{where}: expected at most {MAX_TENSOR_BYTES} bytes, got {tensor.nbytes}"
            )
        values = tensor.read()
        return bits_to_float32(values) if tensor.dtype == "bfloat16" else values


def _read(conds: Conds, variants: tuple[str, ...]) -> VoiceFile:
    emotion = USUAL_EMOTION
    if conds.has("t3", "emotion_adv"):
        stored = conds.array("t3", "emotion_adv")
        if stored.size != 1:
            raise FormatError(
                f"{conds.where}: t3.emotion_adv: expected one number, got {list(stored.shape)}"
            )
        emotion = float(stored.reshape(-1)[0])
        if not math.isfinite(emotion):
            raise FormatError(f"{conds.where}: t3.emotion_adv: expected a number, got {emotion}")
    tokens: Array = np.zeros(0, np.int32)
    if conds.has("t3", "cond_prompt_speech_tokens"):
        tokens = conds.array("t3", "cond_prompt_speech_tokens")
    generator: dict[str, Array] = {}
    if conds.has("gen", "prompt_token"):
        for name in ("prompt_token", "prompt_feat", "embedding"):
            generator[name] = conds.array("gen", name)
        length = generator["prompt_token"].shape[-1:] or (0,)
        generator["prompt_token_len"] = np.array(length, np.int32)
        if conds.has("gen", "prompt_token_len"):
            generator["prompt_token_len"] = conds.array("gen", "prompt_token_len")
    try:
        return VoiceFile(
            variants=variants,
            speaker_emb=conds.array("t3", "speaker_emb"),
            cond_prompt_speech_tokens=tokens,
            emotion=emotion,
            generator=generator,
        )
    except ConfigError as error:
        kind = ConfigError if str(error).startswith("variant") else FormatError
        raise kind(f"{conds.where}: {error}") from error
