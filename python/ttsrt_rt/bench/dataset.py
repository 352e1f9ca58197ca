"""Reads the benchmark data sets of the TensorRT-LLM fork, and checks every value.

The lists of a sample are flat, as in the fork: `context_ids` are columns of `num_vocabs` codes,
codebook i offset by i times the rows of its table; `input_feat` and `context_feat` are rows of the
model's width; `output_len` counts decoder iterations. A message names the file, the sample, what
was expected and what was found.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.bench.prepare import MAX_DIM, MAX_LENGTH, MAX_SAMPLES, MAX_VOCAB, MAX_VOCABS
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import shorten, show
from ttsrt_rt.regular_file import read_regular

__all__ = ["Dataset", "DatasetShape", "Sample", "read_dataset"]

MAX_FILE_BYTES = 2 << 30
_INT32 = np.iinfo(np.int32)


@dataclass(frozen=True)
class DatasetShape:
    """How the flat lists of a file are divided.

    Attributes:
        num_vocabs: Codes of one context column.
        audio_vocab_size: Rows of one codebook's table, if the metadata does not have it.
        dim: Width of features.
    """

    num_vocabs: int
    audio_vocab_size: int
    dim: int


@dataclass(frozen=True, eq=False)
class Sample:
    """One request of the data set.

    Attributes:
        where: File and place, for messages.
        output_len: Decoder iterations.
        text_ids: int32 [text_len], or None.
        text_features: Rows after the encoder, float32 [text_len, dim], or None.
        context_codes: int32 [columns, num_vocabs] without offsets, or None.
        context_features: float32 [rows, dim], or None; takes precedence over the codes.
    """

    where: str
    output_len: int
    text_ids: NDArray[np.int32] | None
    text_features: NDArray[np.float32] | None
    context_codes: NDArray[np.int32] | None
    context_features: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Dataset:
    """A file's samples: at least one."""

    path: Path
    samples: tuple[Sample, ...]


def read_dataset(
    path: str | os.PathLike[str],
    shape: DatasetShape,
    *,
    max_samples: int | None = None,
    has_contexts: bool = True,
) -> Dataset:
    """Reads a data set; nothing in it is executed.

    Args:
        path: A JSON file of `ttsrt bench prepare`, or of the fork's scripts.
        shape: How its flat lists are divided.
        max_samples: Reads only so many from the start; None for all.
        has_contexts: Whether the contexts of the samples are read; without, they have none.

    Raises:
        ConfigError: There is no such file, or `shape` or `max_samples` is out of range.
        FormatError: The file is not such a data set.
    """
    path = Path(path)
    _check_range("num_vocabs", shape.num_vocabs, MAX_VOCABS)
    _check_range("dim", shape.dim, MAX_DIM)
    if max_samples is not None:
        _check_range("max_num_samples", max_samples, MAX_SAMPLES)
    contents = _read_json(path)
    if not isinstance(contents, dict) or not isinstance(contents.get("samples"), list):
        raise FormatError(f"{path}: expected metadata and a list of samples, got {_kind(contents)}")
    samples = contents["samples"]
    if not 1 <= len(samples) <= MAX_SAMPLES:
        raise FormatError(f"{path}: samples: expected 1 to {MAX_SAMPLES}, got {len(samples)}")
    vocab = 0
    if has_contexts:
        vocab = _audio_vocab(path, contents.get("metadata", {}), shape)
    else:
        for sample in samples:
            if isinstance(sample, dict):
                sample.pop("context_ids", None)
                sample.pop("context_feat", None)
    return Dataset(
        path,
        tuple(
            _read_sample(f"{path}: samples[{index}]", sample, shape, vocab)
            for index, sample in enumerate(samples[:max_samples])
        ),
    )


def _read_json(path: Path) -> Any:
    if not path.exists():
        raise ConfigError(f"{path}: no such file")
    try:
        return json.loads(read_regular(path, MAX_FILE_BYTES))
    except (ConfigError, FormatError):
        raise
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON: {shorten(str(error))}") from error


def _audio_vocab(path: Path, metadata: Any, shape: DatasetShape) -> int:
    """Rows of one codebook's table: those of all tables together, divided by their number."""
    if not isinstance(metadata, dict):
        raise FormatError(f"{path}: metadata: expected a mapping, got {_kind(metadata)}")
    total = metadata.get("tokenize_vocabsize")
    if total is None:
        return shape.audio_vocab_size
    where = f"{path}: metadata.tokenize_vocabsize"
    _integer(where, total, 1, MAX_VOCAB * MAX_VOCABS)
    vocab, rest = divmod(int(total), shape.num_vocabs)
    if rest or vocab > MAX_VOCAB:
        raise FormatError(
            f"{where}: expected a multiple of the {shape.num_vocabs} codebooks (--num_vocabs), "
            f"got {total}{_cause(shape)}"
        )
    return vocab


def _read_sample(where: str, sample: Any, shape: DatasetShape, vocab: int) -> Sample:
    if not isinstance(sample, dict):
        raise FormatError(f"{where}: expected a mapping, got {_kind(sample)}")
    output_len = _integer(f"{where}.output_len", sample.get("output_len"), 1, MAX_LENGTH)
    has_ids, has_features = ("input_ids" in sample), ("input_feat" in sample)
    if has_ids == has_features:
        raise FormatError(
            f"{where}: expected either input_ids or input_feat, got {'both' if has_ids else 'none'}"
        )
    text_ids, text_features = None, None
    if has_ids:
        text_ids = _ids(f"{where}.input_ids", sample["input_ids"], MAX_LENGTH)
    else:
        text_features = _rows(f"{where}.input_feat", sample["input_feat"], shape.dim)
    text = text_ids if text_features is None else text_features
    text_len = 0 if text is None else len(text)
    stated = sample.get("input_len")
    if stated is not None and stated != text_len:
        raise FormatError(
            f"{where}.input_len: expected the {text_len} of its text, got {show(stated)}"
        )
    codes, features = sample.get("context_ids"), sample.get("context_feat")
    return Sample(
        where=where,
        output_len=output_len,
        text_ids=text_ids,
        text_features=text_features,
        context_codes=None if codes is None else _codes(where, codes, shape, vocab),
        context_features=None
        if features is None
        else _rows(f"{where}.context_feat", features, shape.dim),
    )


def _cause(shape: DatasetShape) -> str:
    """What usually explains codes that are not this model's."""
    return (
        "; the data set seems to be for another model: make one with bench prepare --num_vocabs "
        f"{shape.num_vocabs} --audio_vocab_size {shape.audio_vocab_size}"
    )


def _codes(where: str, values: Any, shape: DatasetShape, vocab: int) -> NDArray[np.int32]:
    """Columns of codes without their offsets, [columns, num_vocabs]."""
    where = f"{where}.context_ids"
    flat = _ids(where, values, MAX_LENGTH * shape.num_vocabs)
    if flat.size % shape.num_vocabs:
        raise FormatError(
            f"{where}: expected columns of {shape.num_vocabs} codes (--num_vocabs), got "
            f"{flat.size}{_cause(shape)}"
        )
    codes = flat.reshape(-1, shape.num_vocabs) - np.arange(shape.num_vocabs) * vocab
    wrong = np.argwhere((codes < 0) | (codes >= vocab))
    if wrong.size:
        column, book = (int(at) for at in wrong[0])
        raise FormatError(
            f"{where}[{column * shape.num_vocabs + book}]: expected {book * vocab} to "
            f"{(book + 1) * vocab - 1} in codebook {book}, got "
            f"{int(codes[column, book]) + book * vocab}{_cause(shape)}"
        )
    return codes.astype(np.int32)


def _ids(where: str, values: Any, most: int) -> NDArray[np.int32]:
    _check_list(where, values, most)
    for index, value in enumerate(values):
        if type(value) is not int or not 0 <= value <= _INT32.max:
            raise FormatError(
                f"{where}[{index}]: expected an integer in 0..{_INT32.max}, got {_kind(value)}"
            )
    return np.asarray(values, dtype=np.int32)


def _rows(where: str, values: Any, dim: int) -> NDArray[np.float32]:
    _check_list(where, values, MAX_LENGTH * dim)
    for index, value in enumerate(values):
        if type(value) not in (int, float) or not abs(value) < 1e38:
            raise FormatError(f"{where}[{index}]: expected a finite number, got {_kind(value)}")
    if len(values) % dim:
        raise FormatError(f"{where}: expected rows of {dim} numbers, got {len(values)} numbers")
    return np.asarray(values, dtype=np.float32).reshape(-1, dim)


def _check_list(where: str, values: Any, most: int) -> None:
    if not isinstance(values, list) or not 1 <= len(values) <= most:
        got = f"{len(values)}" if isinstance(values, list) else _kind(values)
        raise FormatError(f"{where}: expected a list of 1 to {most} numbers, got {got}")


def _integer(where: str, value: Any, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise FormatError(f"{where}: expected an integer in {low}..{high}, got {_kind(value)}")
    return value


def _check_range(name: str, value: int, high: int) -> None:
    if not 1 <= value <= high:
        raise ConfigError(f"{name}: expected 1 to {high}, got {value}")


def _kind(value: Any) -> str:
    """A short form of any value, for messages."""
    if isinstance(value, (list, dict, str)):
        return f"{type(value).__name__} of {len(value)}"
    return "nothing" if value is None else str(value)[:40]
