"""The voice encoder of Chatterbox, a GE2E encoder (https://arxiv.org/abs/1710.10467): three LSTMs
over windows of a recording, and the mean of what they give.
"""

from __future__ import annotations

import numpy as np

from ttsrt_rt.voice_from_audio.features import Floats, trimmed, voice_mel
from ttsrt_rt.voice_from_audio.layers import Network, Rows, relu, sigmoid

__all__ = ["VoiceEncoder"]

WINDOW, STEP, COVERAGE = 160, 77, 0.8  # frames, and how much of the last window is sound
AT_ONCE = 256  # windows
LEAST_SAMPLES = 201  # the ends of a spectrogram are mirrored


class VoiceEncoder(Network):
    """The voice encoder of one checkpoint."""

    part = "voice_encoder"

    def embed(self, samples: Floats) -> Rows:
        """Returns the embedding of a speaker that T3 takes.

        Args:
            samples: at 16000 Hz. Quiet sound at the ends is cut off.

        Returns:
            float32 [256], of length 1.
        """
        begin, end = trimmed(samples)
        sound = samples[begin:end]
        if len(sound) < LEAST_SAMPLES:
            sound = np.pad(sound, (0, LEAST_SAMPLES - len(sound)))
        features = voice_mel(sound, self.model["mel_bins"])
        self.keep("ve_trim", np.array([begin, end], np.float32))
        self.keep("ve_mel", features)
        parts = windows(features)
        made = np.concatenate(
            [self._embed(parts[i : i + AT_ONCE]) for i in range(0, len(parts), AT_ONCE)]
        )
        mean = made.mean(0)
        result: Rows = mean / np.linalg.norm(mean)
        return result

    def _embed(self, parts: Rows) -> Rows:
        """Windows [windows, frames, bands] to [windows, 256], each of length 1."""
        x = np.ascontiguousarray(parts.transpose(1, 0, 2))
        for layer in range(self.model["layers"]):
            x = self._lstm(f"layers.{layer}", x)
        made = relu(self.matrix("output", x[-1]))
        result: Rows = made / np.linalg.norm(made, axis=1, keepdims=True)
        return result

    def _lstm(self, at: str, x: Rows) -> Rows:
        """x [frames, windows, columns]; gates are input, forget, cell and output."""
        again = np.ascontiguousarray(self.weight(f"{at}.again").T)
        inputs = x @ self.weight(f"{at}.in").T + self.weight(f"{at}.bias")
        hidden = cell = np.zeros((x.shape[1], self.model["dim"]), np.float32)
        rows = np.empty((len(x), *hidden.shape), np.float32)
        for moment, row in enumerate(inputs):
            i, f, g, o = np.split(row + hidden @ again, 4, 1)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            rows[moment] = hidden
        return rows


def windows(features: Rows) -> Rows:
    """Returns windows of 160 frames [windows, 160, bands], of which the last one may be padded with
    zeros.
    """
    count, rest = divmod(max(len(features) - WINDOW + STEP, 0), STEP)
    if count == 0 or (rest + WINDOW - STEP) / WINDOW >= COVERAGE:
        count += 1
    length = WINDOW + STEP * (count - 1)
    padded = np.pad(features, ((0, max(0, length - len(features))), (0, 0)))
    return np.stack([padded[STEP * i : STEP * i + WINDOW] for i in range(count)])
