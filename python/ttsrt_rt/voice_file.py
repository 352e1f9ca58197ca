"""Voice files of T3: what a voice is made from, in a small safetensors file that is safe to load.

A voice is a speaker embedding, the speech tokens of a few seconds of the speaker, and an emotion;
the part for the vocoder ("gen.") may go with it. The metadata names the variants of T3 that the
voice is made for, because they cut their prompts at different lengths and their embeddings mean
something only to them. Every value is checked when it is read and before it is written.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.safetensors_file import SafetensorsFile, looks_like_safetensors
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.convert.t3_model import MAX_PROMPT, VARIANTS
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import list_names, show

__all__ = [
    "BUILT_IN_VOICE",
    "VoiceFile",
    "find_built_in_voice",
    "read_voice",
    "sound_part",
    "write_voice",
]

Array = npt.NDArray[Any]

FORMAT, FORMAT_VERSION, FAMILY = "ttsrt.voice", "1", "t3"
BUILT_IN_VOICE = "voices/default.safetensors"  # in a folder of a checkpoint or an engine

SPEAKER_DIM = 256
NUM_CODES = 6561  # codes of real sound; the ids above are special or unused
MAX_EMOTION = 100.0  # of either sign, as in requests
USUAL_EMOTION = 0.5
MEL_BANDS = 80
GENERATOR_EMBEDDING = 192
MAX_GENERATOR_TOKENS = 1000
MAX_BYTES = 4 << 20

TENSORS = {"speaker_emb": "float32", "cond_prompt_speech_tokens": "int32", "emotion": "float32"}
GENERATOR_TENSORS = {
    "prompt_token": "int32",
    "prompt_token_len": "int32",
    "prompt_feat": "float32",
    "embedding": "float32",
}


@dataclass(frozen=True)
class VoiceFile:
    """The contents of a voice file. Made by hand, arrays may have any numeric type and leading axes
    of 1; they are kept as the types and shapes below.

    Attributes:
        variants: the variants of T3 that it is made for.
        speaker_emb: float32 [256].
        cond_prompt_speech_tokens: int32 [n], ids below 6561; n may be 0. At most 150, or 375 for
            turbo and nano.
        emotion: -100 to 100; 0.5 is the original's usual value.
        generator: what the vocoder needs: empty, or all of prompt_token int32 [T],
            prompt_token_len int32 [1], prompt_feat float32 [2T, 80] (one row more is allowed) and
            embedding float32 [192].

    Raises:
        ConfigError: a value is not of this kind.
    """

    variants: tuple[str, ...]
    speaker_emb: Array
    cond_prompt_speech_tokens: Array = field(default_factory=lambda: np.zeros(0, np.int32))
    emotion: float = USUAL_EMOTION
    generator: Mapping[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, value in _settled(self).items():
            object.__setattr__(self, name, value)

    def check_variant(self, variant: str, where: str = "voice") -> None:
        """Checks that the voice is made for a variant.

        Raises:
            ConfigError: it is made for others, which the message names.
        """
        if variant not in self.variants:
            raise ConfigError(
                f"{where}: expected a voice for {variant}, got one for {', '.join(self.variants)}"
            )


def read_voice(path: str | os.PathLike[str], *, variant: str | None = None) -> VoiceFile:
    """Reads a voice file.

    Args:
        path: the file.
        variant: the variant of the model that is to use it; None takes any.

    Raises:
        NotFoundError: the file does not exist.
        ConfigError: it is not a regular file, or the voice is made for another variant.
        FormatError: it is not a voice file, or a value is missing, unknown or out of its limits.
    """
    file = FileBytes.open(path)
    try:
        found = _read(file, str(path))
    finally:
        file.close()
    if variant is not None:
        found.check_variant(variant, str(path))
    return found


def sound_part(voice: VoiceFile, where: str) -> dict[str, Array]:
    """Returns what a model that makes sound of speech tokens takes of a voice.

    Args:
        voice: the voice, of any variant.
        where: the file or the argument that it came from, for messages.

    Returns:
        prompt_token int32 [tokens], prompt_feat float32 [2 * tokens or one more, 80] and embedding
        float32 [192].

    Raises:
        ConfigError: the voice has no such part.
    """
    generator = voice.generator
    if not generator:
        raise ConfigError(
            f"{where}: gen: expected what makes sound of tokens, got a voice without it"
        )
    tokens = int(generator["prompt_token_len"][0])
    frames = generator["prompt_feat"]
    spare = len(frames) - 2 * len(generator["prompt_token"])
    return {
        "prompt_token": generator["prompt_token"][:tokens],
        "prompt_feat": frames[: 2 * tokens + spare],
        "embedding": generator["embedding"],
    }


def write_voice(
    path: str | os.PathLike[str], voice: VoiceFile, *, made_of: Mapping[str, str] | None = None
) -> None:
    """Writes a voice file; one that is there is replaced when the new one is complete.

    Args:
        path: the file.
        voice: what it holds.
        made_of: more metadata, for people: what the voice was made of.

    Raises:
        ConfigError: the file cannot be written there.
        CapacityError: the disk is full.
    """
    tensors: dict[str, Array] = {
        "speaker_emb": voice.speaker_emb,
        "cond_prompt_speech_tokens": voice.cond_prompt_speech_tokens,
        "emotion": np.array([voice.emotion], np.float32),
        **{f"gen.{name}": array for name, array in voice.generator.items()},
    }
    metadata = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "family": FAMILY,
        "variant": ",".join(voice.variants),
    }
    metadata = {f"source.{name}": value for name, value in (made_of or {}).items()} | metadata
    write_safetensors(
        path, {name: tensor_of_array(name, array) for name, array in tensors.items()}, metadata
    )


def find_built_in_voice(folder: str | os.PathLike[str]) -> Path | None:
    """Returns the voice file that a checkpoint or an engine brings, or None."""
    path = Path(folder) / BUILT_IN_VOICE
    return path if path.is_file() else None


def _read(file: FileBytes, where: str) -> VoiceFile:
    if file.size > MAX_BYTES:
        raise FormatError(
            f"{where}: expected a voice file of at most {MAX_BYTES} bytes, got {file.size}"
        )
    head = file.all.read(0, min(HEAD_BYTES, file.size))
    if not looks_like_safetensors(head):
        got = describe_foreign(head) or f"a file that starts with {head[:8]!r}"
        raise FormatError(f"{where}: expected a voice file (.safetensors), got {got}")
    opened = SafetensorsFile(file)
    variants = _read_metadata(opened.metadata, where)
    generator = {name: f"gen.{name}" for name in GENERATOR_TENSORS}
    kinds = TENSORS | {generator[name]: kind for name, kind in GENERATOR_TENSORS.items()}
    unknown = [name for name in opened.tensors if name not in kinds]
    if unknown:
        raise FormatError(f"{where}: expected tensors of a voice, got {list_names(unknown)}")
    for name in TENSORS:
        if name not in opened.tensors:
            raise FormatError(f"{where}: {name}: expected a tensor, got nothing")
    arrays: dict[str, Array] = {}
    for name, tensor in opened.tensors.items():
        if tensor.dtype != kinds[name]:
            raise FormatError(f"{where}: {name}: expected {kinds[name]}, got {tensor.dtype}")
        arrays[name] = tensor.read()
    if arrays["emotion"].shape != (1,):
        raise FormatError(f"{where}: emotion: expected [1], got {list(arrays['emotion'].shape)}")
    try:
        return VoiceFile(
            variants=variants,
            speaker_emb=arrays["speaker_emb"],
            cond_prompt_speech_tokens=arrays["cond_prompt_speech_tokens"],
            emotion=float(arrays["emotion"][0]),
            generator={name: arrays[full] for name, full in generator.items() if full in arrays},
        )
    except ConfigError as error:
        raise FormatError(f"{where}: {error}") from error


def _read_metadata(metadata: Mapping[str, str], where: str) -> tuple[str, ...]:
    """Checks the metadata and returns the variants."""
    if metadata.get("format") != FORMAT:
        raise FormatError(
            f"{where}: expected a voice file (metadata format {FORMAT!r}), got "
            f"{show(metadata.get('format'))}; `ttsrt voice` writes one"
        )
    for name, expected in (("format_version", FORMAT_VERSION), ("family", FAMILY)):
        if metadata.get(name) != expected:
            raise FormatError(
                f"{where}: {name}: expected {expected!r}, got {show(metadata.get(name))}"
            )
    return tuple(metadata.get("variant", "").split(","))


def _settled(voice: VoiceFile) -> dict[str, object]:
    """Checks every value of a voice and returns it in its type and shape."""
    variants = _variants(voice.variants)
    most = min(MAX_PROMPT[variant] for variant in variants)
    emotion = voice.emotion
    is_number = isinstance(emotion, (int, float, np.number)) and not isinstance(emotion, bool)
    if not is_number or not -MAX_EMOTION <= float(emotion) <= MAX_EMOTION:
        raise ConfigError(
            f"emotion: expected -{MAX_EMOTION:g} to {MAX_EMOTION:g}, got {show(emotion)}"
        )
    return {
        "variants": variants,
        "speaker_emb": _floats(voice.speaker_emb, (SPEAKER_DIM,), "speaker_emb"),
        "cond_prompt_speech_tokens": _codes(
            voice.cond_prompt_speech_tokens, most, "cond_prompt_speech_tokens"
        ),
        "emotion": float(np.float32(emotion)),
        "generator": _generator(voice.generator),
    }


def _variants(given: Iterable[str]) -> tuple[str, ...]:
    variants = (given,) if isinstance(given, str) else tuple(given)
    for variant in variants:
        if variant not in VARIANTS:
            raise ConfigError(
                f"variant: expected one of {', '.join(VARIANTS)}, got {show(variant)}"
            )
    if not variants or len(set(variants)) != len(variants):
        raise ConfigError(f"variant: expected different names, got {show(variants)}")
    return variants


def _generator(given: Mapping[str, Array]) -> dict[str, Array]:
    if not given:
        return {}
    if set(given) != set(GENERATOR_TENSORS):
        raise ConfigError(
            f"gen: expected all of {', '.join(GENERATOR_TENSORS)} or none, got "
            f"{list_names(sorted(given))}"
        )
    tokens = _codes(given["prompt_token"], MAX_GENERATOR_TOKENS, "gen.prompt_token")
    length = _integers(given["prompt_token_len"], "gen.prompt_token_len")
    if length.shape != (1,) or not 1 <= int(length[0]) <= len(tokens):
        raise ConfigError(
            f"gen.prompt_token_len: expected [1] with 1..{len(tokens)}, got {show(length.tolist())}"
        )
    mel = _array(given["prompt_feat"], "f", "floating-point numbers", 2, "gen.prompt_feat")
    rows = 2 * len(tokens) + (mel.shape[0] == 2 * len(tokens) + 1)
    return {
        "prompt_token": tokens,
        "prompt_token_len": length,
        "prompt_feat": _floats(mel, (rows, MEL_BANDS), "gen.prompt_feat"),
        "embedding": _floats(given["embedding"], (GENERATOR_EMBEDDING,), "gen.embedding"),
    }


def _array(given: object, kinds: str, what: str, axes: int, where: str) -> Array:
    """Returns an array without its leading axes of 1 beyond `axes`."""
    try:
        array: Array = np.asarray(given)
    except (ValueError, OverflowError) as error:  # lists of different lengths
        raise ConfigError(f"{where}: expected {what}, got {show(given)}") from error
    if array.dtype.kind not in kinds:
        raise ConfigError(f"{where}: expected {what}, got {array.dtype.name}")
    while array.ndim > axes and array.shape[0] == 1:
        array = array[0]
    return array


def _floats(given: object, shape: tuple[int, ...], where: str) -> npt.NDArray[np.float32]:
    array = _array(given, "f", "floating-point numbers", len(shape), where)
    if array.shape != shape:
        raise ConfigError(f"{where}: expected {list(shape)}, got {list(array.shape)}")
    with np.errstate(over="ignore"):
        values = np.array(array, np.float32)
    if not math.isfinite(float(np.abs(values).max(initial=0.0))):
        raise ConfigError(f"{where}: expected finite values, got NaN or infinity")
    return _frozen(values)


def _integers(given: object, where: str) -> npt.NDArray[np.int32]:
    array = _array(given, "iu", "integers", 1, where)
    if array.ndim != 1:
        raise ConfigError(f"{where}: expected [n], got {list(array.shape)}")
    limit = np.iinfo(np.int32)
    if array.size and not limit.min <= int(array.min()) <= int(array.max()) <= limit.max:
        raise ConfigError(f"{where}: expected 32-bit integers, got larger ones")
    return _frozen(np.array(array, np.int32))


def _codes(given: object, most: int, where: str) -> npt.NDArray[np.int32]:
    array = _array(given, "iu", "integers", 1, where)
    if array.ndim != 1 or array.size > most:
        raise ConfigError(f"{where}: expected [n] with n up to {most}, got {list(array.shape)}")
    if array.size and not 0 <= int(array.min()) <= int(array.max()) < NUM_CODES:
        bad = int(array.min()) if int(array.min()) < 0 else int(array.max())
        raise ConfigError(f"{where}: expected ids in 0..{NUM_CODES - 1}, got {bad}")
    return _frozen(np.array(array, np.int32))


def _frozen(array: Array) -> Array:
    array.flags.writeable = False
    return array
