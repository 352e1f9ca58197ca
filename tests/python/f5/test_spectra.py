"""Spectrograms of a model: their shapes follow its rate, hop and bands."""

from __future__ import annotations

import numpy as np
import pytest

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.spectra import USUAL, Spectra


def test_spectrograms_have_the_shape_of_the_models() -> None:
    samples = np.sin(np.arange(24000, dtype=np.float32))
    assert USUAL.of(samples).shape == (24000 // 256 + 1, 100)
    other = Spectra(sample_rate=22050, hop=512, kind="bigvgan", bands=80)
    expected = _core.log_mel(samples, kind="bigvgan", sample_rate=22050, hop=512, bands=80)
    np.testing.assert_array_equal(other.of(samples), expected)
    assert expected.shape[1] == 80


def test_frame_rates() -> None:
    assert USUAL.frame_rate == 93.75
    assert Spectra(sample_rate=1000, hop=10).frame_rate == 100.0


def test_what_is_no_sound_is_refused() -> None:
    with pytest.raises(ConfigError):
        USUAL.of(np.zeros((2, 2, 2), np.float32))
