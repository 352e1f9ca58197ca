"""References: how long, how loud, what is refused, and that the same one is prepared once."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt import _core
from ttsrt_rt.audio import Sound, wav_bytes, write_wav
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.f5 import prompt as prompts
from ttsrt_rt.f5.prompt import PromptCache, clip_reference, prepare_prompt
from ttsrt_rt.f5.rules import RULES


def tone(seconds: float, level: float = 0.3, rate: int = 24000, channels: int = 1) -> Sound:
    wave = level * np.sin(2 * np.pi * 200 * np.arange(int(seconds * rate)) / rate)
    return Sound(np.repeat(wave[:, None].astype(np.float32), channels, axis=1), rate)


def test_frames_and_level() -> None:
    made = prepare_prompt(tone(2))
    assert made.mel.shape == (48000 // 256 + 1, 100)
    assert (made.ref_frames, made.seconds, made.gain) == (187, 2.0, 1.0)
    quiet = prepare_prompt(tone(2, 0.01))
    assert quiet.gain == pytest.approx(0.01 / np.sqrt(2) / 0.1, rel=1e-3)
    expected = prepare_prompt(tone(2, 0.1 * np.sqrt(2)))
    np.testing.assert_allclose(np.exp(quiet.mel), np.exp(expected.mel), atol=1e-2)


def test_channels_are_averaged_and_rates_changed_after_the_level() -> None:
    stereo = tone(1, channels=2)
    stereo.samples[:, 1] *= 0.5
    alone = Sound(stereo.samples.mean(axis=1, keepdims=True), 24000)
    np.testing.assert_array_equal(prepare_prompt(stereo).mel, prepare_prompt(alone).mel)
    other = prepare_prompt(tone(1, rate=44100))
    assert other.ref_frames == 24000 // 256
    expected = prepare_prompt(tone(1)).mel
    np.testing.assert_allclose(np.exp(other.mel[3:-3]), np.exp(expected[3:-3]), atol=0.1)


def test_indicf5_trims_the_end_by_the_millisecond() -> None:
    quiet = np.zeros((96, 1), np.float32)  # 4 milliseconds
    sound = Sound(np.concatenate([tone(1).samples, quiet]), 24000)
    lengths = [len(clip_reference(sound, RULES[name]).samples) for name in ("f5", "indicf5")]
    assert lengths[0] - lengths[1] in (96, 120)


@pytest.mark.parametrize(("rules", "seconds"), [("f5", 12), ("indicf5", 15)])
def test_long_references_are_cut(rules: str, seconds: int) -> None:
    made = clip_reference(tone(20), RULES[rules])
    assert made.seconds == pytest.approx(seconds + 0.05, abs=0.001)
    assert not made.samples[-1100:].any()


@pytest.mark.parametrize("sound", [tone(2, 0.0), Sound(np.zeros((0, 1), np.float32), 24000)])
def test_silence_is_refused(sound: Sound) -> None:
    for action in (prepare_prompt, lambda given: clip_reference(given, RULES["f5"])):
        with pytest.raises(ConfigError, match="expected a sound, got silence"):
            action(sound)


@pytest.mark.filterwarnings("error")
def test_samples_that_are_not_finite_are_refused() -> None:
    sound = tone(2)
    sound.samples[5] = np.nan
    with pytest.raises(ConfigError, match="ref_audio: expected finite samples"):
        clip_reference(sound, RULES["f5"])


def test_too_short_references_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected at least 513 samples"):
        prepare_prompt(tone(0.02))


def test_the_same_contents_are_prepared_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return _core.log_mel(*arguments, **options)

    monkeypatch.setattr(prompts, "prepare_prompt", _counting(prompts.prepare_prompt, calls))
    cache = PromptCache(2)
    sound = tone(2)
    data = wav_bytes(sound.samples, 24000, width=32)
    path = write_wav(tmp_path / "a.wav", sound.samples, 24000, width=32)
    made = [cache.get(source, RULES["f5"]) for source in (sound, data, path)]
    assert made[0] is made[1] is made[2]
    assert len(calls) == 1
    for other in (RULES["indicf5"], RULES["f5"]):
        cache.get(sound, other)
    assert len(calls) == 2
    cache.get(tone(3), RULES["f5"])
    cache.get(sound, RULES["indicf5"])  # the one that was used least recently is gone
    assert len(calls) == 4
    with pytest.raises(NotFoundError):
        cache.get(tmp_path / "none.wav", RULES["f5"])


def _counting(function: Any, calls: list[int]) -> Any:
    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        return function(*arguments, **options)

    return counted


def test_threads_share_a_cache() -> None:
    cache = PromptCache()
    made: list[Any] = []
    threads = [
        threading.Thread(target=lambda: made.append(cache.get(tone(2), RULES["f5"])))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert all(np.array_equal(each.mel, made[0].mel) for each in made)
