"""The stored runs of the original's codec (originals/codec.py): sizes and inputs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.synth.nanocodec_layout import SynthCodec, codec_size

DATA = Path(__file__).resolve().parents[1] / "data" / "nanocodec"
SEED = 5


@dataclass(frozen=True)
class Case:
    """A random codec, and how many samples and frames it gets."""

    size: str | SynthCodec
    samples: int
    frames: int


CASES = {
    "tiny": Case("tiny", 16 * 40 - 5, 33),
    "tiny_magpie": Case("tiny_magpie", 16 * 24, 20),
    # Odd rates, whose padding is not half of the rate, and an odd number of last columns.
    "odd": Case(SynthCodec(24, (3, 5, 2), 3, (5, 4, 3), 6), 30 * 12 - 29, 11),
    "short": Case("tiny", 3, 1),
}


def sound_of(case: Case) -> np.ndarray[Any, Any]:
    random = np.random.default_rng([SEED, case.samples])
    return random.normal(0, 0.2, case.samples).astype(np.float32)


def codes_of(case: Case) -> np.ndarray[Any, Any]:
    size = codec_size(case.size)
    random = np.random.default_rng([SEED, case.frames])
    return random.integers(0, int(np.prod(size.levels)), (case.frames, size.groups))
