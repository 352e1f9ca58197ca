"""The spectrograms of a voice: lengths, and what single tones and silence become."""

from __future__ import annotations

import numpy as np
import pytest

from ttsrt_rt.voice_from_audio.features import (
    bands,
    filterbank,
    kaldi_bands,
    log_mel,
    prompt_mel,
    slaney,
    slaney_hz,
    trimmed,
    voice_mel,
)


def tone(hz: float, samples: int, rate: int) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(samples) / rate)).astype(np.float32)


@pytest.mark.parametrize("samples", [721, 960, 1439, 24000])
def test_lengths(samples: int) -> None:
    x = tone(300, samples, 16000)
    assert prompt_mel(x).shape == (samples // 480, 80)
    assert filterbank(x).shape == ((samples - 400) // 160 + 1, 80)
    assert log_mel(x).shape == (samples // 160, 128)
    assert voice_mel(x).shape == (1 + samples // 160, 40)
    for made in (prompt_mel(x), filterbank(x), log_mel(x), voice_mel(x)):
        assert made.dtype == np.float32 and np.isfinite(made).all()


@pytest.mark.parametrize("hz", [250.0, 1000.0, 3000.0])
def test_tones_are_in_their_band(hz: float) -> None:
    centres = slaney_hz(np.linspace(0, slaney(8000.0), 82))[1:-1]
    assert abs(centres[prompt_mel(tone(hz, 24000, 24000)).mean(0).argmax()] - hz) < 90
    centres = slaney_hz(np.linspace(0, slaney(8000.0), 130))[1:-1]
    assert abs(centres[log_mel(tone(hz, 16000, 16000)).mean(0).argmax()] - hz) < 60


def test_triangles_have_equal_areas() -> None:
    made = bands(24000, 1920, 80, 8000)
    assert made.shape == (80, 961)
    np.testing.assert_allclose(made[20:].sum(1) * 12.5, 1, atol=0.05)
    assert not made[:, 641:].any()
    assert kaldi_bands().shape == (80, 256) and kaldi_bands().max() <= 1


def test_a_filterbank_has_no_mean() -> None:
    x = np.random.default_rng(0).normal(size=16000).astype(np.float32)
    np.testing.assert_allclose(filterbank(x).mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(filterbank(0 * x), 0, atol=1e-5)


def test_what_is_quiet_is_raised() -> None:
    x = np.concatenate([np.zeros(8000, np.float32), tone(500, 8000, 16000)])
    made = log_mel(x)
    assert made.min() == pytest.approx(made.max() - 2, abs=1e-5)  # 8 bels, over 4


def test_silence_is_cut_off() -> None:
    x = np.concatenate([np.zeros(8192), tone(300, 8192, 16000), np.zeros(8192)])
    begin, end = trimmed(x)
    assert 8192 - 1024 <= begin <= 8192 and 2 * 8192 <= end <= 2 * 8192 + 1536
    assert begin % 512 == end % 512 == 0
    assert trimmed(np.zeros(1000)) == (0, 1000)
