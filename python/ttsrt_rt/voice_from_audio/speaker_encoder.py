"""CAMPPlus (https://arxiv.org/abs/2303.00332), which makes a speaker's embedding of a filterbank:
convolutions over bands and time, then densely connected layers with gates of the context.
"""

from __future__ import annotations

import numpy as np

from ttsrt_rt.voice_from_audio.layers import Network, Rows, relu, sigmoid

__all__ = ["LEAST_FRAMES", "SpeakerEncoder"]

LEAST_FRAMES = 3  # of which two rows are left, and a deviation needs two
SEGMENT = 100  # rows of a mean in the gates


class SpeakerEncoder(Network):
    """The speaker encoder of one checkpoint."""

    part = "speaker_encoder"

    def embed(self, features: Rows) -> Rows:
        """Returns a speaker's embedding, of any length.

        Args:
            features: float32 [frames, 80], as `filterbank` makes them; at least 3 frames.

        Returns:
            float32 [192].
        """
        x = self._head(np.ascontiguousarray(features.T)[None])
        self.keep("camp_head", x)
        x = relu(self.conv("input", x, pad=2, stride=2))
        self.keep("camp_tdnn", x)
        shapes = zip(self.model["layers"], self.model["dilations"], strict=True)
        for block, (layers, dilation) in enumerate(shapes):
            at = f"blocks.{block}"
            for layer in range(layers):
                more = self._layer(f"{at}.layers.{layer}", x, dilation)
                if block == layer == 0:
                    self.keep("camp_block1_first", more)
                x = np.concatenate([x, more], 1)
            x = self.matrix(f"{at}.out", self._raised(f"{at}.", x))
            self.keep(f"camp_transit{block + 1}", x)
        x = self._raised("", x)
        stats = np.concatenate([x.mean(0), x.std(0, ddof=1)])
        self.keep("camp_stats", stats)
        return self.matrix("output", stats)

    def _raised(self, name: str, x: Rows) -> Rows:
        return relu(x * self.weight(f"{name}scale") + self.weight(f"{name}shift"))

    def _planes(self, name: str, x: Rows, stride: int = 1) -> Rows:
        """Convolves x [inputs, bands, frames] over two axes, at every `stride`-th band."""
        weight = self.weight(f"head.{name}")  # [outputs, inputs, 3, 3] or [outputs, inputs]
        bias = self.weight(f"head.{name}_bias")[:, None, None]
        if weight.ndim == 2:
            made: Rows = np.tensordot(weight, x[:, ::stride], 1) + bias
            return made
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        count, frames = -(-x.shape[1] // stride), x.shape[2]
        total = np.zeros((len(weight), count, frames), np.float32)
        for up in range(3):
            rows = padded[:, up : up + (count - 1) * stride + 1 : stride]
            for right in range(3):
                part = rows[:, :, right : right + frames]
                total += np.tensordot(weight[:, :, up, right], part, 1)
        return total + bias

    def _head(self, x: Rows) -> Rows:
        """x [1, bands, frames] to [frames, channels * bands / 8]."""
        x = relu(self._planes("input", x))
        for layer in range(2):
            for block in range(2):
                at, stride = f"layers.{layer}.{block}", 1 if block else 2
                y = self._planes(f"{at}.out", relu(self._planes(f"{at}.in", x, stride)))
                x = relu(y + (x if block else self._planes(f"{at}.skip", x, stride)))
        x = relu(self._planes("output", x, 2))
        return np.ascontiguousarray(x.reshape(-1, x.shape[2]).T)

    def _layer(self, at: str, x: Rows, dilation: int) -> Rows:
        """The columns that a layer appends, each multiplied by a gate."""
        y = relu(self.matrix(f"{at}.in", self._raised(f"{at}.", x)))
        local = self.conv(f"{at}.local", y, pad=dilation, dilation=dilation)
        begins = np.arange(0, len(y), SEGMENT)
        counts = np.diff([*begins, len(y)])
        means = np.add.reduceat(y, begins, 0) / counts[:, None].astype(np.float32)
        context = y.mean(0) + np.repeat(means, counts, 0)
        gate = self.matrix(f"{at}.gate_out", relu(self.matrix(f"{at}.gate_in", context)))
        return local * sigmoid(gate)
