"""The spectrograms that the networks of a voice take, from samples.

Definitions are those of librosa, torchaudio and Kaldi that the original calls; they are computed in
float64, and results are float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = [
    "PROMPT_RATE",
    "SPEECH_RATE",
    "Floats",
    "filterbank",
    "log_mel",
    "prompt_mel",
    "trimmed",
    "voice_mel",
]

Floats = npt.NDArray[np.floating[Any]]
Rows = npt.NDArray[np.float32]

PROMPT_RATE = 24000  # of the spectrogram that the flow goes on from
SPEECH_RATE = 16000  # of everything else
PROMPT_FRAME, PROMPT_HOP = 1920, 480
SPEECH_FRAME, SPEECH_HOP = 400, 160
BANK_FRAME, BANK_BANDS = 512, 80
TRIM_FRAME, TRIM_HOP, TRIM_DB = 2048, 512, 20
LOUDEST_DB = 8  # of log_mel, in bels of power
BLOCK = 4096  # frames that are transformed at once
EPSILON = 1.1920929e-07  # of float32


def hann(length: int) -> Floats:
    """Returns a periodic window."""
    made: Floats = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return made


def slaney(hz: Floats | float) -> Floats:
    """Returns Hz as mel of Slaney's scale: linear below 1000 Hz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    above = 15 + np.log(np.maximum(hz, 1000) / 1000) / (np.log(6.4) / 27)
    return np.where(hz < 1000, hz * 3 / 200, above)


def slaney_hz(mel: Floats) -> Floats:
    """Returns mel of Slaney's scale as Hz."""
    above = 1000 * np.exp((np.maximum(mel, 15) - 15) * (np.log(6.4) / 27))
    return np.where(mel < 15, mel * 200 / 3, above)


def bands(rate: int, n_fft: int, count: int, high: float) -> Floats:
    """Returns triangles of equal area between 0 Hz and `high` [count, n_fft / 2 + 1], as
    librosa.filters.mel.
    """
    edges = slaney_hz(np.linspace(0, slaney(high), count + 2))
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    made: Floats = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return made


def kaldi_bands() -> Floats:
    """Returns triangles in mel between 20 and 8000 Hz [80, 256], of different areas; the last bin
    has no part in them.
    """
    low, high = (1127 * np.log(1 + hz / 700) for hz in (20.0, 8000.0))
    edges = np.linspace(low, high, BANK_BANDS + 2)
    hz = np.arange(BANK_FRAME // 2) * SPEECH_RATE / BANK_FRAME
    at = 1127 * np.log(1 + hz / 700)
    step = edges[1] - edges[0]
    rise = (at - edges[:-2, None]) / step
    fall = (edges[2:, None] - at) / step
    made: Floats = np.maximum(0, np.minimum(rise, fall))
    return made


def framed(x: Floats, length: int, hop: int) -> Floats:
    """Returns a view of samples as frames [frames, length]."""
    return np.lib.stride_tricks.sliding_window_view(x, length)[::hop]


def power_bands(x: Floats, n_fft: int, hop: int, triangles: Floats) -> Floats:
    """Returns the power of samples in each band [frames, bands]."""
    frames, window = framed(x, n_fft, hop), hann(n_fft)
    pieces = []
    for begin in range(0, len(frames), BLOCK):
        bins = np.fft.rfft(frames[begin : begin + BLOCK] * window, axis=1)
        pieces.append((bins.real**2 + bins.imag**2) @ triangles.T)
    made: Floats = np.concatenate(pieces)
    return made


def prompt_mel(samples: Floats) -> Rows:
    """Returns the spectrogram of a prompt, natural logarithms of magnitudes.

    Args:
        samples: at 24000 Hz, at least 721.

    Returns:
        float32 [samples / 480, 80].
    """
    edge = (PROMPT_FRAME - PROMPT_HOP) // 2
    padded = np.pad(np.asarray(samples, np.float64), edge, mode="reflect")
    frames, window = framed(padded, PROMPT_FRAME, PROMPT_HOP), hann(PROMPT_FRAME)
    bins = np.fft.rfft(frames * window, axis=1)
    magnitude = np.sqrt(bins.real**2 + bins.imag**2 + 1e-9)
    triangles = bands(PROMPT_RATE, PROMPT_FRAME, 80, 8000)
    made: Rows = np.log(np.maximum(magnitude @ triangles.T, 1e-5)).astype(np.float32)
    return made


def filterbank(samples: Floats) -> Rows:
    """Returns Kaldi's filterbank of samples, less its mean over time.

    A frame loses its mean and is raised towards high frequencies; there is neither dither nor
    energy.

    Args:
        samples: at 16000 Hz in -1 to 1, at least 400. The original doesn't scale them to 16 bits.

    Returns:
        float32 [frames, 80].
    """
    frames = framed(np.asarray(samples, np.float64), SPEECH_FRAME, SPEECH_HOP)
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    turns = 2 * np.pi * np.arange(SPEECH_FRAME) / (SPEECH_FRAME - 1)
    window = (0.5 - 0.5 * np.cos(turns)) ** 0.85
    bins = np.fft.rfft((frames - 0.97 * before) * window, BANK_FRAME, axis=1)[:, :-1]
    power = (bins.real**2 + bins.imag**2) @ kaldi_bands().T
    logs = np.log(np.maximum(power, EPSILON))
    made: Rows = (logs - logs.mean(0)).astype(np.float32)
    return made


def log_mel(samples: Floats, count: int = 128) -> Rows:
    """Returns what the tokenizer of speech takes: decimal logarithms of power, of which what is
    80 dB below the loudest band is raised to that. The last frame is dropped.

    Args:
        samples: at 16000 Hz, at least 201.
        count: bands.

    Returns:
        float32 [samples / 160, count].
    """
    padded = np.pad(np.asarray(samples, np.float64), SPEECH_FRAME // 2, mode="reflect")
    triangles = bands(SPEECH_RATE, SPEECH_FRAME, count, 8000)
    power = power_bands(padded, SPEECH_FRAME, SPEECH_HOP, triangles)[:-1]
    logs = np.log10(np.maximum(power, 1e-10))
    made: Rows = ((np.maximum(logs, logs.max() - LOUDEST_DB) + 4) / 4).astype(np.float32)
    return made


def trimmed(samples: Floats) -> tuple[int, int]:
    """Returns where sound begins and ends, as librosa.effects.trim: the frames within 20 dB of the
    loudest one.
    """
    padded = np.pad(np.asarray(samples, np.float64), TRIM_FRAME // 2)
    frames = framed(padded, TRIM_FRAME, TRIM_HOP)
    rms = np.sqrt(np.einsum("ij,ij->i", frames, frames) / TRIM_FRAME)
    rms = np.maximum(rms, 1e-5)
    loud = np.flatnonzero(20 * np.log10(rms / rms.max()) > -TRIM_DB)
    return int(loud[0]) * TRIM_HOP, min(len(samples), (int(loud[-1]) + 1) * TRIM_HOP)


def voice_mel(samples: Floats, count: int = 40) -> Rows:
    """Returns what the voice encoder takes: powers.

    Args:
        samples: at 16000 Hz, at least 201.
        count: bands.

    Returns:
        float32 [1 + samples / 160, count].
    """
    padded = np.pad(np.asarray(samples, np.float64), SPEECH_FRAME // 2, mode="reflect")
    triangles = bands(SPEECH_RATE, SPEECH_FRAME, count, 8000)
    return power_bands(padded, SPEECH_FRAME, SPEECH_HOP, triangles).astype(np.float32)
