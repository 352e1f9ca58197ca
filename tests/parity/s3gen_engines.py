"""What the tests of S3Gen's engines share: engines of random models, voices, and requests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import ttsrt_rt as rt
from ttsrt_rt.convert import convert
from ttsrt_rt.synth import write_random_s3gen, write_random_voice_encoder

from .s3gen_ops import Array

MEL, SPEAKER, VOCAB = 80, 192, 6561
LIMITS = {
    "max_batch_size": 8,
    "max_seq_len": 160,
    "max_encoder_input_len": 80,
    "max_input_len": 60,
}

MakeEngine = Callable[..., Path]


class Engines:
    """Engines of random models, each built once. `size` is one of `write_random_s3gen`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def checkpoint(self, size: str) -> Path:
        path = self.folder / f"{size}-checkpoint"
        if not path.exists():
            source = write_random_s3gen(self.folder / f"{size}.safetensors", size, 5)
            voices = write_random_voice_encoder(self.folder / f"{size}-ve.safetensors", size, 5)
            convert(source, path, voice_encoder=voices, progress=False)
        return path

    def engine(self, size: str, **options: Any) -> Path:
        name = "-".join([size, *(str(value) for value in options.values())])
        path = self.folder / name
        if not path.exists():
            rt.build(self.checkpoint(size), path, progress=False, **{**LIMITS, **options})
        return path


def voice_of(tokens: int, more: int = 0, seed: int = 1) -> dict[str, Array]:
    """A voice with a prompt of so many tokens, and `more` frames than they have."""
    random = np.random.default_rng([tokens, more, seed])
    return {
        "embedding": random.normal(size=SPEAKER).astype(np.float32),
        "prompt_token": random.integers(0, VOCAB, tokens).astype(np.int32),
        "prompt_feat": random.normal(-4, 1.5, (2 * tokens + more, MEL)).astype(np.float32),
    }


def tokens_of(count: int, seed: int = 1) -> Array:
    made: Array = np.random.default_rng([count, seed]).integers(0, VOCAB, count).astype(np.int32)
    return made


def noise_of(frames: int, seed: int = 1) -> Array:
    made: Array = np.random.default_rng([frames, seed, 7]).normal(size=(frames, MEL))
    return made.astype(np.float32)


def request_of(tokens: Array, **fields: Any) -> rt.Request:
    return rt.Request(codes=tokens[:, None], **fields)


def trace_of(result: rt.Result, name: str, step: int = 0) -> Array:
    """What a trace has of a stage: of both branches one behind the other."""
    found = [entry.values for entry in result.trace if entry.name == name and entry.step == step]
    assert len(found) == 1, (name, step, sorted({entry.name for entry in result.trace}))
    return found[0]
