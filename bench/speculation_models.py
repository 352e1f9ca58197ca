"""Language models whose answers are known, for the benchmark of speculation.

The weights are random, but the head is made of the embedding: each id is followed by one that is
known. Every row costs what it would cost in a trained model of these sizes. A draft model is a
smaller one that knows the successors of a part of the ids only.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ttsrt_rt as rt
from bench.gpu_steps.models import LLM_SIZES, draw, write_llm
from bench.t3_peers.models import made_at_once
from bench.t3_peers.shape import Words

__all__ = ["DRAFT_SIZES", "SHARES", "successors", "write_draft_engine", "write_engine", "zones"]

DRAFT_SIZES = {"true": "draft", "tiny": "tiny_draft"}
# Of the ids of each fifth of the vocabulary, how many a draft model knows the successors of.
SHARES = (1.0, 0.8, 0.6, 0.4, 0.0)

_FIRST_ID = 3  # ids below are special
_QUIET = 1.0 / 1024.0  # of what layers add to a row, so that the head sees the embedding


def successors(vocab: int) -> NDArray[np.int64]:
    """All ids but the special ones, each in front of the id that follows it; the last is followed
    by the first: int64 [vocab - 3]."""
    return np.random.default_rng(11).permutation(np.arange(_FIRST_ID, vocab))


def zones(vocab: int) -> list[NDArray[np.int64]]:
    """The parts of `successors`, one for each of `SHARES`: int64 [ids]."""
    return np.array_split(successors(vocab), len(SHARES))


def write_engine(folder: Path, size: str, dtype: str, quantization: str) -> Path:
    """Returns the engine of the model in which ids follow each other so; makes it if need be."""
    order = successors(LLM_SIZES[size]["vocab"])
    return _engine(folder, size, dtype, quantization, order, np.roll(order, -1))


def write_draft_engine(folder: Path, size: str, dtype: str, quantization: str) -> Path:
    """Returns the engine of the smaller model, which guesses for the one of `size`."""
    vocab = LLM_SIZES[size]["vocab"]
    order = successors(vocab)
    guessed = np.roll(order, -1)
    random = np.random.default_rng(13)
    first = 0
    for zone, share in zip(zones(vocab), SHARES, strict=True):
        places = first + random.permutation(len(zone))
        wrong = np.sort(places[round(share * len(zone)) :])
        guessed[wrong] = np.roll(guessed[wrong], 1)
        first += len(zone)
    return _engine(folder, DRAFT_SIZES[size], dtype, quantization, order, guessed)


def _engine(
    folder: Path,
    size: str,
    dtype: str,
    quantization: str,
    order: NDArray[np.int64],
    followers: NDArray[np.int64],
) -> Path:
    path = folder / f"successors.{size}.{dtype}.{quantization}.engine"
    checkpoint = folder / f"successors.{size}.checkpoint"
    if path.exists():
        return path
    if not checkpoint.exists():
        with made_at_once(checkpoint) as made:
            write_llm(size, made, partial(_quiet_and_chained, order, followers))
    is_large = len(order) > 1024
    rt.build(
        checkpoint,
        path,
        dtype=dtype,  # type: ignore[arg-type]
        quantization=quantization,  # type: ignore[arg-type]
        max_batch_size=4,
        max_seq_len=1024 if is_large else 256,
        max_input_len=512 if is_large else 128,
        max_num_tokens=512,
        progress=False,
    )
    return path


def _quiet_and_chained(
    order: NDArray[np.int64], followers: NDArray[np.int64], name: str, values: Words
) -> Words:
    if name.endswith(("self_out", "ffn_out")):
        return _words(_floats(values) * np.float32(_QUIET))
    if name != "head":
        return values
    head: Words = values.copy()
    head[followers] = draw("embedding", values.shape)[order]
    return head


def _floats(words: Words) -> NDArray[np.float32]:
    return (words.astype(np.uint32) << 16).view(np.float32)


def _words(values: NDArray[np.float32]) -> Words:
    words: Words = (values.view(np.uint32) >> 16).astype(np.uint16)
    return words
