"""Watermarks: inaudible marks by which a sound can be told to be made by a machine. They are a last
stop behind the sound, which nothing asks for by default.

The original of Chatterbox marks every sound with Perth, whose package
(https://github.com/resemble-ai/Perth) brings its model as a pickle and needs PyTorch. So it is
neither a part of this library nor of its requirements: it runs where it is installed, and is
refused by name where it is not.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import threading
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show
from ttsrt_rt.result import Result

__all__ = ["WATERMARKS", "Watermark", "open_watermark", "watermarked"]

WATERMARKS = ("perth",)
_PACKAGE, _CLASS = "perth", "PerthImplicitWatermarker"

Samples = npt.NDArray[np.float32]


class Watermark(Protocol):
    """Marks sounds. May be used by several threads."""

    @property
    def name(self) -> str:
        """One of `WATERMARKS`."""

    def mark(self, samples: Samples, sample_rate: int) -> Samples:
        """Returns a sound with the mark.

        Args:
            samples: float32 [samples], a whole sound: pieces of it have other marks.
            sample_rate: samples per second.

        Returns:
            float32 [samples].
        """


def open_watermark(name: str) -> Watermark:
    """Returns what marks sounds; its model is read once.

    Args:
        name: "perth", of the package `resemble-perth`.

    Raises:
        ConfigError: the name is unknown, or its package is not installed or cannot be used.
    """
    if name not in WATERMARKS:
        raise ConfigError(f"watermark: expected one of {', '.join(WATERMARKS)}, got {show(name)}")
    return _perth()


def watermarked(result: Result, name: str) -> Result:
    """Returns a result whose sound has a mark, which its `watermark` names.

    Args:
        result: with sound, which has no mark yet.
        name: as of `open_watermark`.

    Raises:
        ConfigError: as `open_watermark`; or there is no sound, or it is marked already.
    """
    if result.audio is None or result.sample_rate is None:
        raise ConfigError("watermark: expected a result with sound, got none")
    if result.watermark is not None:
        raise ConfigError(f"watermark: expected a sound without one, got {result.watermark}")
    marked = open_watermark(name).mark(result.audio, result.sample_rate)
    return dataclasses.replace(result, audio=marked, watermark=name)


class _Perth:
    """Perth, whose class may not be used by two threads at once."""

    name = "perth"

    def __init__(self, original: Any) -> None:
        self._original = original
        self._lock = threading.Lock()

    def mark(self, samples: Samples, sample_rate: int) -> Samples:
        if not len(samples):
            return samples
        with self._lock:
            made = self._original.apply_watermark(np.array(samples), sample_rate=sample_rate)
        marked: Samples = np.asarray(made, np.float32).reshape(-1)
        if len(marked) != len(samples):
            raise ConfigError(
                f"watermark: expected {len(samples)} samples of {_PACKAGE}, got {len(marked)}"
            )
        return marked


@functools.cache
def _perth() -> _Perth:
    wanted = "watermark: perth: expected the package resemble-perth"
    try:
        package = importlib.import_module(_PACKAGE)
    except ImportError as error:
        raise ConfigError(f"{wanted}, got none (pip install resemble-perth)") from error
    made = getattr(package, _CLASS, None)  # None where what it needs is missing: it says nothing
    if made is None:
        raise ConfigError(f"{wanted} with all it needs, got one whose {_CLASS} cannot be used")
    try:
        return _Perth(made())
    except Exception as error:  # of its model, whatever kind it has
        raise ConfigError(f"{wanted} that runs here, got an error: {str(error)[:200]}") from error
