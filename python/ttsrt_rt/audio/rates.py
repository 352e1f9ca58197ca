"""Changes the rate of a sound: by the library's filter, that of the originals, or by soxr."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.audio.files import INSTALL, Samples, check_rate
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = ["RESAMPLERS", "check_resampler", "to_rate"]

RESAMPLERS = ("sinc", "soxr")


def check_resampler(name: str) -> Any:
    """Returns the module that a resampler needs; None for the library's own.

    Raises:
        ConfigError: the word is unknown, or soxr is not installed.
    """
    if name not in RESAMPLERS:
        raise ConfigError(f"resampler: expected one of {', '.join(RESAMPLERS)}, got {show(name)}")
    if name == "sinc":
        return None
    try:
        return importlib.import_module("soxr")
    except ImportError as error:
        raise ConfigError(
            f"resampler: expected soxr to be installed, got none: {INSTALL}"
        ) from error


def to_rate(samples: npt.ArrayLike, old: int, new: int, *, resampler: str = "sinc") -> Samples:
    """Returns samples at another rate.

    Args:
        samples: float32 [samples], one channel.
        old: samples per second.
        new: samples per second of the result.
        resampler: "sinc", the default of torchaudio, with which models were trained; or "soxr",
            whose filter is steeper (extra `audio`).

    Raises:
        ConfigError: a rate is out of its limits; or as for `check_resampler`.
    """
    from ttsrt_rt import _core

    soxr = check_resampler(resampler)
    old, new = check_rate(old, "from"), check_rate(new, "to")
    given = np.ascontiguousarray(samples, np.float32)
    if soxr is None or old == new:
        return _core.resample(given, old, new)
    made: Samples = np.asarray(soxr.resample(given, old, new), np.float32)
    return made
