"""Prepares the reference of a voice: the prompt that the network continues.

Long sounds are cut at silence, silence at the ends is taken away, quiet sounds are made louder, and
the result becomes a log-mel spectrogram. Prepared prompts are kept by the hash of their contents,
because servers use the same voice again and again.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from ttsrt_rt.audio.files import Sound, read_audio
from ttsrt_rt.audio.rates import to_rate
from ttsrt_rt.audio.silence import SilenceRule, split_on_silence, trim_silence
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.rules import FrontEndRules
from ttsrt_rt.f5.spectra import USUAL, Mel, Spectra

__all__ = ["Prompt", "PromptCache", "clip_reference", "prepare_prompt"]

TARGET_RMS = 0.1
ENOUGH_SECONDS = 6
# The original appends 50 ms of silence at 11,025 samples per second, resampled.
TAIL_SAMPLES, TAIL_RATE = 551, 11025
EDGE_THRESHOLD = -42.0
LONG_SILENCE = SilenceRule(1000, -50.0, 1000)
SHORT_SILENCE = SilenceRule(100, -40.0, 1000)
MIN_SAMPLES = 513  # the ends of a spectrogram are mirrored


@dataclass(frozen=True)
class Prompt:
    """A prepared reference.

    Attributes:
        mel: float32 [frames, bands], the log-mel spectrogram.
        ref_frames: samples over the hop, rounded down: one less than the frames of the mel, and the
            frame with which the speech begins.
        seconds: how long the prepared sound is, at its own rate.
        gain: what the result is multiplied by, to be as quiet as the reference was.
    """

    mel: Mel
    ref_frames: int
    seconds: float
    gain: float


def _milliseconds(sound: Sound) -> int:
    return round(1000 * (len(sound.samples) / sound.sample_rate))


def _collect(sound: Sound, rule: SilenceRule, limit: int) -> Sound:
    """Returns the first parts between silences: more than six seconds, less than the limit."""
    made = Sound(np.zeros((0, sound.samples.shape[1]), np.float32), sound.sample_rate)
    for part in split_on_silence(sound, rule):
        longer = Sound(np.concatenate([made.samples, part.samples]), sound.sample_rate)
        if _milliseconds(made) > 1000 * ENOUGH_SECONDS and _milliseconds(longer) > limit:
            break
        made = longer
    return made


def clip_reference(sound: Sound, rules: FrontEndRules) -> Sound:
    """Returns the part of a sound that serves as the prompt: without silence at its ends, not
    longer than the limit, and with 50 ms of silence behind it.

    Raises:
        ConfigError: the sound is silent, or has samples that are not finite.
    """
    if not np.isfinite(sound.samples).all():
        raise ConfigError("ref_audio: expected finite samples, got NaN or infinity")
    limit = int(1000 * rules.prompt_seconds)
    made = _collect(sound, LONG_SILENCE, limit)
    if _milliseconds(made) > limit:
        made = _collect(sound, SHORT_SILENCE, limit)
    if _milliseconds(made) > limit:
        made = Sound(made.samples[: int(limit * (made.sample_rate / 1000.0))], made.sample_rate)
    made = trim_silence(made, EDGE_THRESHOLD, ends_exactly=rules.trims_exactly)
    if not len(made.samples):
        raise ConfigError("ref_audio: expected a sound, got silence")
    tail = (TAIL_SAMPLES - 1) * made.sample_rate // TAIL_RATE + 1
    silence = np.zeros((tail, made.samples.shape[1]), np.float32)
    return Sound(np.concatenate([made.samples, silence]), made.sample_rate)


def prepare_prompt(
    sound: Sound,
    *,
    spectra: Spectra = USUAL,
    resampler: str = "sinc",
) -> Prompt:
    """Returns the prompt of a clipped sound: one channel, at least a level of 0.1, at the model's
    rate.

    Args:
        sound: the reference; see `clip_reference`.
        spectra: of the model.
        resampler: see `to_rate`.

    Raises:
        ConfigError: the sound is silent or too short.
    """
    mono = sound.samples.mean(axis=1, dtype=np.float32)
    level = float(np.sqrt(np.mean(np.square(mono.astype(np.float64))))) if len(mono) else 0.0
    if level == 0.0:
        raise ConfigError("ref_audio: expected a sound, got silence")
    gain = min(level / TARGET_RMS, 1.0)
    rate = spectra.sample_rate
    samples = to_rate(mono / np.float32(gain), sound.sample_rate, rate, resampler=resampler)
    if len(samples) < MIN_SAMPLES:
        raise ConfigError(
            f"ref_audio: expected at least {MIN_SAMPLES} samples at {rate} per second, got "
            f"{len(samples)}"
        )
    return Prompt(spectra.of(samples), len(samples) // spectra.hop, sound.seconds, gain)


class PromptCache:
    """Prepared prompts by the contents of their references; the ones used last are kept.

    May be used by several threads.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._prompts: OrderedDict[bytes, Prompt] = OrderedDict()

    def get(
        self,
        source: str | os.PathLike[str] | bytes | Sound,
        rules: FrontEndRules,
        *,
        spectra: Spectra = USUAL,
        resampler: str = "sinc",
    ) -> Prompt:
        """Returns the prompt of a reference: a file, the bytes of one, or samples.

        Raises:
            ConfigError, FormatError, NotFoundError: as `read_audio` and `prepare_prompt`.
        """
        sound = source if isinstance(source, Sound) else read_audio(source)
        key = hashlib.sha256(np.ascontiguousarray(sound.samples).tobytes())
        key.update(
            repr((sound.samples.shape, sound.sample_rate, rules, spectra, resampler)).encode()
        )
        with self._lock:
            found = self._prompts.get(key.digest())
            if found is not None:
                self._prompts.move_to_end(key.digest())
                return found
        made = prepare_prompt(clip_reference(sound, rules), spectra=spectra, resampler=resampler)
        with self._lock:
            self._prompts[key.digest()] = made
            while len(self._prompts) > self._most:
                self._prompts.popitem(last=False)
        return made
