"""What makes a voice of a recording, in NumPy, from the formulas: the speaker encoder (CAMPPlus),
the tokenizer of speech (S3 tokenizer v2) and the voice encoder, over a converted checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .f5_reference import gelu
from .s3gen_features_reference import (
    RATE,
    SPEECH_RATE,
    filterbank,
    log_mel,
    prompt_mel,
    resample,
    trimmed,
    voice_mel,
)
from .s3gen_ops import Array, Part, attention, in_heads, relu, sigmoid

SEGMENT = 100  # frames of a mean in the speaker encoder's gates
FSQ_SCALE = 0.9990000128746033
FRAMES_PER_TOKEN = 4
WINDOW, WINDOW_STEP = 3000, 2600  # frames of one run of the tokenizer, and to the next one
PARTIAL, PARTIAL_STEP, COVERAGE = 160, 77, 0.8


def planes(x: Array, weight: Array, bias: Array, stride: int = 1) -> Array:
    """A convolution over two axes: x [inputs, bands, frames]; weight [outputs, inputs, 3, 3] or
    [outputs, inputs]; `stride` counts bands.
    """
    if weight.ndim == 2:
        flat = np.tensordot(weight, x[:, ::stride], 1)
        made: Array = flat + bias[:, None, None]
        return made
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
    count, frames = -(-x.shape[1] // stride), x.shape[2]
    total = np.zeros((len(weight), count, frames))
    for up in range(3):
        for right in range(3):
            rows = padded[:, up : up + (count - 1) * stride + 1 : stride, right : right + frames]
            total += np.tensordot(weight[:, :, up, right], rows, 1)
    return total + bias[:, None, None]


class SpeakerEncoder(Part):
    """The speaker encoder of one checkpoint."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "speaker_encoder")

    def embed(self, features: Array) -> Array:
        """features [frames, mel_bins] to the speaker's embedding, which has any length."""
        x = self._head(features.T[None])
        self.stages["camp_head"] = x
        x = relu(self.conv("speaker_encoder.input", x, pad=(2, 2), stride=2))
        self.stages["camp_tdnn"] = x
        for block, (layers, dilation) in enumerate(
            zip(self.model["layers"], self.model["dilations"], strict=True)
        ):
            at = f"speaker_encoder.blocks.{block}"
            for layer in range(layers):
                more = self._layer(f"{at}.layers.{layer}", x, dilation)
                if block == layer == 0:
                    self.stages["camp_block1_first"] = more
                x = np.concatenate([x, more], 1)
            x = self.matrix(f"{at}.out", self._raised(f"{at}.", x))
            self.stages[f"camp_transit{block + 1}"] = x
        x = self._raised("speaker_encoder.", x)
        stats = np.concatenate([x.mean(0), x.std(0, ddof=1)])
        self.stages["camp_stats"] = stats
        return self.matrix("speaker_encoder.output", stats)

    def _raised(self, name: str, x: Array) -> Array:
        return relu(x * self.weights[f"{name}scale"] + self.weights[f"{name}shift"])

    def _planes(self, name: str, x: Array, stride: int = 1) -> Array:
        name = f"speaker_encoder.head.{name}"
        return planes(x, self.weights[name], self.weights[f"{name}_bias"], stride)

    def _head(self, x: Array) -> Array:
        """x [1, bands, frames] to [frames, channels * bands / 8]."""
        x = relu(self._planes("input", x))
        for layer in range(2):
            for block in range(2):
                at, stride = f"layers.{layer}.{block}", 1 if block else 2
                y = relu(self._planes(f"{at}.in", x, stride))
                y = self._planes(f"{at}.out", y)
                x = relu(y + (x if block else self._planes(f"{at}.skip", x, stride)))
        x = relu(self._planes("output", x, 2))
        return x.reshape(-1, x.shape[2]).T

    def _layer(self, at: str, x: Array, dilation: int) -> Array:
        y = relu(self.matrix(f"{at}.in", self._raised(f"{at}.", x)))
        local = self.centred(f"{at}.local", y, dilation)
        segments = np.arange(len(y)) // SEGMENT
        means = np.array([y[segments == each].mean(0) for each in range(segments[-1] + 1)])
        context = y.mean(0) + means[segments]
        gate = self.matrix(f"{at}.gate_out", relu(self.matrix(f"{at}.gate_in", context)))
        return local * sigmoid(gate)


class SpeechTokenizer(Part):
    """The tokenizer of speech of one checkpoint."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "speech_tokenizer")

    def tokens(self, features: Array, max_tokens: int | None = None) -> Array:
        """features [frames, mel_bins], as `log_mel` makes them of a whole recording, to ids.

        More than 30 seconds are heard in windows. As in the original, a window begins every 26
        seconds as long as there are frames, and 50 tokens are dropped at every edge within the
        recording. If less than the 4 seconds of an overlap are left, up to 50 tokens are lost.
        """
        if max_tokens is not None:
            features = features[: FRAMES_PER_TOKEN * max_tokens]
        if len(features) <= WINDOW:
            return self._digits(self.hidden(features))
        drop = (WINDOW - WINDOW_STEP) // FRAMES_PER_TOKEN // 2
        begins = range(0, len(features), WINDOW_STEP)
        pieces = []
        for begin in begins:
            ids = self._digits(self.hidden(features[begin : begin + WINDOW]))
            pieces.append(ids[drop if begin else 0 : None if begin == begins[-1] else -drop])
        return np.concatenate(pieces)

    def hidden(self, features: Array) -> Array:
        """Returns what is quantized [tokens, digits]."""
        x = features
        for index in range(2):
            x = gelu(self.conv(f"speech_tokenizer.convs.{index}", x, pad=(1, 1), stride=2))
        for layer in range(self.model["layers"]):
            at = f"speech_tokenizer.layers.{layer}"
            y = self._attend(at, self.norm(f"{at}.self_norm", x))
            if not layer:
                self.stages["tok_attn0"] = y
            x = x + y
            y = self.matrix(f"{at}.ffn_in", self.norm(f"{at}.ffn_norm", x))
            x = x + self.matrix(f"{at}.ffn_out", gelu(y))
            if not layer:
                self.stages["tok_block0"] = x
        self.stages["tok_hidden"] = x
        self.stages["tok_down"] = self.matrix("speech_tokenizer.output", x)
        return self.stages["tok_down"]

    def _attend(self, at: str, x: Array) -> Array:
        heads = self.model["heads"]
        q, k, v = np.split(self.matrix(f"{at}.self_qkv", x), 3, 1)
        rotated = [self._rotated(in_heads(each, heads)) for each in (q, k)]
        taps = self.weights[f"{at}.memory"]
        half = len(taps) // 2
        padded = np.pad(v, ((half, half), (0, 0)))
        memory = v + sum(tap * padded[i : i + len(v)] for i, tap in enumerate(taps))
        return self.matrix(f"{at}.self_out", attention(*rotated, in_heads(v, heads))) + memory

    @staticmethod
    def _rotated(x: Array) -> Array:
        """x [heads, rows, columns], whose column i turns with that half a head further."""
        half = x.shape[2] // 2
        angle = np.arange(x.shape[1])[:, None] * 10000.0 ** (-np.arange(half) / half)
        a, b = x[..., :half], x[..., half:]
        cos, sin = np.cos(angle), np.sin(angle)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], 2)

    def _digits(self, x: Array) -> Array:
        digits = np.round(FSQ_SCALE * np.tanh(x)).astype(np.int64) + 1
        made: Array = digits @ self.model["levels"] ** np.arange(x.shape[1])
        return made


class VoiceEncoder(Part):
    """The voice encoder of one checkpoint."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "voice_encoder")

    def embed(self, samples: Array) -> Array:
        """samples at 16000 Hz to the speaker's embedding of T3, of length 1."""
        begin, end = trimmed(samples)
        features = voice_mel(samples[begin:end], self.model["mel_bins"])
        self.stages = {"ve_trim": np.array([begin, end]), "ve_mel": features}
        mean = np.array([self._partial(each) for each in partials(features)]).mean(0)
        made: Array = mean / np.linalg.norm(mean)
        return made

    def _partial(self, x: Array) -> Array:
        for layer in range(self.model["layers"]):
            x = self._lstm(f"voice_encoder.layers.{layer}", x)
        made = relu(self.matrix("voice_encoder.output", x[-1]))
        result: Array = made / np.linalg.norm(made)
        return result

    def _lstm(self, at: str, x: Array) -> Array:
        again = self.weights[f"{at}.again"].T
        inputs = x @ self.weights[f"{at}.in"].T + self.weights[f"{at}.bias"]
        hidden = cell = np.zeros(self.model["dim"])
        rows = []
        for row in inputs:
            i, f, g, o = np.split(row + hidden @ again, 4)
            cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
            hidden = sigmoid(o) * np.tanh(cell)
            rows.append(hidden)
        return np.array(rows)


def partials(features: Array) -> list[Array]:
    """Returns the windows of 160 frames that the voice encoder hears, of which the last one may be
    padded with zeros.
    """
    count, rest = divmod(max(len(features) - PARTIAL + PARTIAL_STEP, 0), PARTIAL_STEP)
    if count == 0 or (rest + PARTIAL - PARTIAL_STEP) / PARTIAL >= COVERAGE:
        count += 1
    length = PARTIAL + PARTIAL_STEP * (count - 1)
    padded = np.pad(features, ((0, max(0, length - len(features))), (0, 0)))
    return [padded[PARTIAL_STEP * i : PARTIAL_STEP * i + PARTIAL] for i in range(count)]


@dataclass(frozen=True)
class Heard:
    """What the flow takes of a recording."""

    prompt_tokens: Array
    prompt: Array
    embedding: Array


def hear(folder: Path, samples: Array, *, drops_odd_frame: bool = True) -> Heard:
    """Makes the flow's part of a voice of samples at 24000 Hz, up to 10 seconds.

    Args:
        folder: the checkpoint.
        samples: of one channel.
        drops_odd_frame: whether a frame behind those of the tokens is dropped; the original keeps
            it, and sounds lose 480 samples then.
    """
    mel = prompt_mel(samples)
    speech = resample(samples, RATE, SPEECH_RATE)
    tokens = SpeechTokenizer(folder).tokens(log_mel(speech))[: len(mel) // 2]
    if drops_odd_frame:
        mel = mel[: 2 * len(tokens)]
    return Heard(tokens, mel, SpeakerEncoder(folder).embed(filterbank(speech)))
