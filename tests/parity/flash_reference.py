"""Chatterbox-Flash's generation in NumPy, float32 weights in and float64 arithmetic: the oracle of
our runs on random models, and itself compared with tokens of the original package.

Tensors have the original's names. The draws take our counter-based numbers (rules/philox.h), so
that runs with a temperature and with noise can be compared too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Tokens = NDArray[np.int64]

BOS, EOS = 6561, 6562
CODE_DRAW, NOISE_DRAW = 0, 2  # rules::DrawKind
FLOOR = 1e-8  # of probabilities in scores
GUMBEL_FLOOR = 1e-10
MASK64 = (1 << 64) - 1


@dataclass(frozen=True)
class FlashOptions:
    """One run. `noise` scales the Gumbel noise of positions; 0 is none."""

    frames: int
    steps: int = 10
    block: int = 16
    weight: float = 1.0
    temperature: float = 0.0
    noise: float = 0.0
    early: float = 0.1
    shift: float = 0.5
    seed: int = 0
    eos: int = EOS


@dataclass
class FlashRun:
    """What a run gave: its tokens up to the end of speech, and how many passes each block took."""

    tokens: list[int] = field(default_factory=list)
    passes: list[int] = field(default_factory=list)
    logits: list[Array] = field(default_factory=list)  # of the first pass, by branch


def philox(seed: int, step: int, place: int, step_pass: int, kind: int) -> float:
    """A number in [0, 1), as rules::uniform makes it."""
    counter = [int(value) & 0xFFFFFFFF for value in (step, place, step_pass, kind)]
    key = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF]
    for _ in range(10):
        a, b = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [
            (b >> 32) ^ counter[1] ^ key[0],
            b & 0xFFFFFFFF,
            (a >> 32) ^ counter[3] ^ key[1],
            a & 0xFFFFFFFF,
        ]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return (counter[0] >> 8) / (1 << 24)


def log_softmax(logits: Array) -> Array:
    shifted = logits - logits.max(-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(-1, keepdims=True)))


def softmax(logits: Array) -> Array:
    return np.asarray(np.exp(log_softmax(logits)))


class FlashModel:
    """The network. `tensors` have the original's names; heads have `head_dim` dimensions."""

    def __init__(self, tensors: Mapping[str, NDArray[np.float32]], head_dim: int) -> None:
        self.tensors = {name: np.asarray(of, np.float64) for name, of in tensors.items()}
        self.head_dim = head_dim
        self.mask = len(self.tensors["speech_emb.weight"]) - 1
        self.layers = 1 + max(
            int(name.split(".")[2]) for name in tensors if name.startswith("tfmr.layers.")
        )
        self._frequencies = self._llama3_frequencies()

    def _llama3_frequencies(self) -> Array:
        pairs = np.arange(0, self.head_dim, 2) / self.head_dim
        plain = 500_000.0**-pairs
        smooth = (8192 * plain / (2 * np.pi) - 1.0) / (4.0 - 1.0)
        mixed = (1 - smooth) * plain / 8 + smooth * plain
        return np.asarray(np.where(smooth > 1, plain, np.where(smooth < 0, plain / 8, mixed)))

    def speech(self, ids: Sequence[int] | Tokens) -> Array:
        """Rows of speech tokens, with positions from 0 on."""
        rows = self.tensors["speech_emb.weight"][np.asarray(ids)]
        return np.asarray(rows + self.tensors["speech_pos_emb.emb.weight"][: len(ids)])

    def text(self, ids: Sequence[int]) -> Array:
        rows = self.tensors["text_emb.weight"][np.asarray(ids)]
        return np.asarray(rows + self.tensors["text_pos_emb.emb.weight"][: len(ids)])

    def logits(self, hidden: Array) -> Array:
        return np.asarray(hidden @ self.tensors["speech_head.weight"].T)

    def _norm(self, x: Array, name: str) -> Array:
        scale = np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
        return np.asarray(x / scale * self.tensors[f"{name}.weight"])

    def _turn(self, x: Array, first: int) -> Array:
        """x [rows, heads, head_dim] at positions first, first + 1, ..."""
        angles = (first + np.arange(len(x)))[:, None, None] * self._frequencies
        a, b = np.split(x, 2, axis=-1)
        cos, sin = np.cos(angles), np.sin(angles)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def run(
        self, x: Array, cache: list[tuple[Array, Array]], is_causal: bool
    ) -> tuple[Array, list[tuple[Array, Array]]]:
        """Rows behind those in the cache: their hidden states, and the cache with them."""
        grown = []
        for layer in range(self.layers):
            base = f"tfmr.layers.{layer}"
            normed = self._norm(x, f"{base}.input_layernorm")
            before = len(cache[layer][0]) if cache else 0
            q, k, v = (
                (normed @ self.tensors[f"{base}.self_attn.{name}_proj.weight"].T).reshape(
                    len(x), -1, self.head_dim
                )
                for name in "qkv"
            )
            q, k = self._turn(q, before), self._turn(k, before)
            if cache:
                k, v = np.concatenate([cache[layer][0], k]), np.concatenate([cache[layer][1], v])
            grown.append((k, v))
            scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(self.head_dim)
            if is_causal:
                hidden = np.arange(len(k)) > before + np.arange(len(x))[:, None]
                scores = np.where(hidden, -np.inf, scores)
            attended = np.einsum("hqk,khd->qhd", softmax(scores), v).reshape(len(x), -1)
            x = x + attended @ self.tensors[f"{base}.self_attn.o_proj.weight"].T
            normed = self._norm(x, f"{base}.post_attention_layernorm")
            gate = normed @ self.tensors[f"{base}.mlp.gate_proj.weight"].T
            up = normed @ self.tensors[f"{base}.mlp.up_proj.weight"].T
            x = (
                x
                + (gate / (1 + np.exp(-gate)) * up) @ self.tensors[f"{base}.mlp.down_proj.weight"].T
            )
        return self._norm(x, "tfmr.norm"), grown

    def prior(self, block: int) -> Array:
        """Mean probabilities of the bare input [BOS, MASK, ...]: causal, positions from 0 on."""
        hidden, _ = self.run(self.speech([BOS] + [self.mask] * (block - 1)), [], True)
        return np.asarray(softmax(self.logits(hidden)).mean(0))


def schedule(count: int, steps: int, shift: float) -> list[int]:
    """How many positions each step unmasks at least."""
    counts: list[int] = []
    for step in range(steps - 1):
        part = (step + 1) / steps
        target = round(count * (shift * part / (1 + (shift - 1) * part)))
        counts.append(min(max(0, target - sum(counts)), count - sum(counts)))
    return [*counts, count - sum(counts)]


def scores_of(probabilities: list[Array], prior: Array, drawn: Tokens, weight: float) -> Array:
    """How much more likely each position's token is than without any context."""
    rows = np.arange(len(drawn))
    base = np.log(np.maximum(prior[drawn], FLOOR))
    plain = [np.log(np.maximum(of[rows, drawn], FLOOR)) - base for of in probabilities]
    if len(plain) == 1:
        return plain[0]
    return np.asarray((1 + weight) * plain[0] - weight * plain[1])


def unmask(
    logits: list[Array],
    tokens: Tokens,
    mask: int,
    prior: Array,
    options: FlashOptions,
    at: tuple[int, int],
) -> Tokens:
    """One step: the tokens of a block after it. `at` is (block, step)."""
    block, step = at
    logs = [log_softmax(each) for each in logits]
    guided = logs[0] if len(logs) == 1 else logs[0] + options.weight * (logs[0] - logs[1])
    places = np.arange(len(tokens))
    if options.temperature > 0:
        sums = np.cumsum(softmax(guided / options.temperature), -1)
        numbers = np.array([philox(options.seed, block, i, step, CODE_DRAW) for i in places])
        drawn = (sums > numbers[:, None] * sums[:, -1:]).argmax(-1)
    else:
        drawn = guided.argmax(-1)
    scores = scores_of([np.exp(each) for each in logs], prior, drawn, options.weight)
    masked = np.flatnonzero(tokens == mask)
    if options.noise > 0:
        numbers = np.array([philox(options.seed, block, i, step, NOISE_DRAW) for i in places])
        noise = -np.log(-np.log(numbers + GUMBEL_FLOOR) + GUMBEL_FLOOR)
        scores = scores + options.noise * noise
    chosen = masked
    if step < options.steps - 1:
        count = schedule(len(tokens), options.steps, options.shift)[step]
        if options.early > 0:
            share = max(0.0, 1.0 - options.early * (step + 1) / options.steps)
            threshold = np.quantile(scores[masked], share)
            count = max(count, int((scores[masked] >= threshold - 1e-9).sum()))
        ranked = masked[np.argsort(-scores[masked], kind="stable")]
        chosen = ranked[: min(count, len(masked))]
    unmasked = tokens.copy()
    unmasked[chosen] = drawn[chosen]
    return unmasked


def generate(
    model: FlashModel, prefix: Array, text: Sequence[int], options: FlashOptions
) -> FlashRun:
    """Runs blocks until one holds the end of speech, or for so many frames."""
    rows = np.concatenate([prefix, model.text(text)])
    inputs = [rows, np.zeros_like(rows)] if options.weight > 0 else [rows]
    prior = model.prior(options.block)
    caches, context = [], []
    for each in inputs:
        hidden, cache = model.run(np.concatenate([each, model.speech([BOS])]), [], True)
        caches.append(cache)
        context.append(hidden[-1:])
    run = FlashRun()
    for block, begin in enumerate(range(0, options.frames, options.block)):
        tokens = np.full(min(options.block, options.frames - begin), model.mask, np.int64)
        for step in range(options.steps):
            rows = model.speech(tokens)
            logits = []
            for branch, cache in enumerate(caches):
                hidden, _ = model.run(rows, cache, False)
                logits.append(model.logits(np.concatenate([context[branch], hidden[:-1]])))
            run.logits = run.logits or logits
            tokens = unmask(logits, tokens, model.mask, prior, options, (block, step))
            if model.mask not in tokens or options.eos in tokens:
                break
        run.passes.append(step + 1)
        if options.eos in tokens:
            run.tokens += tokens[: int((tokens == options.eos).argmax())].tolist()
            return run
        run.tokens += tokens.tolist()
        for branch, cache in enumerate(caches):
            hidden, caches[branch] = model.run(model.speech(tokens), cache, False)
            context[branch] = hidden[-1:]
    return run
