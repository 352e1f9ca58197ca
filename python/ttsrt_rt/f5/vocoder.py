"""Opens the engine of a vocoder that stands beside a model, and compares the two."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError

__all__ = ["open_vocoder"]


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
