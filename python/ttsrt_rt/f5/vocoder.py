"""The vocoder of a model: inside its engine, or an engine that stands beside it.

Spectrograms that are longer than the engine takes are decoded in windows. A sample depends on so
few frames around it that windows which overlap by these give the bits of the whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.f5.runs import Floats, audio_of, run_all
from ttsrt_rt.request import Request

__all__ = ["Vocoder", "open_vocoder", "windows_of"]

TAPS_REACH = 3  # frames to each side that a convolution of Vocos sees
SOUND_REACH = 3  # frames to each side whose windows reach into a hop of samples


def open_vocoder(engine: str | os.PathLike[str], model: Mapping[str, Any]) -> _core.Engine:
    """Opens the engine of a vocoder. One of another rate would speak too fast or too slowly.

    Args:
        engine: the folder that `build` wrote.
        model: the object "model" of the model's engine.json.

    Raises:
        ConfigError: it makes no sound, or is for other spectrograms than the model's.
        FormatError: it is damaged.
    """
    opened = _core.Engine.open(engine)
    info, where = opened.info, f"vocoder: {os.fspath(engine)}"
    if not info.has_vocoder:
        raise ConfigError(
            f"{where}: expected an engine of Vocos, got one of the family {info.family} that "
            "makes no sound"
        )
    bands, rate = model["mel_bins"], model["sample_rate"]
    frame_rate = rate / model["hop"]
    if (info.mel_bins, info.sample_rate, info.frame_rate) != (bands, rate, frame_rate):
        raise ConfigError(
            f"{where}: expected {bands} bands, {rate} samples and {frame_rate:g} frames per "
            f"second, as the model has, got {info.mel_bins}, {info.sample_rate} and "
            f"{info.frame_rate:g}"
        )
    return opened


class Window(NamedTuple):
    """Frames [begin, end) of a spectrogram, whose sound is kept from frame `first` to `last`; the
    last window keeps all that is behind `first`.
    """

    begin: int
    end: int
    first: int
    last: int | None


def windows_of(frames: int, most: int, halo: int) -> Iterator[Window]:
    """Yields windows of at most `most` frames, with `halo` frames around what is kept of each.

    Args:
        frames: of the spectrogram.
        most: that the vocoder takes; a spectrogram that needs windows needs more than twice the
            halo.
        halo: frames to each side that a sample depends on.
    """
    first = 0
    while True:
        begin = max(first - halo, 0)
        end = min(begin + most, frames)
        last = None if end == frames or most <= 2 * halo else end - halo
        yield Window(begin, end if last is not None else frames, first, last)
        if last is None:
            return
        first = last


class Vocoder:
    """A vocoder in an open executor.

    Attributes:
        executor: what runs it.
    """

    def __init__(self, executor: Executor, engine: _core.Engine) -> None:
        """Takes an executor whose engine has a vocoder.

        Args:
            executor: stays the caller's.
            engine: that it runs.
        """
        self.executor = executor
        model = json.loads(engine.description)["model"]
        vocoder = model.get("vocoder", model)
        self._most = engine.info.max_seq_len
        self._hop = int(vocoder["hop"])
        self._halo = TAPS_REACH * (int(vocoder["layers"]) + 1) + SOUND_REACH

    def sounds_of(self, mels: Sequence[Floats]) -> list[Floats]:
        """Returns the samples of spectrograms, float32 [frames, bands] each.

        Raises:
            ConfigError: one has another shape, or fewer than 2 frames.
        """
        most = self._most
        windows = [list(windows_of(len(mel), most, self._halo)) for mel in mels]
        requests = [
            Request(mel=np.ascontiguousarray(mel[of.begin : of.end]))
            for mel, each in zip(mels, windows, strict=True)
            for of in each
        ]
        made = iter(run_all(self.executor, requests))
        return [self._join(each, [audio_of(next(made)) for _ in each]) for each in windows]

    def _join(self, windows: Sequence[Window], sounds: Sequence[Floats]) -> Floats:
        if len(sounds) == 1:
            return sounds[0]
        parts = []
        for of, sound in zip(windows, sounds, strict=True):
            end = None if of.last is None else (of.last - of.begin) * self._hop
            parts.append(sound[(of.first - of.begin) * self._hop : end])
        return np.concatenate(parts)
