"""Requests of the torch reference, and records of its steps: plain values, no computation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from bench.torch_sampling import EndMarks, MaskGitOptions, SamplingOptions
from ttsrt_rt.convert.magpie_model import PriorConfig, RequestDefaults
from ttsrt_rt.errors import ConfigError

Tensor: TypeAlias = torch.Tensor
Codes = npt.NDArray[np.int32]


@dataclass(frozen=True)
class ReferenceRequest:
    """One request; None takes the checkpoint's default.

    Attributes:
        text_ids: as given, nothing appended; or `encoder_output` float32 [text_len, dim] in their
            place.
        context_codes: int [frames, codebooks], special columns included; one of four kinds of
            context, beside
            `voice` (index or name), `context_embeddings` float32 [rows, dim] and
            `context_text_ids`.
        cfg_scale: guidance; 1.0 runs one branch.
        temperature: 0 takes the argmax after masks.
        max_frames: codec frames; a step makes as many as the model stacks, so the last odd ones are
            not made.
        prior: None switches it off, "default" takes the checkpoint's.
        eos_method: "never" ends only at `max_frames`.
        greedy: argmax in place of the draw, after temperature and top-k.
        passes: of a masked-prediction local transformer.
    """

    text_ids: npt.ArrayLike | None = None
    encoder_output: npt.ArrayLike | None = None
    context_codes: npt.ArrayLike | None = None
    voice: int | str | None = None
    context_embeddings: npt.ArrayLike | None = None
    context_text_ids: npt.ArrayLike | None = None
    cfg_scale: float | None = None
    temperature: float | None = None
    top_k: int | None = None
    seed: int = 0
    max_frames: int | None = None
    min_frames: int | None = None
    prior: PriorConfig | str | None = "default"
    eos_method: str | None = None
    use_local_transformer: bool | None = None
    greedy: bool = False
    passes: MaskGitOptions = field(default_factory=MaskGitOptions)


@dataclass(frozen=True)
class Plan:
    """The options of a request, with all defaults filled in."""

    scale: float
    steps: int
    min_frames: int
    eos_method: str
    use_local: bool
    prior: PriorConfig | None
    sampling: SamplingOptions
    passes: MaskGitOptions


def make_plan(
    request: ReferenceRequest, defaults: RequestDefaults, frame_stacking: int, device: torch.device
) -> Plan:
    """Replaces the None options of a request by the checkpoint's defaults.

    Raises:
        ConfigError: `prior` is a word other than "default".
    """
    if isinstance(request.prior, str) and request.prior != "default":
        raise ConfigError(
            f"prior: expected a PriorConfig, None or 'default', got {request.prior!r}"
        )

    def pick(value: float | None, default: float) -> float:
        return default if value is None else value

    use_local = request.use_local_transformer
    return Plan(
        scale=pick(request.cfg_scale, defaults.cfg_scale),
        steps=int(pick(request.max_frames, defaults.max_frames)) // frame_stacking,
        min_frames=int(pick(request.min_frames, defaults.min_frames)),
        eos_method=request.eos_method or defaults.eos_method,
        use_local=defaults.use_local_transformer if use_local is None else use_local,
        prior=defaults.prior if isinstance(request.prior, str) else request.prior,
        sampling=SamplingOptions(
            temperature=pick(request.temperature, defaults.temperature),
            top_k=int(pick(request.top_k, defaults.top_k)),
            greedy=request.greedy,
            generator=torch.Generator(device).manual_seed(request.seed),
        ),
        passes=request.passes,
    )


@dataclass(frozen=True)
class StepTrace:
    """What one decoder step computed. `rows` is 2 with guidance (conditional first), else 1.

    Attributes:
        step: from 0.
        hidden: [rows, dim], the decoder's output at the newest position.
        branch_logits: float32 [rows, C*S, V].
        logits: float32 [C*S, V], guided, before any mask.
        scores: float32 [text_len], the alignment: mean over estimate layers and heads.
        prior_row: float32 [text_len] that this step's cross-attention used, or None.
        focus: of the prior, after this step; None without one.
        marks: what this step could do about the end of speech.
        end_count: window prior: how often the end was counted.
        local_logits: autoregressive: C*S of [rows, V]; masked prediction: [rows, C*S, V] for each
            pass.
        codes: int32 [S, C], picked.
        best: int32 [S, C], argmax of the decoder's own heads after masks.
        layer_outputs: for each decoder layer [rows, positions of this pass, dim].
    """

    step: int
    hidden: Tensor
    branch_logits: Tensor
    logits: Tensor
    scores: Tensor
    prior_row: npt.NDArray[np.float32] | None
    focus: int | None
    marks: EndMarks
    end_count: int
    local_logits: list[Tensor]
    codes: Codes
    best: Codes
    layer_outputs: list[Tensor]


@dataclass
class Timings:
    """Seconds of the last request: encoders, prefill and first pick; then each later step."""

    first_step: float = 0.0
    steps: list[float] = field(default_factory=list)
