"""Loudness: what BS.1770 says of tones, and that silence stays silent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ttsrt_rt.voice_from_audio.loudness import loudness, to_loudness


def tone(hz: float, seconds: float, rate: int, peak: float = 1.0) -> np.ndarray:
    return peak * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)


@pytest.mark.parametrize("rate", [24000, 48000])
def test_a_tone_of_full_scale(rate: int) -> None:
    """BS.1770-4, annex 1: 997 Hz at full scale in one channel is -3.01 LUFS."""
    assert loudness(tone(997, 5, rate), rate) == pytest.approx(-3.01, abs=0.15)
    assert loudness(tone(997, 5, rate, 0.1), rate) == pytest.approx(-23.01, abs=0.15)


def test_low_tones_are_quieter() -> None:
    assert loudness(tone(20, 5, 24000), 24000) < loudness(tone(200, 5, 24000), 24000) - 5


def test_silence_is_not_counted() -> None:
    sound = np.concatenate([tone(997, 4, 24000, 0.1), np.zeros(8 * 24000)])
    assert loudness(sound, 24000) == pytest.approx(-23, abs=0.6)
    silence = np.zeros(24000, np.float32)
    assert loudness(silence, 24000) == -math.inf
    np.testing.assert_array_equal(to_loudness(silence, 24000, -27), silence)


def test_samples_get_a_loudness() -> None:
    made = to_loudness(tone(440, 6, 24000, 0.7), 24000, -27)
    assert loudness(made, 24000) == pytest.approx(-27, abs=1e-6)
