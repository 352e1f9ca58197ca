"""Sound of `ttsrt run`: a file by the ending of its name, or a WAV on standard output meanwhile.

A WAV on standard output has one head with open sizes (0xFFFFFFFF), and behind it each sample once.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.audio.files import (
    check_output,
    is_sound_file,
    sample_bytes,
    wav_head,
    write_audio,
)
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt import _core
    from ttsrt_rt.result import Result

__all__ = [
    "SoundStream",
    "check_sound",
    "is_sound_file",
    "load_samples",
    "makes_sound",
    "write_sound",
]

_ARRAYS = (".npy", ".npz", ".json", ".safetensors")


def makes_sound(info: _core.EngineInfo, fields: Mapping[str, Any]) -> bool:
    """Whether a request of these fields ends in sound."""
    is_off = fields.get("codes_only") is True or fields.get("return_audio") is False
    return info.has_vocoder and not is_off and fields.get("samples") is None


def check_sound(
    output: str, engine: _core.Engine, fields: Mapping[str, Any], *, width: int | None
) -> None:
    """Checks, before a request runs, that there is sound for its output.

    Raises:
        ConfigError: The name is of a file of sound, and the request makes none; the format needs
            what is not installed; the terminal would get the bytes of a WAV; or there is a width
            and no WAV.
    """
    is_streamed = output == "-" and makes_sound(engine.info, fields)
    if width is not None and not is_streamed and Path(output).suffix.lower() != ".wav":
        raise ConfigError(f"--width: expected it with a .wav, or sound on -; got --output {output}")
    if is_streamed and sys.stdout.isatty():
        raise ConfigError(
            "--output: expected a pipe or a file for the WAV on standard output, got a terminal; "
            "name a file, or pass --codes_only for codes"
        )
    if not is_sound_file(output):
        return
    check_output(output)
    if makes_sound(engine.info, fields):
        return
    if fields.get("codes_only") is True or fields.get("return_audio") is False:
        got = "--codes_only" if fields.get("codes_only") is True else "--return_audio false"
        raise ConfigError(f"--output: {output}: expected a request that makes sound, got {got}")
    if fields.get("samples") is not None:
        raise ConfigError(
            f"--output: {output}: expected a file for the codes of --samples, such as codes.npy"
        )
    raise ConfigError(
        f"--output: {output}: expected an engine that makes sound, got {engine.path}, which ends "
        "in codes; build it with --codec_dir, or name a file for codes, such as codes.npy"
    )


def write_sound(name: str, result: Result, *, width: int) -> None:
    """Writes the sound of a result to a file; an empty one where it has none."""
    write_audio(name, _samples_of(result), _rate_of(result), width=width)


class SoundStream:
    """A WAV on standard output, which begins with the first samples."""

    def __init__(self, sample_rate: int, *, width: int) -> None:
        """Writes nothing yet.

        Args:
            sample_rate: Samples of a second.
            width: 16 for integers of 16 bits, 32 for floats.
        """
        self._head = wav_head(sample_rate, width=width)
        self._width = width
        self._is_begun = False

    def write(self, samples: NDArray[Any]) -> None:
        """Writes samples, behind the head where they are the first, and flushes them."""
        self._begin()
        sys.stdout.buffer.write(sample_bytes(samples, width=self._width))
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        """Writes the head of a sound that has no samples."""
        self._begin()
        sys.stdout.buffer.flush()

    def _begin(self) -> None:
        if not self._is_begun:
            sys.stdout.flush()
            sys.stdout.buffer.write(self._head)
            self._is_begun = True


def load_samples(text: object, engine: _core.Engine) -> object:
    """The samples of `--samples`: of a file of sound, mixed and resampled for the codec; the name
    of a file with an array stays.

    Raises:
        ConfigError, FormatError: The engine takes no sound, or the file can't be read.
    """
    if not isinstance(text, str) or _is_array(text):
        return text
    import numpy as np

    from ttsrt_rt.audio import read_audio, to_rate

    if not engine.info.has_encoder:
        raise ConfigError(
            f"--samples: expected the engine of a codec that has an encoder, got {engine.path} of "
            f"{engine.info.family}"
        )
    sound = read_audio(text)
    mono = np.ascontiguousarray(sound.samples.mean(axis=1, dtype=np.float64), np.float32)
    return to_rate(mono, sound.sample_rate, engine.info.sample_rate or 0)


def _is_array(text: str) -> bool:
    names = (text, text.rpartition(":")[0])
    return any(Path(name).suffix.lower() in _ARRAYS for name in names if name)


def _samples_of(result: Result) -> NDArray[Any]:
    import numpy as np

    return np.zeros(0, np.float32) if result.audio is None else result.audio


def _rate_of(result: Result) -> int:
    if result.sample_rate is None:
        raise ConfigError("output: expected a result with sound, got none")
    return result.sample_rate
