"""Runs many requests together, and takes what they made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.handle import Handle
from ttsrt_rt.request import Request
from ttsrt_rt.result import Result

__all__ = ["Floats", "audio_of", "run_all", "spectrogram_of"]

Floats = npt.NDArray[np.float32]


def run_all(executor: Executor, requests: Sequence[Request]) -> list[Result]:
    """Returns the results of requests that run together; the first error ends all. Many of them
    leave room in the queue for other callers.
    """
    most = 2 * executor.info.max_batch_size
    handles: list[Handle] = []
    results: list[Result] = []
    try:
        for request in requests:
            if len(handles) - len(results) >= most:
                results.append(handles[len(results)].result())
            handles.append(executor.submit(request))
        return results + [handle.result() for handle in handles[len(results) :]]
    except BaseException:
        for handle in handles:
            handle.cancel()
        raise


def audio_of(result: Result) -> Floats:
    """Returns the samples of a result.

    Raises:
        ConfigError: the engine makes no sound.
    """
    if result.audio is None:
        raise ConfigError("audio: expected an engine that makes sound, got none")
    return result.audio


def spectrogram_of(result: Result) -> Floats:
    """Returns the spectrogram of a result, float32 [frames, bands].

    Raises:
        ConfigError: the engine makes none.
    """
    if result.spectrogram is None:
        raise ConfigError("spectrogram: expected an engine that makes one, got none")
    return result.spectrogram
