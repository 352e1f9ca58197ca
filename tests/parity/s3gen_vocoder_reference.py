"""HiFT in NumPy, from the formulas: a spectrogram to its pitch, a source of harmonics, and sound.

The source is a pure function of pitch, phases and noise. Where in its cycle the fundamental is, is
summed in float64, frame by frame; the original sums every harmonic in float32, sample by sample,
and is the less exact of the two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from .s3gen_ops import Array, Part, elu, leaky, snake, transposed

VOICED_HZ = 10.0
SINE, VOICED_NOISE, UNVOICED_NOISE = 0.1, 0.003, 0.1 / 3
STAGE_SLOPE, LAST_SLOPE = 0.1, 0.01
MAX_MAGNITUDE, MAX_SAMPLE = 100.0, 0.99
FADE = 480  # samples that are silent at the beginning, and samples that fade in then


def hann(length: int) -> Array:
    """A periodic window."""
    made: Array = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return made


def stft(x: Array, n_fft: int, hop: int) -> Array:
    """x [samples] to [frames, n_fft + 2]: real parts, then imaginary ones; frames are centred, and
    the ends are reflected.
    """
    padded = np.pad(x, n_fft // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop] * hann(n_fft)
    bins = np.fft.rfft(frames, axis=1)
    return np.concatenate([bins.real, bins.imag], 1)


def istft(bins: Array, n_fft: int, hop: int) -> Array:
    """bins [frames, n_fft / 2 + 1] to (frames - 1) * hop samples."""
    window = hann(n_fft)
    pieces = np.fft.irfft(bins, n_fft, axis=1) * window
    made, weight = np.zeros((2, (len(bins) - 1) * hop + n_fft))
    for index, piece in enumerate(pieces):
        made[index * hop : index * hop + n_fft] += piece
        weight[index * hop : index * hop + n_fft] += window**2
    inside = slice(n_fft // 2, -(n_fft // 2))
    result: Array = made[inside] / weight[inside]
    return result


def faded(audio: Array) -> Array:
    """Audio with the beginning of an utterance muted and faded in."""
    rise = (np.cos(np.linspace(np.pi, 0, FADE)) + 1) / 2
    fade = np.concatenate([np.zeros(FADE), rise])[: len(audio)]
    made = audio.copy()
    made[: len(fade)] *= fade
    return made


class Vocoder(Part):
    """The vocoder of one checkpoint."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "vocoder")
        self.rates: list[int] = self.model["rates"]
        self.frame = int(np.prod(self.rates)) * int(self.model["hop"])

    def pitch(self, mel: Array) -> Array:
        """mel [frames, mel_bins] to Hz [frames]."""
        x = mel
        for layer in range(self.model["f0_layers"]):
            x = elu(self.centred(f"vocoder.f0.layers.{layer}", x))
        self.stages["f0"] = np.abs(self.matrix("vocoder.f0.output", x)[:, 0])
        return self.stages["f0"]

    def noise(self, given: Array) -> Array:
        """given [harmonics, samples], normal, to the one row that the source takes."""
        made: Array = self.weights["vocoder.source"][0] @ given
        return made

    def cycles(self, f0: Array, begin: float = 0.0) -> tuple[Array, float]:
        """Returns where in its cycle the fundamental is at each sample, and behind the last one.

        Args:
            f0: Hz [frames].
            begin: where it is in front of the first sample.
        """
        step = f0 / self.sample_rate
        starts = np.concatenate([[begin], (begin + np.cumsum(step * self.frame)) % 1])
        inside = np.arange(1, self.frame + 1)
        made = starts[:-1, None] + step[:, None] * inside
        return made.reshape(-1), float(starts[-1])

    def source(self, f0: Array, phase: Array, noise: Array, begin: float = 0.0) -> Array:
        """Returns the source [samples].

        Args:
            f0: Hz [frames].
            phase: of each harmonic [harmonics]; that of the fundamental is 0.
            noise: one row, as `noise` makes it [samples].
            begin: as of `cycles`.
        """
        weight, bias = self.weights["vocoder.source"][0], self.weights["vocoder.source_bias"][0]
        cycles, _ = self.cycles(f0, begin)
        order = np.arange(1, len(weight) + 1)[:, None]
        sines = SINE * np.sin(2 * np.pi * ((order * cycles) % 1) + phase[:, None])
        is_voiced = np.repeat(f0 > VOICED_HZ, self.frame)
        amplitude = np.where(is_voiced, VOICED_NOISE, UNVOICED_NOISE)
        made: Array = np.tanh((weight @ sines) * is_voiced + amplitude * noise + bias)
        return made

    def sound(self, mel: Array, source: Array) -> Array:
        """mel [frames, mel_bins] and source [samples] to audio [samples]."""
        n_fft, hop = self.model["n_fft"], self.model["hop"]
        harmonics = stft(source, n_fft, hop)
        x = self.centred("vocoder.pre", mel)
        self.stages["conv_pre"] = x
        for stage in range(len(self.rates)):
            x = self._stage(stage, x, harmonics)
        x = self.centred("vocoder.post", leaky(x, LAST_SLOPE))
        self.stages["conv_post"] = x
        bins = n_fft // 2 + 1
        magnitude = np.minimum(np.exp(x[:, :bins]), MAX_MAGNITUDE)
        angle = np.sin(x[:, bins:])
        audio = istft(magnitude * np.exp(1j * angle), n_fft, hop)
        return np.clip(audio, -MAX_SAMPLE, MAX_SAMPLE)

    def _stage(self, stage: int, x: Array, harmonics: Array) -> Array:
        at, rate = f"vocoder.stages.{stage}", self.rates[stage]
        up, bias = self.weights[f"{at}.up"], self.weights[f"{at}.up_bias"]
        x = transposed(leaky(x, STAGE_SLOPE), up, bias, rate)
        self.stages[f"up_{stage}"] = x
        if stage == len(self.rates) - 1:
            x = np.concatenate([x[1:2], x])
        stride = int(np.prod(self.rates[stage + 1 :]))
        edge = (stride // 2, stride // 2)
        y = self.conv(f"{at}.source", harmonics, stride=stride, pad=edge)
        self.stages[f"source_down_{stage}"] = y
        y = self._chain(f"{at}.source_chain", y)
        self.stages[f"source_res_{stage}"] = y
        x = x + y
        chains = [
            self._chain(f"{at}.chains.{chain}", x)
            for chain in range(len(self.model["chain_kernels"]))
        ]
        self.stages[f"res_{stage}_0"] = chains[0]
        made: Array = sum(chains) / len(chains)
        return made

    def _chain(self, name: str, x: Array) -> Array:
        for block, dilation in enumerate(self.model["dilations"]):
            at = f"{name}.blocks.{block}"
            y = self.centred(f"{at}.in", snake(x, self.weights[f"{at}.in_alpha"]), dilation)
            x = x + self.centred(f"{at}.out", snake(y, self.weights[f"{at}.out_alpha"]))
        return x
