"""Turns the arguments of F5-TTS's `sample` into one request per sample: batches of spectrograms or
waves, texts as ids or tokens, and durations.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.rules import chunk_seed
from ttsrt_rt.f5.spectra import Mel, Spectra
from ttsrt_rt.quoting import show
from ttsrt_rt.request import Flow, Request
from ttsrt_rt.text.f5_tokenizer import F5Tokenizer

__all__ = ["Batch", "Texts", "conditions_of", "float_array", "ids_of", "padded", "requests_of"]

Texts: TypeAlias = "Sequence[str] | Sequence[Sequence[str]] | npt.ArrayLike"


@dataclass(frozen=True)
class Batch:
    """The arguments of `sample` that differ between the samples of a batch.

    Attributes:
        conditions: the prompts, float32 [frames, bands] each.
        ids: of the texts.
        duration: frames, prompt included, of all or of each.
        lens: prompt frames that count, of all or of each; None: all of them.
        edit_mask: bool [batch, frames of the longest prompt]: prompt frames to keep; or None.
        noise: float32 [batch, frames of the longest sample, bands]; None: drawn.
        seed: of the noise of every sample; None: drawn anew for each.
    """

    conditions: Sequence[Mel]
    ids: Sequence[Sequence[int]]
    duration: Any
    lens: Any = None
    edit_mask: Any = None
    noise: Any = None
    seed: int | None = None


def requests_of(batch: Batch, flow: Mapping[str, Any]) -> list[Request]:
    """Returns a request for each sample, which makes a spectrogram.

    Args:
        batch: what differs between the samples.
        flow: fields of `Flow` for all of them.

    Raises:
        ConfigError: an argument is for another number of samples.
    """
    size = len(batch.conditions)
    if len(batch.ids) != size:
        raise ConfigError(f"text: expected {size} texts, one per prompt, got {len(batch.ids)}")
    durations = _numbers(batch.duration, size, "duration")
    lengths = [len(each) for each in batch.conditions]
    if batch.lens is not None:
        lengths = _numbers(batch.lens, size, "lens")
    masks = (
        [None] * size if batch.edit_mask is None else _cut(batch.edit_mask, lengths, "edit_mask")
    )
    frames = [
        sample_frames(duration, length, len(ids), flow.get("max_duration"))
        for duration, length, ids in zip(durations, lengths, batch.ids, strict=True)
    ]
    noises = [None] * size if batch.noise is None else _cut(batch.noise, frames, "noise")
    drawn = secrets.randbits(62)
    return [
        Request(
            text_ids=batch.ids[index],
            context_embeddings=batch.conditions[index],
            seed=chunk_seed(drawn, index) if batch.seed is None else batch.seed,
            noise=noises[index],
            edit_mask=masks[index],
            flow=Flow(**flow, duration=durations[index], lens=lengths[index]),
            return_audio=False,
            return_spectrogram=True,
        )
        for index in range(size)
    ]


def sample_frames(duration: int, lens: int, text_len: int, most: Any = None) -> int:
    """Returns the frames of a sample, prompt included, as the original has them: one more than the
    prompt's and than the text's ids at least.
    """
    frames = max(max(text_len, lens) + 1, duration)
    return min(frames, int(most)) if isinstance(most, (int, np.integer)) else frames


def padded(mels: Sequence[Mel]) -> Mel:
    """Returns spectrograms as one array [batch, frames of the longest, bands], zeros behind the
    shorter ones.
    """
    whole = np.zeros((len(mels), max(map(len, mels)), mels[0].shape[1]), np.float32)
    for row, each in zip(whole, mels, strict=True):
        row[: len(each)] = each
    return whole


def float_array(value: Any, where: str) -> Mel:
    """Returns an array of float32.

    Raises:
        ConfigError: it has other values than real numbers, or rows of unequal lengths.
    """
    try:
        array = np.asarray(value)
        if array.dtype.kind in "cSU":
            raise TypeError(f"{array.dtype}")
        return array.astype(np.float32, copy=False)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{where}: expected numbers, got {show(value)}") from error


def conditions_of(cond: Any, spectra: Spectra) -> list[Mel]:
    """Returns the spectrograms of a batch, float32 [frames, bands] each.

    Args:
        cond: waves [batch, samples] or [samples] at the model's rate, or spectrograms [batch,
            frames, bands].
        spectra: of the model.

    Raises:
        ConfigError: it has another shape, or no prompts.
    """
    array = float_array(cond, "cond")
    if array.ndim and not len(array):
        raise ConfigError("cond: expected at least one prompt, got none")
    if array.ndim == 3 and array.shape[2] == spectra.bands:
        return list(array)
    if array.ndim in (1, 2):
        return [spectra.of(wave) for wave in (array[None] if array.ndim == 1 else array)]
    raise ConfigError(
        f"cond: expected waves [batch, samples] or spectrograms [batch, frames, {spectra.bands}], "
        f"got the shape {list(array.shape)}"
    )


def ids_of(text: Texts, tokenizer: F5Tokenizer | None) -> list[list[int]]:
    """Returns the ids of each text of a batch.

    Args:
        text: ids [batch, length] with -1 behind shorter ones, or texts as strings or as lists of
            tokens. Strings are taken character by character, as the original does.
        tokenizer: of the engine; None if its checkpoint was converted without a vocabulary.

    Raises:
        ConfigError: it is something else, or there is no vocabulary for texts.
    """
    if isinstance(text, (list, tuple)) and text and all(map(_is_text, text)):
        if tokenizer is None:
            raise ConfigError(
                "text: expected ids, as the model was converted without a vocab.txt, got text"
            )
        return [_encode(each, tokenizer) for each in text]
    try:
        array = np.asarray(text)
    except ValueError as error:
        raise ConfigError(f"text: expected ids [batch, length], got {show(text)}") from error
    if array.ndim != 2 or array.dtype.kind not in "iu":
        raise ConfigError(f"text: expected ids [batch, length] or texts, got {show(text)}")
    return [_without_padding(row) for row in array]


def _without_padding(row: npt.NDArray[Any]) -> list[int]:
    """Returns the ids of a row in front of its padding."""
    count = int(np.count_nonzero(row != -1))
    if (row[:count] == -1).any():
        raise ConfigError(
            f"text: expected -1 behind the ids only, got one at {int(np.argmax(row == -1))}"
        )
    return [int(index) for index in row[:count]]


def _is_text(value: object) -> bool:
    """Whether a value is a string, or a list of them."""
    return isinstance(value, str) or (
        isinstance(value, (list, tuple)) and all(isinstance(each, str) for each in value)
    )


def _encode(text: Any, tokenizer: F5Tokenizer) -> list[int]:
    if tokenizer.kind == "byte":
        return list("".join(text).encode("utf-8"))
    return tokenizer.ids_of(text)


def _numbers(value: Any, batch: int, where: str) -> list[int]:
    """Returns one whole number per sample, of one for all or of one each.

    Raises:
        ConfigError: it is something else.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.shape not in ((), (batch,)):
        raise ConfigError(f"{where}: expected a whole number or {batch} of them, got {show(value)}")
    return [int(each) for each in np.broadcast_to(array, (batch,))]


def _rows(value: Any, batch: int, where: str) -> list[Any]:
    """Returns the rows of an array with one for each sample, or of a list of arrays.

    Raises:
        ConfigError: it has another number of rows, or they are no arrays.
    """
    try:
        rows = [np.asarray(row) for row in value]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{where}: expected {batch} rows, got {show(value)}") from error
    if len(rows) != batch or not all(row.ndim for row in rows):
        raise ConfigError(f"{where}: expected {batch} rows, got {show(value)}")
    return rows


def _cut(value: Any, lengths: Sequence[int], where: str) -> list[Any]:
    """Returns the rows of each sample. Where samples have unequal lengths, each may have as many as
    the longest one, as in the original, and what is behind a sample has no meaning.
    """
    longest = max(lengths)
    return [
        row[:length] if len(row) == longest else row
        for row, length in zip(_rows(value, len(lengths), where), lengths, strict=True)
    ]
