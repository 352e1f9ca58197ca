"""Other rates: our filter, soxr, and what is refused."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from ttsrt_rt import _core
from ttsrt_rt.audio import to_rate
from ttsrt_rt.errors import ConfigError

TONE = np.sin(2 * np.pi * 440 * np.arange(4410) / 44100).astype(np.float32)
EXPECTED = np.sin(2 * np.pi * 440 * np.arange(2400) / 24000)


def test_a_tone_stays_a_tone() -> None:
    made = to_rate(TONE, 44100, 24000)
    assert (made.dtype, len(made)) == (np.float32, 2400)
    np.testing.assert_allclose(made[50:-50], EXPECTED[50:-50], atol=2e-3)
    np.testing.assert_array_equal(to_rate(TONE, 24000, 24000), TONE)


def test_soxr() -> None:
    if importlib.util.find_spec("soxr") is None:
        with pytest.raises(ConfigError, match="soxr to be installed"):
            to_rate(TONE, 44100, 24000, resampler="soxr")
        return
    made = to_rate(TONE, 44100, 24000, resampler="soxr")
    np.testing.assert_allclose(made[200:2200], EXPECTED[200:2200], atol=2e-3)


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="resampler: expected one of sinc, soxr"):
        to_rate(TONE, 1, 2, resampler="linear")
    with pytest.raises(ConfigError, match="from: expected 1000 to 768000"):
        to_rate(TONE, 1, 24000)
    with pytest.raises(ConfigError, match="samples: expected an array of float32 with 1 axis"):
        _core.resample(TONE[None], 24000, 16000)
    with pytest.raises(ConfigError, match="kind: expected vocos or bigvgan"):
        _core.log_mel(TONE, kind="htk")
    with pytest.raises(ConfigError, match="samples: expected an array"):
        _core.log_mel("text")
