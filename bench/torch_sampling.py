"""Sampling of codes from logits in plain PyTorch: masks, top-k, draws, end of speech, and the two
kinds of local transformers.

Order of the masks as in the original: request marked unfinished (no end), marked finished (only the
end), forbidden ids and the minimum length; when the last two meet, the minimum wins. The
masked-prediction variant ("maskgit") applies forbidden ids first and marks after, which gives the
same set. Decided: temperature 0 is argmax after masks; `greedy` replaces the draw by the argmax but
keeps temperature and top-k, which is how the golden files were made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch

from bench.torch_model import StackCache, TorchMagpie
from ttsrt_rt.convert.magpie_model import TokenIds

Tensor: TypeAlias = torch.Tensor


@dataclass(frozen=True)
class SamplingOptions:
    """How one code is drawn. `generator` is the request's own stream of random numbers."""

    temperature: float
    top_k: int
    greedy: bool
    generator: torch.Generator


@dataclass(frozen=True)
class MaskGitOptions:
    """The options of masked prediction.

    Attributes:
        steps: number of passes.
        order: "default", "causal", "purity_default" or "purity_causal".
        schedule: how many codes are fixed before each pass, and so how many passes there are.
        ramp: guidance rises linearly from 1 to its scale over the passes.
    """

    steps: int = 3
    order: str = "default"
    schedule: Sequence[int] | None = None
    ramp: bool = False


@dataclass(frozen=True)
class EndMarks:
    """Whether this step may or must end speech; the same for every code of the step."""

    forbid: bool
    force: bool
    below_minimum: bool


def mix(logits: Tensor, scale: float) -> Tensor:
    """Guidance: [2, ...] to [...] as g * cond + (1 - g) * uncond; one row passes unchanged."""
    if logits.shape[0] == 1:
        return logits[0]
    return scale * logits[0] + (1.0 - scale) * logits[1]


def mask_logits(logits: Tensor, tokens: TokenIds, marks: EndMarks) -> Tensor:
    """A copy of float32 [..., V] in which ids that must not be drawn are -inf."""
    logits = logits.clone()
    end = tokens.audio_eos
    early = end if tokens.minimum_forbids is None else tokens.minimum_forbids
    if marks.forbid:
        logits[..., end] = -math.inf
    if marks.below_minimum:
        logits[..., early] = -math.inf
    if marks.force and not (marks.below_minimum and early == end):
        logits.fill_(-math.inf)
        logits[..., end] = 0.0
        return logits
    if tokens.forbidden:
        logits[..., list(tokens.forbidden)] = -math.inf
    return logits


def probabilities(logits: Tensor, temperature: float, top_k: int) -> Tensor:
    """softmax(top_k(logits) / temperature) over the last axis; ties with the k-th largest survive;
    k = 0 keeps all.
    """
    if 0 < top_k < logits.shape[-1]:
        smallest = torch.topk(logits, top_k, dim=-1).values[..., -1:]
        logits = logits.masked_fill(logits < smallest, -math.inf)
    return torch.softmax(logits / temperature, dim=-1)


def draw(logits: Tensor, options: SamplingOptions) -> Tensor:
    """One id per row of masked float32 [n, V]; int64 [n]."""
    if options.temperature <= 0.0:
        return logits.argmax(dim=-1)
    p = probabilities(logits, options.temperature, options.top_k)
    if options.greedy:
        return p.argmax(dim=-1)
    return torch.multinomial(p, 1, generator=options.generator)[:, 0]


def end_frame(codes: Tensor, end: int, where: str) -> int | None:
    """First frame of codes [S, C] that says the end: in "any" codebook, in "all", or in the first
    ("zero_cb").
    """
    said = codes == end
    frames = {"any": said.any(dim=1), "all": said.all(dim=1), "zero_cb": said[:, 0]}[where]
    found = frames.nonzero()
    return int(found[0, 0]) if found.numel() else None


def find_end(sampled: Tensor, best: Tensor, end: int, method: str) -> int | None:
    """The frame of this stack at which the request ends, or None; `best` are the main head's argmax
    codes [S, C].
    """
    stream, where = next(
        (name, method.removeprefix(f"{name}_"))
        for name in ("argmax_or_multinomial", "argmax", "multinomial")
        if method.startswith(f"{name}_")
    )
    found = []
    if stream != "multinomial":
        found.append(end_frame(best, end, where))
    if stream != "argmax":
        found.append(end_frame(sampled, end, where))
    known = [frame for frame in found if frame is not None]
    return min(known) if known else None


def pick_autoregressive(
    net: TorchMagpie,
    hidden: Tensor,
    scale: float,
    marks: EndMarks,
    options: SamplingOptions,
    cache: StackCache,
    raw: list[Tensor] | None = None,
) -> Tensor:
    """Hidden [rows, dim] to codes int64 [C*S], one code after the other; both branches are fed the
    drawn code.

    `raw` receives the float32 [rows, V] logits of every pick, before guidance.
    """
    assert net.local is not None
    cache.reset()
    rows = hidden.shape[0]
    x = net.local_input(hidden)[:, None]
    codes = []
    for table in range(net.model.tables):
        y = net.local(x, cache)[:, -1]
        logits = net.local_logits(y, table)
        if raw is not None:
            raw.append(logits)
        guided = mask_logits(mix(logits, scale), net.model.tokens, marks)
        code = draw(guided[None], options)
        codes.append(code)
        if table + 1 < net.model.tables:
            x = net.local_input(net.audio[table, code])[None].expand(rows, 1, -1)
    return torch.cat(codes)


def _pass_size(options: MaskGitOptions, index: int, steps: int, tables: int) -> int:
    """How many codes are fixed before pass `index`; in float32, whose rounding matters."""
    if options.schedule is not None:
        return options.schedule[index]
    progress = index / steps
    linear = options.order in ("causal", "purity_causal")
    masked = (
        torch.tensor(1.0 - progress)
        if linear
        else torch.cos(torch.tensor(progress) * (math.pi / 2))
    )
    return tables - int(torch.ceil(tables * masked))


def pick_masked(
    net: TorchMagpie,
    hidden: Tensor,
    scale: float,
    marks: EndMarks,
    options: SamplingOptions,
    passes: MaskGitOptions,
    raw: list[Tensor] | None = None,
) -> Tensor:
    """Hidden [rows, dim] to codes int64 [C*S] by masked prediction: the surest codes of a pass are
    kept for the next.

    `raw` receives the float32 [rows, C*S, V] logits of every pass, before guidance.
    """
    assert net.local is not None
    model = net.model
    tables = model.tables
    table = torch.arange(tables, device=hidden.device)
    first = net.local_input(hidden)[:, None]
    drawn = torch.full((tables,), model.tokens.mask, device=hidden.device)
    codes = drawn.clone()
    confidence = torch.zeros(tables, device=hidden.device)
    steps = passes.steps if passes.schedule is None else len(passes.schedule)
    for index in range(steps):
        if passes.order in ("causal", "purity_causal"):
            allowed = int(index / steps * model.frame_stacking + 1)
            confidence[allowed * model.codebooks :] = -1.0
        kept = torch.topk(confidence, _pass_size(passes, index, steps, tables)).indices
        codes[kept] = drawn[kept]
        x = net.local_input(net.audio[table, codes])[None].expand(hidden.shape[0], -1, -1)
        y = net.local(torch.cat([first, x], dim=1))[:, 1:]
        logits = torch.stack([net.local_logits(y[:, t], t) for t in range(tables)], dim=1)
        if raw is not None:
            raw.append(logits)
        now = 1.0 + (scale - 1.0) * index / (steps - 1) if passes.ramp and steps > 1 else scale
        guided = mask_logits(mix(logits, now), model.tokens, marks)
        drawn = draw(guided, options)
        p = probabilities(guided, options.temperature or 1.0, options.top_k)
        by_purity = passes.order.startswith("purity")
        confidence = p.max(dim=-1).values if by_purity else p[table, drawn]
        drawn[kept] = codes[kept]
        confidence[kept] = 5.0
    return drawn
