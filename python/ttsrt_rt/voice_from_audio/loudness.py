"""Loudness by ITU-R BS.1770 (https://www.itu.int/rec/R-REC-BS.1770), with the filters of
pyloudnorm, which the original of Turbo calls.
"""

from __future__ import annotations

import math

import numpy as np

from ttsrt_rt.voice_from_audio.features import Floats

__all__ = ["loudness", "to_loudness"]

BLOCK, STEP = 0.4, 0.25  # seconds of a block, and blocks from one to the next
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0
OFFSET = -0.691


def loudness(samples: Floats, sample_rate: int) -> float:
    """Returns the integrated loudness of one channel in LUFS; minus infinity of silence.

    Args:
        samples: [samples], at least 0.4 seconds.
        sample_rate: samples per second.
    """
    weighted = _weighted(np.asarray(samples, np.float64), sample_rate)
    seconds = len(weighted) / sample_rate
    count = max(round((seconds - BLOCK) / (BLOCK * STEP)) + 1, 1)
    squares = np.concatenate([[0.0], np.cumsum(weighted**2)])
    begins = [int(BLOCK * (i * STEP) * sample_rate) for i in range(count)]
    ends = [int(BLOCK * (i * STEP + 1) * sample_rate) for i in range(count)]
    last = len(weighted)
    power = (squares[np.minimum(ends, last)] - squares[np.minimum(begins, last)]) / (
        BLOCK * sample_rate
    )
    kept = power[_lufs(power) >= ABSOLUTE_GATE]
    if not len(kept):
        return -math.inf
    gate = float(_lufs(kept.mean())) + RELATIVE_GATE
    levels = _lufs(power)
    kept = power[(levels > gate) & (levels > ABSOLUTE_GATE)]
    return float(_lufs(kept.mean())) if len(kept) else -math.inf


def to_loudness(samples: Floats, sample_rate: int, target: float) -> Floats:
    """Returns samples with a loudness in LUFS; silence stays as it is."""
    gain = 10 ** ((target - loudness(samples, sample_rate)) / 20)
    return samples * gain if math.isfinite(gain) and gain > 0 else samples


def _lufs(power: Floats) -> Floats:
    with np.errstate(divide="ignore"):
        made: Floats = OFFSET + 10 * np.log10(np.maximum(power, 0))
    return made


def _weighted(x: Floats, rate: int) -> Floats:
    """Returns samples behind both filters, which are multiplied in the frequencies: their responses
    are shorter than the second of silence behind the samples.
    """
    count = len(x) + rate
    size = 1 << (count - 1).bit_length()
    turns = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    bins = np.fft.rfft(x, size)
    for b, a in (_shelf(rate, 4.0, 1 / math.sqrt(2), 1500.0), _high_pass(rate, 0.5, 38.0)):
        bins *= np.polyval(b[::-1], turns) / np.polyval(a[::-1], turns)
    made: Floats = np.fft.irfft(bins, size)[: len(x)]
    return made


def _shelf(rate: int, gain: float, q: float, hz: float) -> tuple[list[float], list[float]]:
    a, w = 10 ** (gain / 40), 2 * math.pi * hz / rate
    alpha, cos, root = math.sin(w) / (2 * q), math.cos(w), math.sqrt(a)
    return (
        [
            a * ((a + 1) + (a - 1) * cos + 2 * root * alpha),
            -2 * a * ((a - 1) + (a + 1) * cos),
            a * ((a + 1) + (a - 1) * cos - 2 * root * alpha),
        ],
        [
            (a + 1) - (a - 1) * cos + 2 * root * alpha,
            2 * ((a - 1) - (a + 1) * cos),
            (a + 1) - (a - 1) * cos - 2 * root * alpha,
        ],
    )


def _high_pass(rate: int, q: float, hz: float) -> tuple[list[float], list[float]]:
    w = 2 * math.pi * hz / rate
    alpha, cos = math.sin(w) / (2 * q), math.cos(w)
    return [(1 + cos) / 2, -(1 + cos), (1 + cos) / 2], [1 + alpha, -2 * cos, 1 - alpha]
