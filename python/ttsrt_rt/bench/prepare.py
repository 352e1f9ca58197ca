"""A data set of random requests in the JSON of the TensorRT-LLM fork's `prepare_benchmark.py`.

Flags and schema are the same, so that both programs read the same file. Unlike in the original, all
numbers are drawn from one seed, so that a data set can be made again anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import replacing

__all__ = ["DatasetOptions", "Lengths", "make_metadata", "make_samples", "write_dataset"]

MAX_SAMPLES = 1 << 17
MAX_LENGTH = 1 << 16  # text tokens, context columns or decoder iterations of one sample
MAX_VOCAB = 1 << 20
MAX_VOCABS = 256
MAX_DIM = 1 << 14


@dataclass(frozen=True)
class Lengths:
    """How long one part of a sample is: the integer part of a normal draw, clipped.

    Attributes:
        mean: Of the draw.
        std: Its standard deviation; with 0 every length is the mean.
        minimum: Smallest length, at least 1.
        maximum: Largest length.
    """

    mean: int
    std: int
    minimum: int
    maximum: int

    def draw(self, random: np.random.Generator) -> int:
        """One length."""
        return min(max(self.minimum, int(random.normal(self.mean, self.std))), self.maximum)


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """What `ttsrt bench prepare` makes; the defaults are the original's.

    Attributes:
        samples: Requests.
        num_vocabs: Codes of one context column.
        input_len: Text tokens, or rows of features.
        context_len: Context columns.
        output_len: Decoder iterations.
        text_vocab_size: Ids of the text, if `text_emb_dim` is None.
        text_emb_dim: Width of the features that replace text ids; None for ids.
        audio_vocab_size: Rows of one codebook's table.
        seed: The same seed gives the same data set.
    """

    samples: int = 10
    num_vocabs: int = 8
    input_len: Lengths = Lengths(128, 0, 128, 128)
    context_len: Lengths = Lengths(225, 0, 225, 225)
    output_len: Lengths = Lengths(375, 0, 375, 375)
    text_vocab_size: int = 98
    text_emb_dim: int | None = None
    audio_vocab_size: int = 2048
    seed: int = 0

    def __post_init__(self) -> None:
        _check("samples", self.samples, 1, MAX_SAMPLES)
        _check("num_vocabs", self.num_vocabs, 1, MAX_VOCABS)
        _check("text_vocab_size", self.text_vocab_size, 1, MAX_VOCAB)
        _check("audio_vocab_size", self.audio_vocab_size, 1, MAX_VOCAB)
        _check("seed", self.seed, 0, 2**64 - 1)
        if self.text_emb_dim is not None:
            _check("text_emb_dim", self.text_emb_dim, 1, MAX_DIM)
        for name in ("input_len", "context_len", "output_len"):
            lengths: Lengths = getattr(self, name)
            _check(f"{name} MEAN", lengths.mean, 0, MAX_LENGTH)
            _check(f"{name} STD", lengths.std, 0, MAX_LENGTH)
            _check(f"{name} MAX", lengths.maximum, 1, MAX_LENGTH)
            _check(f"{name} MIN", lengths.minimum, 1, lengths.maximum)


def make_metadata(options: DatasetOptions) -> dict[str, Any]:
    """The metadata of the file, with the original's keys in their order."""
    values: dict[str, Any] = {
        "workload_type": "token-norm-dist",
        "input_mean": options.input_len.mean,
        "input_stdev": options.input_len.std,
        "output_mean": options.output_len.mean,
        "output_stdev": options.output_len.std,
        "num_requests": options.samples,
        "tokenize_vocabsize": options.audio_vocab_size * options.num_vocabs,
        "max_input_len": options.input_len.maximum,
        "max_output_len": options.output_len.maximum,
    }
    name = "__".join(f"{key}:{value}" for key, value in values.items())
    return {**values, "workload_name": name}


def make_samples(options: DatasetOptions) -> Iterator[dict[str, Any]]:
    """Yields one sample at a time, because the features of all might not fit into memory."""
    random = np.random.default_rng(options.seed)
    for _ in range(options.samples):
        input_len = options.input_len.draw(random)
        columns = options.context_len.draw(random)
        sample: dict[str, Any] = {
            "input_len": input_len,
            "output_len": options.output_len.draw(random),
            "task_id": -1,
        }
        if options.text_emb_dim is None:
            ids = random.integers(0, options.text_vocab_size, input_len)
            sample["input_ids"] = ids.tolist()
        else:
            sample["input_feat"] = random.standard_normal(input_len * options.text_emb_dim).tolist()
        codes = random.integers(0, options.audio_vocab_size, (columns, options.num_vocabs))
        codes[0] = 0
        codes += np.arange(options.num_vocabs) * options.audio_vocab_size  # one table serves all
        sample["context_ids"] = codes.ravel().tolist()
        yield sample


def write_dataset(path: str | os.PathLike[str], options: DatasetOptions) -> Path:
    """Writes a data set, one line per sample.

    Raises:
        ConfigError: The folder does not exist or cannot be written.
        CapacityError: The disk is full.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: expected a folder that exists, got {path.parent}")
    with replacing(path) as file:
        head = f'{{"metadata": {json.dumps(make_metadata(options))},\n"samples": [\n'
        file.write(head.encode("utf-8"))
        for index, sample in enumerate(make_samples(options)):
            file.write(((",\n" if index else "") + json.dumps(sample)).encode("utf-8"))
        file.write(b"\n]}\n")
    return path


def _check(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{name}: expected {low} to {high}, got {value}")
