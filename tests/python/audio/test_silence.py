"""Silence: where sounds are cut, what stays at the ends, and sounds that are silent."""

from __future__ import annotations

import numpy as np
import pytest

from ttsrt_rt.audio import Sound, remove_silence, split_on_silence, trim_silence
from ttsrt_rt.audio.silence import SilenceRule

RATE = 8000
RULE = SilenceRule(500, -40.0, 100)


def sound_of(*pieces: tuple[float, float], channels: int = 1) -> Sound:
    """A sound of (seconds, level) pieces: square waves, so that the level is exact."""
    parts = [np.where(np.arange(int(s * RATE)) % 2, -level, level) for s, level in pieces]
    samples = np.concatenate(parts).astype(np.float32)
    return Sound(np.repeat(samples[:, None], channels, axis=1), RATE)


def lengths(sounds: list[Sound]) -> list[float]:
    return [round(sound.seconds, 3) for sound in sounds]


@pytest.mark.parametrize("channels", [1, 2])
def test_cuts_keep_a_little_silence(channels: int) -> None:
    sound = sound_of((1, 0.5), (0.8, 0), (2, 0.5), channels=channels)
    parts = split_on_silence(sound, RULE)
    assert lengths(parts) == [1.1, 2.1]
    assert parts[0].samples.shape[1] == channels
    assert remove_silence(sound, RULE).seconds == pytest.approx(3.2)


def test_a_short_silence_is_none() -> None:
    assert lengths(split_on_silence(sound_of((1, 0.5), (0.4, 0), (1, 0.5)), RULE)) == [2.4]


def test_kept_silence_is_shared_where_there_is_less() -> None:
    rule = SilenceRule(500, -40.0, 1000)
    parts = split_on_silence(sound_of((1, 0.5), (0.6, 0), (2, 0.5)), rule)
    assert lengths(parts) == [1.3, 2.3]
    assert sum(part.seconds for part in parts) == pytest.approx(3.6)


def test_all_silent_gives_nothing() -> None:
    assert split_on_silence(sound_of((2, 0)), RULE) == []
    assert remove_silence(sound_of((2, 0)), RULE).samples.shape == (0, 1)


def test_the_threshold_is_a_level() -> None:
    for level, count in ((0.009, 2), (0.011, 1)):  # -40 dB is 0.01
        assert len(split_on_silence(sound_of((1, 0.5), (1, level), (1, 0.5)), RULE)) == count


def test_ends_are_trimmed_by_tens_of_milliseconds() -> None:
    sound = sound_of((0.255, 0), (1, 0.5), (0.123, 0.001))
    trimmed = trim_silence(sound, -42.0)
    assert trimmed.seconds == pytest.approx(1.008)  # 250 ms and 120 ms less
    assert trim_silence(sound_of((1, 0.5))).seconds == 1.0


@pytest.mark.parametrize("silence", [0.0, 0.0005, 0.001, 0.003, 0.123])
def test_an_end_may_be_trimmed_by_the_millisecond(silence: float) -> None:
    """Seconds are counted down one by one and rounded down, so that a millisecond may be lost."""
    sound = sound_of((0.255, 0), (1.0, 0.5), (silence, 0.001))
    left = sound.seconds - 0.25
    for _ in range(round(1000 * silence)):
        left -= 0.001
    trimmed = trim_silence(sound, -42.0, ends_exactly=True)
    assert trimmed.seconds == pytest.approx(int(1000 * left) / 1000)
    assert 0 <= 1.005 - trimmed.seconds < 0.0011
    quiet = Sound(sound.samples * np.float32(0.01), RATE)
    assert len(trim_silence(quiet, -42.0, ends_exactly=True).samples) == 0


def test_a_silent_or_empty_sound_is_trimmed_to_nothing() -> None:
    assert len(trim_silence(sound_of((0.5, 0))).samples) == 0
    empty = Sound(np.zeros((0, 1), np.float32), RATE)
    assert len(trim_silence(empty, ends_exactly=True).samples) == 0
    assert len(trim_silence(empty).samples) == 0
    assert remove_silence(empty, RULE).samples.shape == (0, 1)
