"""Benchmark requests: samples of a data set, or random ones of one shape, for a given engine.

`min_frames` prevents the end of speech: before it, a step can neither draw it nor be forced to it.
The prior of the "window" mode can also end a request, so that part of it is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.bench.dataset import Dataset, DatasetShape, Sample
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.request import Request

__all__ = ["RequestOptions", "RequestShape", "dataset_shape", "random_requests", "sample_requests"]


@dataclass(frozen=True, kw_only=True)
class RequestOptions:
    """Options of all requests of a run; None stands for the checkpoint's default.

    Attributes:
        voice: A stored voice that replaces the samples' contexts.
        cfg_scale: Guidance; 1 for none.
        temperature: 0 picks the most likely code.
        eos_id: -1 if no request may end early; otherwise the model's code for the end of speech,
            which then ends requests.
        chunk_frames: Frames of one event.
        initial_chunk_frames: Frames of the first event; None for `chunk_frames`.
        codes_only: Whether requests of an engine with a codec make no sound.
        seed: Of the first request; each has its own.
    """

    voice: int | str | None = None
    cfg_scale: float | None = None
    temperature: float | None = None
    eos_id: int = -1
    chunk_frames: int = 1
    initial_chunk_frames: int | None = None
    codes_only: bool = False
    seed: int = 420


@dataclass(frozen=True, kw_only=True)
class RequestShape:
    """Random requests of one shape.

    Attributes:
        text_len: Text tokens.
        context_len: Codec frames of context, or rows of a voice of T3; has no effect if the engine
            has stored voices.
        frames: Codec frames made.
        cfg_scale: Guidance; 1 for none.
        chunk_frames: Frames of one event, which a codec turns into sound together; None for all.
        codes_only: Whether requests of an engine with a codec make no sound.
    """

    text_len: int = 128
    context_len: int = 110
    frames: int = 128
    cfg_scale: float = 2.5
    chunk_frames: int | None = None
    codes_only: bool = False


def dataset_shape(facts: EngineFacts, num_vocabs: int | None) -> DatasetShape:
    """How the lists of a data set are divided for this engine.

    Args:
        facts: Of the engine.
        num_vocabs: Codes of one context column: those of one frame, or those of one step if a
            column is a stack of frames. None is a frame's.

    Raises:
        ConfigError: It is neither.
    """
    known = sorted({facts.codebooks, facts.codebooks * facts.frame_stacking})
    vocabs = facts.codebooks if num_vocabs is None else num_vocabs
    if vocabs not in known:
        expected = " or ".join(map(str, known))
        raise ConfigError(f"num_vocabs: expected {expected} for this engine, got {vocabs}")
    return DatasetShape(vocabs, facts.codebook_vocab, facts.dim)


def sample_requests(dataset: Dataset, facts: EngineFacts, options: RequestOptions) -> list[Request]:
    """The requests of a data set, checked against the engine.

    Raises:
        ConfigError: The engine cannot run a sample; the message names file and sample.
    """
    if facts.context == "codec":
        raise ConfigError(
            f"{dataset.path}: expected an engine that takes texts, got a codec; bench crowd "
            "measures codecs"
        )
    if options.eos_id not in (-1, facts.eos_id):
        raise ConfigError(
            f"eos_id: expected -1 (no request ends early) or {facts.eos_id}, this model's, got "
            f"{options.eos_id}"
        )
    return [
        _request(sample, facts, options, options.seed + index)
        for index, sample in enumerate(dataset.samples)
    ]


def random_requests(facts: EngineFacts, shape: RequestShape, seed: int = 7) -> Iterator[Request]:
    """Endlessly many requests of one shape that differ in text, context and seed.

    Raises:
        ConfigError: At the first request: the engine was not built for the shape.
    """
    if facts.context == "codec":
        yield from _random_codes(facts, shape, seed)
    _check_limit("text_len", shape.text_len, facts.max_text_len, "max_encoder_input_len")
    rows = 0
    if facts.takes_codes or facts.context == "rows":
        rows = facts.context_rows(shape.context_len)
        _check_limit("context_len", rows, facts.max_input_len, "max_input_len")
    frames = facts.whole_frames(shape.frames)
    held = 0 if facts.context == "memory" else rows
    if facts.context == "rows":
        held += shape.text_len + 1  # the text and the first start row stand in front of the speech
    room = (facts.max_seq_len - held) * facts.frame_stacking
    _check_limit("frames", frames, room, f"max_seq_len less {held} rows before them")
    voice_rows = np.random.default_rng(seed).standard_normal((max(rows, 1), facts.dim))
    random = np.random.default_rng(seed)
    while True:
        fields: dict[str, Any] = {"voice": 0}
        if facts.takes_codes:
            size = (shape.context_len, facts.codebooks)
            fields = {"context_codes": random.integers(0, facts.codebook_vocab, size)}
        if facts.context == "rows":
            fields = {"context_embeddings": voice_rows.astype(np.float32)}  # one voice for all
        yield Request(
            text_ids=random.integers(0, facts.text_vocab, shape.text_len),
            cfg_scale=shape.cfg_scale,
            max_frames=frames,
            min_frames=frames,
            prior=facts.endless_prior,
            seed=int(random.integers(0, 2**63)),
            chunk_frames=shape.chunk_frames or frames,
            codes_only=shape.codes_only,
            **fields,
        )


def _random_codes(facts: EngineFacts, shape: RequestShape, seed: int) -> Iterator[Request]:
    """Endlessly many requests for a codec, each of its own codes."""
    _check_limit("frames", shape.frames, facts.max_seq_len, "max_seq_len")
    random = np.random.default_rng(seed)
    while True:
        codes = random.integers(0, facts.codebook_vocab, (shape.frames, facts.codebooks))
        yield Request(codes=codes, chunk_frames=shape.chunk_frames or shape.frames)


def _request(sample: Sample, facts: EngineFacts, options: RequestOptions, seed: int) -> Request:
    frames = sample.output_len * facts.frame_stacking
    is_endless = options.eos_id == -1
    return Request(
        **_text(sample, facts),
        **_context(sample, facts, options),
        cfg_scale=options.cfg_scale,
        temperature=options.temperature,
        max_frames=frames,
        min_frames=frames if is_endless else None,
        prior=facts.endless_prior if is_endless else "default",
        seed=seed,
        chunk_frames=options.chunk_frames,
        initial_chunk_frames=options.initial_chunk_frames,
        codes_only=options.codes_only,
    )


def _text(sample: Sample, facts: EngineFacts) -> dict[str, Any]:
    where = sample.where
    text = sample.text_ids if sample.text_ids is not None else sample.text_features
    if text is None or len(text) > facts.max_text_len:
        raise ConfigError(
            f"{where}: expected a text of 1 to {facts.max_text_len} (max_encoder_input_len of this "
            f"engine), got {0 if text is None else len(text)}"
        )
    if sample.text_ids is None:
        return {"encoder_output": text}
    _check_ids(f"{where}.input_ids", sample.text_ids, facts.text_vocab, "--text_vocab_size")
    return {"text_ids": text}


def _context(sample: Sample, facts: EngineFacts, options: RequestOptions) -> dict[str, Any]:
    """The given voice, or the sample's features, or its codes, after checking that they fit."""
    where = sample.where
    if options.voice is not None:
        return {"voice": options.voice}
    if sample.context_features is not None and facts.context != "memory":
        _check_rows(where, len(sample.context_features), sample.output_len, facts)
        return {"context_embeddings": sample.context_features}
    if sample.context_codes is None:
        raise ConfigError(
            f"{where}: expected a context this engine takes, got none; prepare the data set with "
            "context_ids, or name a stored voice with --voice"
        )
    if not facts.takes_codes:
        raise ConfigError(
            f"{where}.context_ids: expected a stored voice, since this engine takes no codes; name "
            f"one of its {facts.num_voices} with --voice, or give context_feat"
        )
    columns = sample.context_codes
    codes = columns.reshape(
        -1, facts.codebooks
    )  # a column of a stack has code c of frame f at index c + C*f
    _check_ids(f"{where}.context_ids", codes, facts.codebook_vocab, "--audio_vocab_size")
    _check_rows(where, facts.context_rows(len(codes)), sample.output_len, facts)
    return {"context_codes": codes}


def _check_rows(where: str, rows: int, steps: int, facts: EngineFacts) -> None:
    if rows > facts.max_input_len:
        raise ConfigError(
            f"{where}: expected at most {facts.max_input_len} context rows (max_input_len of this "
            f"engine), got {rows}"
        )
    held = 0 if facts.context == "memory" else rows
    if held + steps > facts.max_seq_len:
        raise ConfigError(
            f"{where}.output_len: expected at most {facts.max_seq_len - held} (max_seq_len "
            f"{facts.max_seq_len} of this engine less {held} context rows), got {steps}"
        )


def _check_ids(where: str, ids: NDArray[np.int32], vocab: int, flag: str) -> None:
    if ids.max() >= vocab:
        raise ConfigError(
            f"{where}: expected ids below {vocab}, this engine's, got {ids.max()}; prepare the "
            f"data set with {flag} {vocab}"
        )


def _check_limit(name: str, value: int, limit: int, built: str) -> None:
    if not 1 <= value <= limit:
        raise ConfigError(f"{name}: expected 1 to {limit} ({built} of this engine), got {value}")
