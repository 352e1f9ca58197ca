"""Silence and level of results."""

from __future__ import annotations

import numpy as np
import pytest

from ttsrt_rt.audio import Sound
from ttsrt_rt.f5.finish import finish
from ttsrt_rt.f5.rules import RULES

TONE = np.where(np.arange(24000) % 2, -0.02, 0.02).astype(np.float32)
GAP = np.concatenate([TONE, np.zeros(72000, np.float32), TONE])[:, None]


def test_f5_leaves_a_result_as_it_is() -> None:
    made = finish(Sound(GAP, 24000), RULES["f5"], None)
    np.testing.assert_array_equal(made, GAP[:, 0])
    # A second with 20 ms of so quiet a sound is silent, too.
    assert len(finish(Sound(GAP, 24000), RULES["f5"], True)) == 24000 * 3 - 960


def test_indicf5_takes_silence_out_and_sets_the_level() -> None:
    made = finish(Sound(GAP, 24000), RULES["indicf5"], None)
    assert len(made) == 24000 * 3 - 960
    assert np.sqrt(np.mean(np.square(made))) == pytest.approx(0.1, rel=1e-4)
    assert len(finish(Sound(GAP, 24000), RULES["indicf5"], False)) == len(GAP)


def test_silence_and_peaks() -> None:
    assert not finish(Sound(np.zeros((500, 1), np.float32), 24000), RULES["indicf5"], False).any()
    assert len(finish(Sound(np.zeros((0, 1), np.float32), 24000), RULES["indicf5"], None)) == 0
    click = np.zeros((24000, 1), np.float32)
    click[7] = 0.5
    assert finish(Sound(click, 24000), RULES["indicf5"], False).max() == 1.0
