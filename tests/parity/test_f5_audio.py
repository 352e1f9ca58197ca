"""Spectrograms, other rates and prepared references against `torchaudio`, `librosa` and `pydub`, as
F5-TTS uses them: stored arrays (originals/f5.py), and the originals themselves where they are
installed.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.f5_cases import DATA, MEL_KINDS, RATES, SOUNDS, kept, sound_of, wave_of
from tests.parity.f5_originals import find_originals
from ttsrt_rt import _core
from ttsrt_rt.f5.prompt import clip_reference
from ttsrt_rt.f5.rules import RULES

CASES = np.load(DATA / "cases.npz")
GOLDEN: dict[str, Any] = json.loads((DATA / "front_end.json").read_text("utf-8"))
NEEDED = ("f5_tts", "vocos", "torchaudio", "torchdiffeq", "x_transformers", "pydub", "soundfile")


@pytest.fixture(scope="module")
def originals() -> Any:
    """The originals; the test is skipped where one is not installed."""
    return find_originals(NEEDED)


@pytest.mark.parametrize("kind", MEL_KINDS)
def test_spectrograms(kind: str) -> None:
    mel = _core.log_mel(wave_of(24000), kind=kind)
    assert mel.shape == (8000 // 256 + (kind == "vocos"), 100)
    assert np.abs(kept(mel) - CASES[f"mel.{kind}"]).max() < 1e-3


@pytest.mark.parametrize("rate", RATES)
def test_other_rates(rate: int) -> None:
    made = _core.resample(wave_of(rate), rate, 24000)
    assert len(made) == math.ceil(len(wave_of(rate)) * 24000 / rate)
    np.testing.assert_allclose(made[::16], CASES[f"rate.{rate}"], atol=2e-6)


@pytest.mark.parametrize("name", SOUNDS)
def test_references_have_the_original_length(name: str) -> None:
    made = clip_reference(sound_of(name), RULES["f5"])
    assert len(made.samples) == GOLDEN["references"][name]


@pytest.mark.filterwarnings("ignore")  # of pydub, which leaves files open
@pytest.mark.parametrize("name", SOUNDS)
def test_references_have_the_original_samples(name: str, originals: Any, tmp_path: Path) -> None:
    loaded = originals.load()
    expected = originals.reference_sound(loaded, sound_of(name), tmp_path)
    made = clip_reference(sound_of(name), RULES["f5"]).samples
    np.testing.assert_array_equal(np.rint(made * 32768).astype(np.int16), expected)
