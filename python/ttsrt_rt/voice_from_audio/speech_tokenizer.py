"""The S3 tokenizer v2 (https://arxiv.org/abs/2412.10117), which makes 25 tokens of each second of
speech: a transformer with a memory of the values, and a finite scalar quantization.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ttsrt_rt.voice_from_audio.layers import Network, Rows, gelu, softmax

__all__ = ["SpeechTokenizer"]

FRAMES_PER_TOKEN = 4
WINDOW, WINDOW_STEP = 3000, 2600  # frames of one run, and to the next one
SCALE = np.float32(0.9990000128746033)  # of tanh, so that its ends are whole


class SpeechTokenizer(Network):
    """The tokenizer of speech of one checkpoint."""

    part = "speech_tokenizer"

    def tokens(self, features: Rows, max_tokens: int | None = None) -> npt.NDArray[np.int32]:
        """Returns the ids of speech.

        More than 30 seconds are heard in windows. As in the original, a window begins every 26
        seconds as long as there are frames, and 50 tokens are dropped at every edge within the
        recording. If less than the 4 seconds of an overlap are left, up to 50 tokens are lost.

        Args:
            features: float32 [frames, 128], as `log_mel` makes them of a whole recording.
            max_tokens: what is heard at most; None for everything.

        Returns:
            int32 [tokens], one for each 4 frames, the last for what is left.
        """
        if max_tokens is not None:
            features = features[: FRAMES_PER_TOKEN * max_tokens]
        if len(features) <= WINDOW:
            return self._ids(self._digits(features))
        drop = (WINDOW - WINDOW_STEP) // FRAMES_PER_TOKEN // 2
        begins = range(0, len(features), WINDOW_STEP)
        pieces = []
        for begin in begins:
            ids = self._ids(self._digits(features[begin : begin + WINDOW]))
            pieces.append(ids[drop if begin else 0 : None if begin == begins[-1] else -drop])
        return np.concatenate(pieces)

    def _digits(self, x: Rows) -> Rows:
        """Returns what is quantized [tokens, digits]."""
        for index in range(2):
            x = gelu(self.conv(f"convs.{index}", x, pad=1, stride=2))
        for layer in range(self.model["layers"]):
            at = f"layers.{layer}"
            y = self._attend(at, self.norm(f"{at}.self_norm", x))
            x = x + y
            inner = gelu(self.matrix(f"{at}.ffn_in", self.norm(f"{at}.ffn_norm", x)))
            x = x + self.matrix(f"{at}.ffn_out", inner)
            if not layer:
                self.keep("tok_attn0", y)
                self.keep("tok_block0", x)
        self.keep("tok_hidden", x)
        made = self.matrix("output", x)
        self.keep("tok_down", made)
        return made

    def _attend(self, at: str, x: Rows) -> Rows:
        heads = self.model["heads"]
        q, k, v = np.split(self.matrix(f"{at}.self_qkv", x), 3, 1)
        taps = self.weight(f"{at}.memory")
        half = len(taps) // 2
        padded = np.pad(v, ((half, half), (0, 0)))
        memory = v.copy()
        for i, tap in enumerate(taps):
            memory += tap * padded[i : i + len(v)]
        query, key = (_turned(_in_heads(each, heads)) for each in (q, k))
        scores = query @ key.transpose(0, 2, 1) / np.float32(np.sqrt(query.shape[2]))
        mixed = softmax(scores) @ _in_heads(v, heads)
        joined = mixed.transpose(1, 0, 2).reshape(len(x), -1)
        made: Rows = self.matrix(f"{at}.self_out", joined) + memory
        return made

    def _ids(self, digits: Rows) -> npt.NDArray[np.int32]:
        values = np.round(SCALE * np.tanh(digits)).astype(np.int32) + 1
        bases = self.model["levels"] ** np.arange(digits.shape[1], dtype=np.int32)
        made: npt.NDArray[np.int32] = (values * bases).sum(1, dtype=np.int32)
        return made


def _in_heads(x: Rows, heads: int) -> Rows:
    """x [rows, heads * columns] to [heads, rows, columns]."""
    made: Rows = x.reshape(len(x), heads, -1).transpose(1, 0, 2)
    return made


def _turned(x: Rows) -> Rows:
    """Turns x [heads, rows, columns] by positions; column i goes with that half a head further."""
    half = x.shape[2] // 2
    angle = np.arange(x.shape[1])[:, None] * 10000.0 ** (-np.arange(half) / half)
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], 2)
