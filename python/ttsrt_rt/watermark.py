"""Watermarks: inaudible marks by which a sound can be told to be made by a machine. They are a last
stop behind the sound, which nothing asks for by default.

The original of Chatterbox marks every sound with Perth, whose package
(https://github.com/resemble-ai/Perth) brings its model as a pickle and needs PyTorch. So it is
neither a part of this library nor of its requirements: it runs where it is installed, and is
refused by name where it is not. The package does not require what it imports, and hides its class
without a word where something is missing; the refusal says what that is.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import io
import logging
import threading
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show
from ttsrt_rt.result import Result

__all__ = ["WATERMARKS", "Watermark", "open_watermark", "watermarked"]

WATERMARKS = ("perth",)
LEAST_SECONDS = 0.1  # marks of shorter sounds are not found again
_PACKAGE, _CLASS = "perth", "PerthImplicitWatermarker"
_MODULE = "perth.perth_net.perth_net_implicit.perth_watermarker"  # where the class is
_STEPS = 100  # in a second: Perth gives whole steps of 10 ms and drops what is left
_LOG = logging.getLogger(__name__)

Samples = npt.NDArray[np.float32]


class Watermark(Protocol):
    """Marks sounds. May be used by several threads."""

    @property
    def name(self) -> str:
        """One of `WATERMARKS`."""

    def mark(self, samples: Samples, sample_rate: int) -> Samples:
        """Returns a sound with the mark.

        Args:
            samples: float32 [samples], a whole sound: pieces of it have other marks. An empty one
                stays as it is.
            sample_rate: samples per second.

        Returns:
            float32 [samples].

        Raises:
            ConfigError: the sound is shorter than `LEAST_SECONDS`, or it can't be marked.
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
        ConfigError: as `open_watermark` and `Watermark.mark`; or there is no sound, or it is
            marked already.
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
        if len(samples) < LEAST_SECONDS * sample_rate:
            raise ConfigError(
                f"watermark: expected at least {LEAST_SECONDS:g} seconds of sound, as a mark is "
                f"not found in less, got {len(samples) / sample_rate:.3f}"
            )
        padded = np.zeros(_whole_steps(len(samples), sample_rate), np.float32)
        padded[: len(samples)] = samples
        try:
            with self._lock:
                made = self._original.apply_watermark(padded, sample_rate=sample_rate)
        except Exception as error:  # of PyTorch or librosa, whatever kind it has
            raise ConfigError(
                f"watermark: perth: expected a mark, got an error: {str(error)[:200]}"
            ) from error
        marked: Samples = np.asarray(made, np.float32).reshape(-1)[: len(samples)]
        if len(marked) != len(samples):
            raise ConfigError(
                f"watermark: expected {len(samples)} samples of {_PACKAGE}, got {len(marked)}"
            )
        return marked


def _whole_steps(count: int, sample_rate: int) -> int:
    """How many samples are at least `count` and at least as many as whole steps of Perth have."""
    steps = -(-count * _STEPS // sample_rate)
    return max(count, -(-steps * sample_rate // _STEPS))


@functools.cache
def _perth() -> _Perth:
    wanted = "watermark: perth: expected the package resemble-perth"
    install = "pip install 'ttsrt_rt[perth]'"
    try:
        package = importlib.import_module(_PACKAGE)
    except ImportError as error:
        raise ConfigError(f"{wanted}, got none ({install})") from error
    made = getattr(package, _CLASS, None)
    if made is None:
        raise ConfigError(
            f"{wanted} with all that it imports, got one whose {_CLASS} cannot be used: "
            f"{_missing()} ({install})"
        )
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):  # it prints what it reads
            opened = _Perth(made())
    except Exception as error:  # of its model, whatever kind it has
        raise ConfigError(f"{wanted} that runs here, got an error: {str(error)[:200]}") from error
    _LOG.info("perth: %s", said.getvalue().strip())
    return opened


def _missing() -> str:
    """Why the package hides its class: the error of the import that it caught."""
    try:
        importlib.import_module(_MODULE)
    except ImportError as error:
        if error.name == "pkg_resources":
            return f"{error}, which setuptools has below version 82"
        return str(error)
    return "its module has no such class"
