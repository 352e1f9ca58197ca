"""Measures how far engines are from a reference: texts, probabilities, and perplexity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quality.bleu import corpus_bleu, has_bleu
from ttsrt_rt.quality.compare import Forced, Forcing, prefix_share, windows_of
from ttsrt_rt.quality.sources import Source

__all__ = ["GATES", "EngineQuality", "QualityOptions", "gate_of", "measure_quality", "perplexity"]

# The most that a perplexity may grow, by what is quantized; what isn't named has no gate.
# 4 bits have one where AWQ chose them: large models of these lose less by them.
GATES = {"w8a16": 0.005, "int8 cache": 0.003, "awq": 0.08, "large awq": 0.04}
REMEDY = (
    "use a higher precision, smaller groups (group_size 32), lm_head none, more calibration "
    "samples for AWQ, or a cache of the engine's type"
)


@dataclass(frozen=True)
class QualityOptions:
    """What is compared.

    Attributes:
        max_tokens: ids that are generated for each prompt.
        max_len, stride: windows of the text for perplexity; 0 for the longest that all take.
    """

    max_tokens: int = 64
    max_len: int = 0
    stride: int = 0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: one is out of its bounds.
        """
        for name, low in (("max_tokens", 1), ("max_len", 0), ("stride", 0)):
            value = getattr(self, name)
            if not low <= value <= 1 << 20:
                raise ConfigError(f"{name}: expected {low}..{1 << 20}, got {value}")


@dataclass(frozen=True)
class EngineQuality:
    """One engine against the reference.

    Attributes:
        name, quantization: of the engine.
        bleu: of its greedy texts, 0..1; None without sacrebleu or a tokenizer.
        prefix_mean, prefix_median: the part of a text before its first different id.
        equal_texts: the part of texts whose ids are all equal.
        forced: teacher-forced distances on the reference's texts.
        perplexity, reference_perplexity: of the text; None without one.
    """

    name: str
    quantization: str
    bleu: float | None
    prefix_mean: float
    prefix_median: float
    equal_texts: float
    forced: Forced
    perplexity: float | None = None
    reference_perplexity: float | None = None

    @property
    def growth(self) -> float | None:
        """By which part the perplexity is larger than the reference's."""
        if self.perplexity is None or not self.reference_perplexity:
            return None
        return self.perplexity / self.reference_perplexity - 1

    @property
    def is_within_gate(self) -> bool:
        """Whether the perplexity grew no more than its gate allows."""
        gate = gate_of(self.quantization)
        return gate is None or self.growth is None or self.growth <= gate


def gate_of(quantization: str) -> float | None:
    """The most by which a perplexity may grow; None for what has no gate."""
    words = quantization.split(", ")
    found = [GATES[word] for word in words if word in GATES]
    is_gated = bool(found) and ("awq" in quantization or not quantization.startswith("w4"))
    return max(found) if is_gated else None


def measure_quality(
    reference: Source,
    engines: Sequence[Source],
    prompts: Sequence[list[int]],
    text: Sequence[int],
    options: QualityOptions,
    *,
    bos: int | None = None,
    progress: Callable[[str], object] | None = None,
) -> list[EngineQuality]:
    """Compares each engine with the reference.

    Args:
        reference: what is right.
        engines: what is measured.
        prompts: ids of each, which all are continued greedily.
        text: ids for perplexity; none to leave it out.
        options: lengths.
        bos: an id that begins each window of the text.
        progress: called with each step's name.

    Raises:
        ConfigError: a prompt is too long for one of them.
    """
    told = progress or (lambda step: None)
    told(reference.name)
    right = reference.greedy(prompts, options.max_tokens)
    whole = [[*ids, *made] for ids, (made, _) in zip(prompts, right, strict=True)]
    forced = _forced(reference, engines, whole, told)
    max_len = options.max_len or min(each.max_len for each in (reference, *engines))
    stride = options.stride or max_len - (bos is not None)
    base = None
    if text:
        base = perplexity(reference, text, max_len, stride, bos)
    found = []
    for engine, distances in zip(engines, forced, strict=True):
        told(engine.name)
        made = engine.greedy(prompts, options.max_tokens)
        shares = [
            prefix_share(ours[0], theirs[0]) for ours, theirs in zip(made, right, strict=True)
        ]
        found.append(
            EngineQuality(
                name=engine.name,
                quantization=engine.quantization,
                bleu=_bleu(made, right),
                prefix_mean=float(np.mean(shares)),
                prefix_median=float(np.median(shares)),
                equal_texts=float(
                    np.mean([a[0] == b[0] for a, b in zip(made, right, strict=True)])
                ),
                forced=distances,
                perplexity=perplexity(engine, text, max_len, stride, bos) if text else None,
                reference_perplexity=base,
            )
        )
    return found


def _forced(
    reference: Source,
    engines: Sequence[Source],
    texts: Sequence[list[int]],
    told: Callable[[str], object],
) -> list[Forced]:
    """Returns each engine's distances, text by text, so that the logits of one are kept."""
    made = [Forcing() for _ in engines]
    for number, ids in enumerate(texts, 1):
        told(f"logits of text {number} of {len(texts)}")
        right = reference.logits(ids)
        for forcing, engine in zip(made, engines, strict=True):
            forcing.add(right, engine.logits(ids))
    return [each.result() for each in made]


def perplexity(
    source: Source, ids: Sequence[int], max_len: int, stride: int, bos: int | None
) -> float:
    """Returns exp of the mean negative logarithm of an id's probability, over a long text.

    It counts ids of the tokenizer, so it is not the word perplexity of other programs.

    Args:
        source: the model.
        ids: the text.
        max_len, stride, bos: as of `windows_of`.

    Raises:
        ConfigError: the text is too short, or the numbers make no sense.
    """
    total, count = 0.0, 0
    for window, last in windows_of(ids, max_len, stride, bos):
        total += float(source.nll(window)[-last:].sum())
        count += last
    if count == 0:
        raise ConfigError("text: expected at least two ids, got fewer")
    return math.exp(total / count)


def _bleu(
    made: Sequence[tuple[list[int], str]], right: Sequence[tuple[list[int], str]]
) -> float | None:
    texts = [text for _, text in right]
    if not has_bleu() or not any(texts):
        return None
    return corpus_bleu([text for _, text in made], texts)


def as_dict(quality: EngineQuality) -> dict[str, Any]:
    """All of it, as JSON has it."""
    import dataclasses

    return {
        **dataclasses.asdict(quality),
        "perplexity_growth": quality.growth,
        "gate": gate_of(quality.quantization),
        "is_within_gate": quality.is_within_gate,
    }
