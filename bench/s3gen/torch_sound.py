"""S3Gen's network in plain PyTorch: what torch.compile gets to make fast on a GPU.

Tokens of several streams of one length to sound: token encoder, Euler steps of the estimator,
pitch, source and vocoder, over the tensors of a converted checkpoint. Both branches of guidance are
one batch; queries, keys and values are one product; attention is PyTorch's own function. What
repeats is a function of its own, whose weights are arguments, so that all blocks share what is
compiled.
The pitch and the source are float32 whatever the type of everything else, as they are in an engine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from bench.f5_peers.torch_flow import Prepare, plain
from ttsrt_rt.convert import open_weights

__all__ = ["TorchSound"]

Tensor: TypeAlias = torch.Tensor
Layer: TypeAlias = tuple[Tensor, ...]

_INNER_EPSILON = 1e-12  # of norms inside the encoder's blocks
_EPSILON = 1e-5
_PLAIN_FLOAT = ("vocoder.f0.", "vocoder.source")  # names of what stays float32


def norm(x: Tensor, scale: Tensor, bias: Tensor, epsilon: float = _EPSILON) -> Tensor:
    """Over the columns of rows [..., columns]."""
    return F.layer_norm(x, x.shape[-1:], scale, bias, epsilon)


def convolved(x: Tensor, weight: Tensor, bias: Tensor, before: int, dilation: int = 1) -> Tensor:
    """x [streams, rows, inputs]; zero rows in front, and behind as many as keep the rows."""
    behind = (weight.shape[2] - 1) * dilation - before
    rows = F.pad(x.transpose(1, 2), (before, behind))
    return F.conv1d(rows, weight, bias, dilation=dilation).transpose(1, 2)


def in_heads(x: Tensor, heads: int) -> Tensor:
    """x [streams, rows, heads * columns] to [streams, heads, rows, columns]."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def encoder_block(x: Tensor, known: Tensor, layer: Layer, heads: int) -> Tensor:
    """A block of the token encoder; `known` [2 * rows - 1, dim] stands for the distances."""
    (qkv, qkv_bias, distance, content_offset, distance_offset, out, out_bias) = layer[:7]
    (norm_1, norm_1_bias, norm_2, norm_2_bias, up, up_bias, down, down_bias) = layer[7:]
    rows = x.shape[1]
    made = F.linear(norm(x, norm_1, norm_1_bias, _INNER_EPSILON), qkv, qkv_bias)
    q, k, v = made.chunk(3, -1)
    places = F.linear(known, distance).unflatten(-1, (heads, -1)).transpose(0, 1)
    away = in_heads(q + distance_offset, heads) @ places.transpose(1, 2)
    away = F.pad(away, (1, 0)).view(*away.shape[:2], 2 * rows, rows)[:, :, 1:]
    away = away.reshape(*away.shape[:2], rows, 2 * rows - 1)[..., :rows]
    content = in_heads(q + content_offset, heads)
    scale = 1 / math.sqrt(content.shape[-1])
    mixed = F.scaled_dot_product_attention(
        content, in_heads(k, heads), in_heads(v, heads), attn_mask=away * scale
    )
    x = x + F.linear(mixed.transpose(1, 2).flatten(2), out, out_bias)
    hidden = F.silu(F.linear(norm(x, norm_2, norm_2_bias, _INNER_EPSILON), up, up_bias))
    return x + F.linear(hidden, down, down_bias)


def flow_stage(x: Tensor, time: Tensor, ends: Layer, layers: list[Layer], heads: int) -> Tensor:
    """A stage of the estimator: a residual block and blocks of attention."""
    (conv_1, bias_1, norm_1, norm_1_bias, conv_2, bias_2, norm_2, norm_2_bias) = ends[:8]
    (time_weight, time_bias, skip, skip_bias) = ends[8:]
    taps = conv_1.shape[2] - 1
    y = F.mish(norm(convolved(x, conv_1, bias_1, taps), norm_1, norm_1_bias))
    y = y + F.linear(F.mish(time), time_weight, time_bias)
    y = F.mish(norm(convolved(y, conv_2, bias_2, taps), norm_2, norm_2_bias))
    x = y + F.linear(x, skip, skip_bias)
    for qkv, out, out_bias, first, first_bias, second, second_bias, *ffn in layers:
        parts = F.linear(norm(x, first, first_bias), qkv).chunk(3, -1)
        mixed = F.scaled_dot_product_attention(*(in_heads(each, heads) for each in parts))
        x = x + F.linear(mixed.transpose(1, 2).flatten(2), out, out_bias)
        hidden = F.gelu(F.linear(norm(x, second, second_bias), ffn[0], ffn[1]))
        x = x + F.linear(hidden, ffn[2], ffn[3])
    return x


def snake(x: Tensor, alpha: Tensor) -> Tensor:
    """x [streams, columns, rows]."""
    alpha = alpha[:, None]
    return x + torch.sin(alpha * x) ** 2 / (alpha + 1e-9)


def hann(length: int) -> NDArray[np.float64]:
    """A periodic window."""
    made: NDArray[np.float64] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    return made


class TorchSound:
    """The network, and a request of so many streams, which are alike.

    Args:
        checkpoint: A converted S3Gen.
        tokens: int32 [tokens], with what is appended to them.
        voice: `embedding`, `prompt_token` and `prompt_feat`, as `add_voice` takes them.
        noise: Where the flow begins, float32 [frames, mel_bins], the prompt's included.
        streams: How many run as one batch.
        device: Where it runs.
        dtype: Of weights and activations, "float32" or "bfloat16".
        prepare: What is done to the functions that repeat.
    """

    def __init__(
        self,
        checkpoint: Path,
        tokens: NDArray[np.int32],
        voice: dict[str, Any],
        noise: NDArray[np.float32],
        *,
        streams: int,
        device: str,
        dtype: str,
        prepare: Prepare = plain,
    ):
        config = json.loads((checkpoint / "config.json").read_text("utf-8"))
        self._model, self._rate = config["model"], config["model"]["sample_rate"]
        self._steps, self._guidance = config["defaults"]["steps"], config["defaults"]["guidance"]
        self._streams, self._device, self._dtype = streams, device, getattr(torch, dtype)
        with open_weights(checkpoint / "model.safetensors") as weights:
            self._weights = {
                name: self._tensor(weights[name].read().copy(), name.startswith(_PLAIN_FLOAT))
                for name in weights
                if not name.startswith(("voice", "speaker_encoder", "tokenizer"))
            }
        self._block, self._stage = prepare(encoder_block), prepare(flow_stage)
        self._vocode = prepare(self._network)
        ids = np.concatenate([voice["prompt_token"], tokens]).astype(np.int64)
        self._ids = torch.from_numpy(ids).to(device).expand(streams, -1)
        self._prompt = self._tensor(voice["prompt_feat"])
        embedding = voice["embedding"] / max(float(np.linalg.norm(voice["embedding"])), 1e-12)
        self._embedding = self._tensor(embedding[None])
        self._noise = self._tensor(noise, is_float=True)
        self._prepare_vocoder(len(noise) - len(self._prompt))
        with torch.inference_mode():
            self._moments = self._times()
            self._distances = [self._known(len(ids)), self._known(2 * len(ids))]
            self._flow_layers = [self._stage_layers(i) for i in range(self._num_stages)]

    def _tensor(self, values: NDArray[Any], is_float: bool = False) -> Tensor:
        return torch.from_numpy(values).to(self._device, torch.float32 if is_float else self._dtype)

    def _linear(self, name: str) -> tuple[Tensor, Tensor]:
        return self._weights[name], self._weights[f"{name}_bias"]

    # --- the token encoder ----------------------------------------------------------------------

    def _known(self, rows: int) -> Tensor:
        dim = self._model["flow"]["dim"]
        delta = np.arange(rows - 1, -rows, -1)[:, None]
        angle = delta * 10000.0 ** (-np.arange(0, dim, 2) / dim)
        made = np.empty((2 * rows - 1, dim))
        made[:, 0::2], made[:, 1::2] = np.sin(angle), np.cos(angle)
        return self._tensor(made)

    def _encoder_layer(self, at: str) -> Layer:
        offsets = (f"{at}.distance", f"{at}.content_offset", f"{at}.distance_offset")
        parts = (f"{at}.self_norm", f"{at}.ffn_norm", f"{at}.ffn_in", f"{at}.ffn_out")
        more: Layer = sum((self._linear(part) for part in parts), ())
        given = tuple(
            self._weights[each].flatten() if "offset" in each else self._weights[each]
            for each in offsets
        )
        return (*self._linear(f"{at}.self_qkv"), *given, *self._linear(f"{at}.self_out"), *more)

    def _entered(self, name: str, x: Tensor) -> Tensor:
        made = norm(F.linear(x, *self._linear(name)), *self._linear(f"{name}_norm"))
        return made * math.sqrt(self._model["flow"]["dim"])

    def encode(self) -> Tensor:
        """The frames of the tokens [streams, frames, mel_bins]."""
        model = self._model["flow"]
        x = self._entered("encoder.input", self._weights["token_embedding"][self._ids])
        y = F.leaky_relu(convolved(x, *self._linear("encoder.lookahead.0"), 0), 0.01)
        last = self._linear("encoder.lookahead.1")
        x = x + convolved(y, *last, last[0].shape[2] - 1)
        for layer in range(model["layers"]):
            weights = self._encoder_layer(f"encoder.layers.{layer}")
            x = self._block(x, self._distances[0], weights, model["heads"])
        up = self._linear("encoder.upsampling")
        x = convolved(x.repeat_interleave(model["upsampling"], 1), *up, up[0].shape[2] - 1)
        x = self._entered("encoder.up_input", x)
        for layer in range(model["up_layers"]):
            weights = self._encoder_layer(f"encoder.up_layers.{layer}")
            x = self._block(x, self._distances[1], weights, model["heads"])
        x = norm(x, *self._linear("encoder.norm_out"))
        return F.linear(x, *self._linear("encoder.output"))

    # --- the flow -------------------------------------------------------------------------------

    @property
    def _num_stages(self) -> int:
        return int(self._model["flow"]["estimator"]["mid_stages"]) + 2

    def _times(self) -> list[tuple[Tensor, float]]:
        """What the estimator is told of each step, and how long it is."""
        grid = np.linspace(0, 1, self._steps + 1, dtype=np.float32)
        is_guided = self._model["flow"]["kind"] == "cfm"
        if is_guided:
            grid = (1 - np.cos(grid * np.float32(0.5 * np.pi))).astype(np.float32)
        half = 2 * self._model["flow"]["mel_bins"]
        rates = np.exp(-np.arange(half) * (math.log(10000) / (half - 1)))
        found = []
        for begin, end in pairwise(grid):
            moments = []
            for at in (begin, end):
                angle = 1000.0 * float(at) * rates
                waves = self._tensor(np.concatenate([np.sin(angle), np.cos(angle)]))
                hidden = F.silu(F.linear(waves, *self._linear("flow.time.in")))
                moments.append(F.linear(hidden, *self._linear("flow.time.out")))
            time = moments[0]
            if not is_guided:
                time = F.linear(torch.cat(moments), self._weights["flow.time.mixer"])
            found.append((time, float(end - begin)))
        return found

    def _stage_layers(self, stage: int) -> tuple[Layer, list[Layer]]:
        at = f"flow.stages.{stage}"
        names = (f"{at}.in", f"{at}.in_norm", f"{at}.out", f"{at}.out_norm")
        ends: Layer = sum((self._linear(name) for name in (*names, f"{at}.time", f"{at}.skip")), ())
        layers = []
        for layer in range(self._model["flow"]["estimator"]["layers"]):
            block = f"{at}.layers.{layer}"
            parts = ("self_out", "self_norm", "ffn_norm", "ffn_in", "ffn_out")
            rest: Layer = sum((self._linear(f"{block}.{part}") for part in parts), ())
            layers.append((self._weights[f"{block}.self_qkv"], *rest))
        return ends, layers

    def _velocity(self, rows: Tensor, time: Tensor) -> Tensor:
        heads = self._model["flow"]["estimator"]["heads"]
        stages = self._flow_layers
        x = skip = self._stage(rows, time, *stages[0], heads)
        down = self._linear("flow.down")
        taps = down[0].shape[2] - 1
        x = convolved(x, *down, taps)
        for stage in stages[1:-1]:
            x = self._stage(x, time, *stage, heads)
        x = self._stage(torch.cat([x, skip], -1), time, *stages[-1], heads)
        x = convolved(x, *self._linear("flow.up"), taps)
        final = convolved(x, *self._linear("flow.final"), taps)
        x = F.mish(norm(final, *self._linear("flow.final_norm")))
        return F.linear(x, *self._linear("flow.output"))

    def spectrogram(self) -> Tensor:
        """The new frames, float32 [streams, frames, mel_bins]."""
        mu = self.encode()
        condition = torch.zeros_like(mu)
        condition[:, : len(self._prompt)] = self._prompt
        speaker = F.linear(self._embedding, *self._linear("speaker")).expand_as(mu)
        told = torch.cat([mu, speaker, condition], -1)
        if self._guidance:
            told = torch.cat([told, torch.zeros_like(told)])
        z = self._noise.expand(self._streams, -1, -1)
        for time, step in self._moments:
            begin = z.to(self._dtype)
            rows = torch.cat([begin, begin] if self._guidance else [begin])
            v = self._velocity(torch.cat([rows, told], -1), time).float()
            if self._guidance:
                v = (1 + self._guidance) * v[: self._streams] - self._guidance * v[self._streams :]
            z = z + step * v
        return z[:, len(self._prompt) :]

    # --- the vocoder ----------------------------------------------------------------------------

    def _prepare_vocoder(self, frames: int) -> None:
        """Random numbers, and both transforms as convolutions."""
        model = self._model["vocoder"]
        n_fft, hop = model["n_fft"], model["hop"]
        self._frame = math.prod(model["rates"]) * hop
        random = np.random.default_rng(5)
        harmonics = self._weights["vocoder.source"].numel()
        phases = random.uniform(-np.pi, np.pi, harmonics)
        phases[0] = 0
        self._phases = self._tensor(phases, is_float=True)
        self._draws = self._tensor(random.normal(size=frames * self._frame), is_float=True)
        bins = np.arange(n_fft // 2 + 1)[:, None]
        angle = 2 * np.pi * bins * np.arange(n_fft) / n_fft
        window = hann(n_fft)
        forward = np.concatenate([np.cos(angle), -np.sin(angle)]) * window
        twice = np.where((bins == 0) | (bins == n_fft // 2), 1.0, 2.0) / n_fft
        inverse = np.concatenate([twice * np.cos(angle), -twice * np.sin(angle)]) * window
        self._transform = self._tensor(forward[:, None], is_float=True)
        self._inverse = self._tensor(inverse[:, None], is_float=True)
        count = frames * self._frame // hop + 1
        squares = np.zeros((count - 1) * hop + n_fft)
        for place in range(count):
            squares[place * hop : place * hop + n_fft] += window**2
        self._squares = self._tensor(squares[n_fft // 2 : -(n_fft // 2)], is_float=True)
        fade = np.ones(frames * self._frame)
        rise = (np.cos(np.linspace(np.pi, 0, 480)) + 1) / 2
        fade[:960] = np.concatenate([np.zeros(480), rise])[: len(fade)]
        self._fade = self._tensor(fade, is_float=True)

    def _source(self, mel: Tensor) -> Tensor:
        """The source [streams, 1, samples] of a spectrogram."""
        x = mel
        for layer in range(self._model["vocoder"]["f0_layers"]):
            x = F.elu(convolved(x, *self._linear(f"vocoder.f0.layers.{layer}"), 1))
        pitch = F.linear(x, *self._linear("vocoder.f0.output"))[..., 0].abs()
        step = pitch.double() / self._rate
        begins = torch.cumsum(step * self._frame, 1) - step * self._frame
        inside = torch.arange(1, self._frame + 1, device=mel.device)
        cycles = ((begins % 1)[..., None] + step[..., None] * inside).flatten(1)
        weight = self._weights["vocoder.source"].flatten()
        order = torch.arange(1, len(weight) + 1, device=mel.device)[:, None]
        turns = ((order * cycles[:, None]) % 1).float()
        sines = 0.1 * torch.sin(2 * math.pi * turns + self._phases[:, None])
        voiced = (pitch > 10).repeat_interleave(self._frame, 1)
        amplitude = torch.where(voiced, 0.003, 0.1 / 3) * weight.norm()
        total = (weight[:, None] * sines).sum(1) * voiced + amplitude * self._draws
        return torch.tanh(total + self._weights["vocoder.source_bias"])[:, None]

    def _chain(self, name: str, x: Tensor) -> Tensor:
        for block, dilation in enumerate(self._model["vocoder"]["dilations"]):
            y = x
            for part, apart in (("in", dilation), ("out", 1)):
                at = f"{name}.blocks.{block}.{part}"
                weight, bias = self._linear(at)
                edge = (weight.shape[2] - 1) * apart // 2
                y = snake(y, self._weights[f"{at}_alpha"])
                y = F.conv1d(y, weight, bias, padding=edge, dilation=apart)
            x = x + y
        return x

    def _network(self, mel: Tensor) -> Tensor:
        """A spectrogram, float32 [streams, frames, mel_bins], to sound [streams, samples]."""
        model = self._model["vocoder"]
        n_fft, hop, rates = model["n_fft"], model["hop"], model["rates"]
        source = F.pad(self._source(mel), (n_fft // 2, n_fft // 2), mode="reflect")
        harmonics = F.conv1d(source, self._transform, stride=hop).to(self._dtype)
        x = convolved(mel.to(self._dtype), *self._linear("vocoder.pre"), 3).transpose(1, 2)
        for stage, rate in enumerate(rates):
            at = f"vocoder.stages.{stage}"
            weight, bias = self._linear(f"{at}.up")
            edge = (weight.shape[2] - rate) // 2
            x = F.leaky_relu(x, 0.1)
            x = F.conv_transpose1d(x, weight, bias, stride=rate, padding=edge)
            if stage == len(rates) - 1:
                x = torch.cat([x[..., 1:2], x], -1)
            stride = math.prod(rates[stage + 1 :])
            y = F.conv1d(
                harmonics, *self._linear(f"{at}.source"), stride=stride, padding=stride // 2
            )
            x = x + self._chain(f"{at}.source_chain", y)
            count = len(model["chain_kernels"])
            chains = [self._chain(f"{at}.chains.{chain}", x) for chain in range(count)]
            x = torch.stack(chains).sum(0) / count
        x = F.conv1d(F.leaky_relu(x, 0.01), *self._linear("vocoder.post"), padding=3).float()
        bins = n_fft // 2 + 1
        magnitude, angle = torch.exp(x[:, :bins]).clamp(max=100), torch.sin(x[:, bins:])
        spectrum = torch.cat([magnitude * torch.cos(angle), magnitude * torch.sin(angle)], 1)
        sound = F.conv_transpose1d(spectrum, self._inverse, stride=hop)[:, 0]
        sound = sound[:, n_fft // 2 : -(n_fft // 2)] / self._squares
        return sound.clamp(-0.99, 0.99) * self._fade

    def speak(self) -> Tensor:
        """The sounds, float32 [streams, samples]."""
        made: Tensor = self._vocode(self.spectrogram())
        return made

    def run(self, what: Callable[[], Tensor]) -> NDArray[np.float32]:
        """What a method of this gives, on the host."""
        with torch.inference_mode():
            found: NDArray[np.float32] = what().float().cpu().numpy()
        return found
