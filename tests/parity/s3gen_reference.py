"""S3Gen's flow in NumPy, from the formulas: tokens to a spectrogram, over a converted checkpoint.

Differs from the original in nothing but rounding. Every request is computed alone. The sines of the
estimator's time have arguments up to 1000, which makes the rounding of their arguments visible:
times and frequencies are rounded to float32 where the original rounds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from .f5_reference import gelu, mish, silu
from .s3gen_ops import Array, Part, attention, in_heads, leaky

INNER_EPSILON = 1e-12  # of the norms inside the encoder's blocks
LOOKAHEAD_SLOPE = 0.01


def distances(rows: int, dim: int) -> Array:
    """Returns what stands for the distances rows - 1 to -(rows - 1) of a query behind a key,
    [2 * rows - 1, dim]: sines in even columns, cosines in odd ones.
    """
    delta = np.arange(rows - 1, -rows, -1)[:, None]
    angle = delta * 10000.0 ** (-np.arange(0, dim, 2) / dim)
    made = np.empty((2 * rows - 1, dim))
    made[:, 0::2], made[:, 1::2] = np.sin(angle), np.cos(angle)
    return made


def times(steps: int, *, is_cosine: bool) -> Array:
    """Returns the grid from 0 to 1, [steps + 1], float32."""
    grid = np.linspace(0, 1, steps + 1, dtype=np.float32)
    if is_cosine:
        angle = (grid * np.float32(0.5) * np.float32(np.pi)).astype(np.float64)
        grid = np.float32(1) - np.cos(angle).astype(np.float32)
    return grid


class Flow(Part):
    """Token encoder and estimator of one checkpoint."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "flow")
        self.inner = self.model["estimator"]

    def encode(self, ids: Array) -> Array:
        """ids [tokens] to mu [frames, mel_bins]."""
        model = self.model
        x = self._embedded("encoder.input", self.weights["token_embedding"][ids])
        self.stages["embed"] = x
        y = self.conv("encoder.lookahead.0", x, pad=(0, model["lookahead"]))
        x = x + self.causal("encoder.lookahead.1", leaky(y, LOOKAHEAD_SLOPE))
        self.stages["lookahead"] = x
        x = self._blocks("encoder.layers", x, model["layers"], "encoder")
        x = self.causal("encoder.upsampling", np.repeat(x, model["upsampling"], 0))
        self.stages["upsampled"] = x
        x = self._embedded("encoder.up_input", x)
        self.stages["up_embed"] = x
        x = self._blocks("encoder.up_layers", x, model["up_layers"], "up_encoder")
        x = self.norm("encoder.norm_out", x)
        self.stages["after_norm"] = x
        self.stages["mu"] = self.matrix("encoder.output", x)
        return self.stages["mu"]

    def _embedded(self, name: str, x: Array) -> Array:
        made: Array = self.norm(f"{name}_norm", self.matrix(name, x)) * np.sqrt(self.model["dim"])
        return made

    def _blocks(self, name: str, x: Array, layers: int, stage: str) -> Array:
        known = distances(len(x), self.model["dim"])
        for layer in range(layers):
            at = f"{name}.{layer}"
            x = x + self._relative(at, self.norm(f"{at}.self_norm", x, INNER_EPSILON), known)
            y = self.norm(f"{at}.ffn_norm", x, INNER_EPSILON)
            x = x + self.matrix(f"{at}.ffn_out", silu(self.matrix(f"{at}.ffn_in", y)))
            self.stages[f"{stage}_{layer}"] = x
        return x

    def _relative(self, at: str, x: Array, known: Array) -> Array:
        """Attention whose scores also depend on how far the query is behind the key."""
        heads, rows = self.model["heads"], len(x)
        q, k, v = np.split(self.matrix(f"{at}.self_qkv", x), 3, 1)
        p = in_heads(known @ self.weights[f"{at}.distance"].T, heads)
        content = in_heads(q + self.weights[f"{at}.content_offset"], heads)
        away = in_heads(q + self.weights[f"{at}.distance_offset"], heads) @ p.transpose(0, 2, 1)
        index = rows - 1 - (np.arange(rows)[:, None] - np.arange(rows)[None])
        more = np.take_along_axis(away, np.broadcast_to(index, (heads, rows, rows)), 2)
        mixed = attention(content, in_heads(k, heads), in_heads(v, heads), more)
        return self.matrix(f"{at}.self_out", mixed)

    def speaker(self, embedding: Array) -> Array:
        """embedding [speaker_dim] to [mel_bins]."""
        unit = embedding / max(float(np.linalg.norm(embedding)), 1e-12)
        self.stages["spk"] = self.matrix("speaker", unit[None])[0]
        return self.stages["spk"]

    def time(self, begin: float, end: float) -> Array:
        """Returns what the estimator is told of a step [time_dim]."""
        made = self.moment(begin)
        if self.model["kind"] == "meanflow":
            made = self.matrix("flow.time.mixer", np.concatenate([made, self.moment(end)]))
        return made

    def moment(self, at: float) -> Array:
        """Returns what stands for one moment [time_dim]."""
        half = 2 * self.model["mel_bins"]
        factor = np.float32(np.log(10000) / (half - 1))
        exponents = (np.arange(half, dtype=np.float32) * -factor).astype(np.float64)
        frequencies = np.exp(exponents).astype(np.float32)
        angle = (np.float32(1000) * np.float32(at) * frequencies).astype(np.float64)
        waves = np.concatenate([np.sin(angle), np.cos(angle)])
        return self.matrix("flow.time.out", silu(self.matrix("flow.time.in", waves)))

    def velocity(self, rows: Array, time: Array) -> Array:
        """One evaluation: rows [frames, 4 * mel_bins] to [frames, mel_bins]."""
        last = self.inner["mid_stages"] + 1
        x = self._stage(0, rows, time)
        skip = x
        x = self.causal("flow.down", x)
        for stage in range(1, last):
            x = self._stage(stage, x, time)
        x = self._stage(last, np.concatenate([x, skip], 1), time)
        x = self._block("flow.final", self.causal("flow.up", x))
        self.stages["final_block"] = x
        return self.matrix("flow.output", x)

    def _block(self, name: str, x: Array) -> Array:
        return mish(self.norm(f"{name}_norm", self.causal(name, x)))

    def _stage(self, stage: int, x: Array, time: Array) -> Array:
        at, heads = f"flow.stages.{stage}", self.inner["heads"]
        y = self._block(f"{at}.in", x) + self.matrix(f"{at}.time", mish(time))
        x = self._block(f"{at}.out", y) + self.matrix(f"{at}.skip", x)
        self.stages[f"resnet_{stage}"] = x
        for layer in range(self.inner["layers"]):
            block = f"{at}.layers.{layer}"
            qkv = self.matrix(f"{block}.self_qkv", self.norm(f"{block}.self_norm", x))
            q, k, v = (in_heads(each, heads) for each in np.split(qkv, 3, 1))
            x = x + self.matrix(f"{block}.self_out", attention(q, k, v))
            y = self.matrix(f"{block}.ffn_in", self.norm(f"{block}.ffn_norm", x))
            x = x + self.matrix(f"{block}.ffn_out", gelu(y))
            self.stages[f"block_{stage}_{layer}"] = x
        return x

    def solve(
        self,
        tokens: Array,
        prompt_tokens: Array,
        prompt: Array,
        embedding: Array,
        noise: Array,
        *,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Array:
        """Returns the frames behind those of the prompt.

        Args:
            tokens, prompt_tokens: ids; the prompt may be empty.
            prompt: its spectrogram [prompt frames, mel_bins]: two frames for each of its tokens, or
                one more.
            embedding: of the speaker [speaker_dim].
            noise: where the flow begins [frames, mel_bins], the prompt's frames included.
            steps, guidance: None: the checkpoint's.
        """
        steps = self.defaults["steps"] if steps is None else steps
        guidance = self.defaults["guidance"] if guidance is None else guidance
        mu = self.encode(np.concatenate([prompt_tokens, tokens]).astype(np.int64))
        cond = np.zeros_like(mu)
        cond[: len(prompt)] = prompt
        speaker = np.tile(self.speaker(embedding), (len(mu), 1))
        told = np.concatenate([mu, speaker, cond], 1)
        z = np.asarray(noise, np.float64)
        self.velocities: list[list[Array]] = []
        self.first: list[dict[str, Array]] = []
        for begin, end in pairwise(times(steps, is_cosine=self.model["kind"] == "cfm")):
            time = self.time(begin, end)
            rows = [told] if guidance == 0 else [told, np.zeros_like(told)]
            branches = []
            for row in rows:
                branches.append(self.velocity(np.concatenate([z, row], 1), time))
                if not self.velocities:
                    self.first.append(dict(self.stages))
            self.velocities.append(branches)
            v = branches[0]
            if guidance:
                v = (1 + guidance) * branches[0] - guidance * branches[1]
            z = z + float(np.float32(end) - np.float32(begin)) * v
        return z[len(prompt) :]

    def solve_in_chunks(
        self,
        tokens: Array,
        prompt_tokens: Array,
        prompt: Array,
        embedding: Array,
        noise: Array,
        ends: Sequence[int],
    ) -> Array:
        """Returns the frames that a schedule freezes: those of tokens up to each of `ends`, from a
        solve that sees `lookahead` tokens more. Noise belongs to its frame, whatever is solved.
        """
        ratio, ahead = self.model["upsampling"], self.model["lookahead"]
        shift = ratio * len(prompt_tokens) - len(prompt)  # -1 where the prompt has a frame more
        pieces, done = [], 0
        for end in ends:
            seen = min(end + ahead, len(tokens))
            frames = ratio * (len(prompt_tokens) + seen)
            mel = self.solve(tokens[:seen], prompt_tokens, prompt, embedding, noise[:frames])
            pieces.append(mel[max(0, ratio * done + shift) : ratio * end + shift])
            done = end
        return np.concatenate(pieces)
