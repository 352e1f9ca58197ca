"""Reads sound from files, and writes WAV and what else players take.

WAV is read by the library. Other formats (FLAC, Ogg, MP3) need `soundfile`, the extra `audio`.
A rate is part of a sound and stays, but for Opus, which has few of them.
"""

from __future__ import annotations

import importlib
import io
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import shorten, show
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.writing import replacing

__all__ = [
    "MEDIA_TYPES",
    "Samples",
    "Sound",
    "audio_bytes",
    "check_format",
    "check_output",
    "check_rate",
    "is_sound_file",
    "read_audio",
    "sample_bytes",
    "wav_bytes",
    "wav_head",
    "write_audio",
    "write_wav",
]

Samples = npt.NDArray[np.float32]

MAX_BYTES = 1 << 31
MAX_SAMPLES = 1 << 28
MIN_RATE, MAX_RATE = 1000, 768000
OPEN_SIZE = b"\xff\xff\xff\xff"  # of a WAV whose end is not known yet
INSTALL = "pip install soundfile soxr (the extra audio)"
# What `audio_bytes` writes: the media types of HTTP.
MEDIA_TYPES = {
    "wav": "audio/wav",
    "pcm": "audio/pcm",
    "flac": "audio/flac",
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
}
_ENDINGS = {**{name: name for name in MEDIA_TYPES}, "ogg": "opus"}  # of files, and their formats
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
WRITERS = {"flac": ("FLAC", "PCM_16"), "mp3": ("MP3", None), "opus": ("OGG", "OPUS")}


def check_rate(rate: object, where: str) -> int:
    """Returns a number of samples per second.

    Raises:
        ConfigError: it is no whole number, or out of its limits.
    """
    is_whole = isinstance(rate, (int, np.integer)) and not isinstance(rate, bool)
    if not is_whole or not MIN_RATE <= int(rate) <= MAX_RATE:  # type: ignore[call-overload]
        raise ConfigError(
            f"{where}: expected {MIN_RATE} to {MAX_RATE} samples per second, got {show(rate)}"
        )
    return int(rate)  # type: ignore[call-overload, no-any-return]


@dataclass(frozen=True)
class Sound:
    """The samples of a sound.

    Attributes:
        samples: float32 [frames, channels], usually in [-1, 1).
        sample_rate: frames per second, from 1,000 to 768,000.

    Raises:
        ConfigError: the samples have another shape or are no floats, or the rate is out of its
            limits.
    """

    samples: Samples
    sample_rate: int

    def __post_init__(self) -> None:
        shape, dtype = self.samples.shape, self.samples.dtype
        if len(shape) != 2 or shape[1] < 1 or dtype.kind != "f":
            raise ConfigError(
                f"sound: expected floats [frames, channels], got {dtype} {list(shape)}"
            )
        check_rate(self.sample_rate, "sound")

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.sample_rate


def read_audio(source: str | os.PathLike[str] | bytes) -> Sound:
    """Reads a sound.

    Args:
        source: a file, or the bytes of one. WAV needs nothing else.

    Raises:
        NotFoundError: there is no such file.
        ConfigError: it is of another format than WAV, and `soundfile` is not installed.
        FormatError: it is damaged, or has no sound that can be read.
    """
    from ttsrt_rt import _core

    if isinstance(source, bytes):
        data, name = source, "audio"
    else:
        path = path_of(source, "audio")
        if not path.exists():
            raise NotFoundError(f"{path}: expected a sound, got no file of this name")
        data, name = read_regular(path, MAX_BYTES), str(path)
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        samples, rate = _core.parse_wav(data, name)
        return Sound(samples, rate)
    return _read_other(data, name)


def _soundfile(name: str, expected: str = "a WAV file", got: str = "something else") -> Any:
    try:
        return importlib.import_module("soundfile")
    except ImportError as error:
        raise ConfigError(
            f"{name}: expected {expected}, got {got}; other formats need soundfile: {INSTALL}"
        ) from error


def _read_other(data: bytes, name: str) -> Sound:
    soundfile = _soundfile(name)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if not 0 < file.frames * file.channels <= MAX_SAMPLES:
                raise FormatError(
                    f"{name}: expected 1 to {MAX_SAMPLES} samples, got "
                    f"{file.frames * file.channels}"
                )
            if not MIN_RATE <= file.samplerate <= MAX_RATE:
                raise FormatError(
                    f"{name}: expected a sample rate from {MIN_RATE} to {MAX_RATE}, got "
                    f"{file.samplerate}"
                )
            samples = file.read(dtype="float32", always_2d=True)
            rate = int(file.samplerate)
    except (RuntimeError, ValueError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{name}: expected a sound, got one that soundfile refuses: {shorten(str(error))}"
        ) from error
    if not np.isfinite(samples).all():
        raise FormatError(f"{name}: expected finite samples, got NaN or infinity")
    return Sound(samples, rate)


def _columns(samples: npt.ArrayLike) -> Samples:
    """Returns samples as float32 [frames, channels]."""
    given = np.asarray(samples)
    if given.dtype.kind not in "fiu":
        raise ConfigError(f"samples: expected real numbers, got {given.dtype}")
    values: Samples = given.astype(np.float32)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or not 1 <= values.shape[1] <= 64:
        raise ConfigError(
            f"samples: expected [frames] or [frames, channels], got {list(np.shape(samples))}"
        )
    if not np.isfinite(values).all():
        raise ConfigError("samples: expected finite numbers, got NaN or infinity")
    return values


def _integers(values: Samples) -> bytes:
    whole: bytes = np.rint(values * 32768.0).clip(-32768, 32767).astype("<i2").tobytes()
    return whole


def wav_bytes(samples: npt.ArrayLike, sample_rate: int, *, width: int = 16) -> bytes:
    """Returns the bytes of a WAV file.

    Args:
        samples: floats in [-1, 1], [frames] or [frames, channels]; those outside are clipped
            where integers are written.
        sample_rate: frames per second.
        width: 16 for integers of 16 bits, 32 for floats.

    Raises:
        ConfigError: the samples are not finite or have another shape, the rate is out of its
            limits, or the width is another one.
    """
    values = _columns(samples)
    body = sample_bytes(values, width=width)
    return wav_head(sample_rate, channels=values.shape[1], width=width, num_bytes=len(body)) + body


def wav_head(
    sample_rate: int, *, channels: int = 1, width: int = 16, num_bytes: int | None = None
) -> bytes:
    """Returns the bytes of a WAV file in front of its samples.

    Args:
        sample_rate: frames per second.
        channels: samples of one frame.
        width: as for `wav_bytes`.
        num_bytes: of all samples; None for a sound that goes on to the end of the stream, whose
            sizes are 0xFFFFFFFF.

    Raises:
        ConfigError: the rate is out of its limits, or the width is another one.
    """
    sample_rate = check_rate(sample_rate, "sample_rate")
    _check_width(width)
    frame = channels * width // 8
    kind = 1 if width == 16 else 3  # integers, floats
    layout = struct.pack("<HHIIHH", kind, channels, sample_rate, sample_rate * frame, frame, width)
    head = b"WAVEfmt " + struct.pack("<I", len(layout)) + layout + b"data"
    if num_bytes is None:
        return b"RIFF" + OPEN_SIZE + head + OPEN_SIZE
    return (
        b"RIFF" + struct.pack("<I", len(head) + 4 + num_bytes) + head + struct.pack("<I", num_bytes)
    )


def sample_bytes(samples: npt.ArrayLike, *, width: int = 16) -> bytes:
    """Returns the bytes of samples as they stand in a WAV file, as for `wav_bytes`."""
    values = _columns(samples)
    _check_width(width)
    return _integers(values) if width == 16 else values.astype("<f4").tobytes()


def _check_width(width: int) -> None:
    if width not in (16, 32):
        raise ConfigError(f"width: expected 16 or 32, got {width}")


def check_format(name: object, where: str) -> str:
    """Returns the name of a format that `audio_bytes` writes.

    Raises:
        ConfigError: it is none, or needs `soundfile`, which is not installed.
    """
    if not isinstance(name, str) or name not in MEDIA_TYPES:
        raise ConfigError(f"{where}: expected one of {', '.join(MEDIA_TYPES)}, got {show(name)}")
    if name in WRITERS:
        _soundfile(where, "wav or pcm", name)
    return name


def is_sound_file(path: str | os.PathLike[str]) -> bool:
    """Whether the name of a file ends as one that `write_audio` writes."""
    return _ending(Path(path)) in _ENDINGS


def _ending(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")


def check_output(path: str | os.PathLike[str]) -> str:
    """Returns the format that the name of a file ends in; that of `.ogg` is "opus".

    Raises:
        ConfigError: as for `check_format`.
    """
    target = path_of(path, "output")
    ending = _ending(target)
    if ending not in _ENDINGS:
        known = ", ".join(_ENDINGS)
        raise ConfigError(f"output: {target}: expected one of {known}, got {show(ending)}")
    return check_format(_ENDINGS[ending], f"output: {target}")


def audio_bytes(
    samples: npt.ArrayLike, sample_rate: int, name: str = "wav", *, width: int = 16
) -> bytes:
    """Returns the bytes of a sound in a format.

    Args:
        samples: as for `wav_bytes`.
        sample_rate: frames per second.
        name: "wav"; "pcm", integers of 16 bits alone, little-endian; "flac" of 16 bits, "mp3" or
            "opus" (in Ogg), by `soundfile`. Opus has 8, 12, 16, 24 and 48 kHz; a sound of
            another rate is resampled to the next higher one, at most 48 kHz.
        width: of a WAV, as for `wav_bytes`.

    Raises:
        ConfigError: as for `wav_bytes` and `check_format`, or the format has no such rate.
    """
    if check_format(name, "format") == "wav":
        return wav_bytes(samples, sample_rate, width=width)
    values = _columns(samples)
    sample_rate = check_rate(sample_rate, "sample_rate")
    if name == "pcm":
        return _integers(values)
    if name == "opus" and sample_rate not in _OPUS_RATES:
        values, sample_rate = _for_opus(values, sample_rate)
    container, subtype = WRITERS[name]
    file = io.BytesIO()
    try:
        _soundfile(name).write(file, values, sample_rate, format=container, subtype=subtype)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"format: expected one that soundfile writes at {sample_rate} samples per second, got "
            f"{name}: {shorten(re.sub(r'<[^<>]* at 0x[^<>]*>', 'it', str(error)))}"
        ) from error
    return file.getvalue()


def _for_opus(values: Samples, sample_rate: int) -> tuple[Samples, int]:
    """The samples at a rate that Opus has."""
    from ttsrt_rt import _core

    rate = next((each for each in _OPUS_RATES if each >= sample_rate), _OPUS_RATES[-1])
    columns = [
        _core.resample(np.ascontiguousarray(column), sample_rate, rate) for column in values.T
    ]
    return np.stack(columns, axis=1), rate


def write_wav(
    path: str | os.PathLike[str], samples: npt.ArrayLike, sample_rate: int, *, width: int = 16
) -> Path:
    """Writes a WAV file, as `wav_bytes`; an existing file is replaced at the end.

    Raises:
        ConfigError: as for `wav_bytes`, or the file cannot be written.
        CapacityError: the disk is full.
    """
    return _write(path, wav_bytes(samples, sample_rate, width=width))


def write_audio(
    path: str | os.PathLike[str], samples: npt.ArrayLike, sample_rate: int, *, width: int = 16
) -> Path:
    """Writes a file in the format that its name ends in, as `audio_bytes`; an existing file is
    replaced at the end.

    Raises:
        ConfigError: as for `audio_bytes` and `check_output`, or the file cannot be written.
        CapacityError: the disk is full.
    """
    return _write(path, audio_bytes(samples, sample_rate, check_output(path), width=width))


def _write(path: str | os.PathLike[str], made: bytes) -> Path:
    target = path_of(path, "output")
    with replacing(target) as file:
        file.write(made)
    return target
