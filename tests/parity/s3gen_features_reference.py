"""What voices are made from, in NumPy: resampling, and the spectrograms that each network takes.

All are computed in float64, from the definitions of torchaudio, librosa and Kaldi that the original
calls; the original computes them in float32.
"""

from __future__ import annotations

import numpy as np

from .s3gen_ops import Array
from .s3gen_vocoder_reference import hann

RATE = 24000  # of the spectrogram of a prompt
SPEECH_RATE = 16000  # of all others
TRIM_FRAME, TRIM_HOP, TRIM_DB = 2048, 512, 20
EPSILON = 1.1920929e-07


def resample(x: Array, old: int, new: int) -> Array:
    """Returns samples at another rate, by torchaudio's default: a sinc under a squared cosine."""
    common = int(np.gcd(old, new))
    o, n = old // common, new // common
    base = 0.99 * min(o, n)
    width = int(np.ceil(6 * o / base))
    taps = np.arange(-width, width + o)
    t = np.clip((taps[None] / o - np.arange(n)[:, None] / n) * base, -6, 6)
    kernel = base / o * np.sinc(t) * np.cos(np.pi * t / 12) ** 2
    padded = np.pad(x, (width, width + o))
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(taps))[::o]
    made: Array = (windows @ kernel.T).reshape(-1)[: -(-n * len(x) // o)]
    return made


def slaney(hz: Array | float) -> Array:
    """Hz to mel: linear below 1000 Hz, logarithmic above."""
    hz = np.asarray(hz, np.float64)
    above = 15 + np.log(np.maximum(hz, 1000) / 1000) / (np.log(6.4) / 27)
    return np.where(hz < 1000, hz * 3 / 200, above)


def slaney_hz(mel: Array) -> Array:
    above = 1000 * np.exp((np.maximum(mel, 15) - 15) * (np.log(6.4) / 27))
    return np.where(mel < 15, mel * 200 / 3, above)


def bands(rate: int, n_fft: int, count: int, high: float) -> Array:
    """Returns triangles of equal area between 0 Hz and `high` [count, n_fft / 2 + 1]."""
    edges = slaney_hz(np.linspace(0, slaney(high), count + 2))
    bins = np.arange(n_fft // 2 + 1) * rate / n_fft
    rise = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    made: Array = np.maximum(0, np.minimum(rise, fall)) * (2 / (edges[2:] - edges[:-2]))[:, None]
    return made


def spectra(x: Array, n_fft: int, hop: int) -> Array:
    """x [samples], already padded, to [frames, n_fft / 2 + 1]."""
    frames = np.lib.stride_tricks.sliding_window_view(x, n_fft)[::hop]
    made: Array = np.fft.rfft(frames * hann(n_fft), axis=1)
    return made


def prompt_mel(x: Array) -> Array:
    """Samples at 24000 Hz to the spectrogram of a prompt [samples / 480, 80]."""
    padded = np.pad(x, (1920 - 480) // 2, mode="reflect")
    bins = spectra(padded, 1920, 480)
    magnitude = np.sqrt(bins.real**2 + bins.imag**2 + 1e-9)
    made: Array = np.log(np.maximum(magnitude @ bands(RATE, 1920, 80, 8000).T, 1e-5))
    return made


def filterbank(x: Array) -> Array:
    """Samples at 16000 Hz, in -1 to 1, to Kaldi's filterbank, less its mean over time [frames, 80].

    A frame loses its mean and is raised towards high frequencies; bands are triangles in mel, whose
    areas differ; the last bin has no part in them.
    """
    frames = np.lib.stride_tricks.sliding_window_view(x, 400)[::160]
    frames = frames - frames.mean(1, keepdims=True)
    before = np.concatenate([frames[:, :1], frames[:, :-1]], 1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85
    bins = np.fft.rfft((frames - 0.97 * before) * window, 512, axis=1)[:, :256]

    def mel(hz: Array) -> Array:
        made: Array = 1127 * np.log(1 + hz / 700)
        return made

    low, high = mel(np.array([20.0, 8000.0]))
    edges = np.linspace(low, high, 82)
    at = mel(np.arange(256) * SPEECH_RATE / 512)
    rise = (at - edges[:-2, None]) / (edges[1] - edges[0])
    fall = (edges[2:, None] - at) / (edges[1] - edges[0])
    triangles = np.maximum(0, np.minimum(rise, fall))
    made = np.log(np.maximum(np.abs(bins) ** 2 @ triangles.T, EPSILON))
    result: Array = made - made.mean(0)
    return result


def log_mel(x: Array, count: int = 128) -> Array:
    """Samples at 16000 Hz to what the tokenizer of speech takes [samples / 160, count]. The last
    frame is dropped, and what is 80 dB below the loudest band is raised to that.
    """
    bins = spectra(np.pad(x, 200, mode="reflect"), 400, 160)[:-1]
    power = np.abs(bins) ** 2 @ bands(SPEECH_RATE, 400, count, 8000).T
    logs = np.log10(np.maximum(power, 1e-10))
    made: Array = (np.maximum(logs, logs.max() - 8) + 4) / 4
    return made


def trimmed(x: Array) -> tuple[int, int]:
    """Returns where sound begins and ends: the frames within 20 dB of the loudest one."""
    padded = np.pad(x, TRIM_FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, TRIM_FRAME)[::TRIM_HOP]
    rms = np.maximum(np.sqrt((frames**2).mean(1)), 1e-5)
    loud = np.flatnonzero(20 * np.log10(rms / rms.max()) > -TRIM_DB)
    return int(loud[0]) * TRIM_HOP, min(len(x), (int(loud[-1]) + 1) * TRIM_HOP)


def voice_mel(x: Array, count: int = 40) -> Array:
    """Samples at 16000 Hz to what the voice encoder takes [1 + samples / 160, count]."""
    bins = spectra(np.pad(x, 200, mode="reflect"), 400, 160)
    made: Array = np.abs(bins) ** 2 @ bands(SPEECH_RATE, 400, count, 8000).T
    return made
