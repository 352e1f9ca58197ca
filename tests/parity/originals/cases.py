"""Defines a case: one tiny checkpoint and the runs that share it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .original import Sizes, State
from .runs import Run

DEFAULT_SIZES = Sizes()
LAYERS_123 = {
    "prior_epsilon": 0.1,
    "lookahead_window_size": 6,
    "estimate_alignment_from_layers": [1, 2],
    "apply_prior_to_layers": [1, 2, 3],
    "start_prior_after_n_audio_steps": 0,
}
LAYERS_12 = {
    "prior_epsilon": 0.1,
    "lookahead_window_size": 4,
    "estimate_alignment_from_layers": [1],
    "apply_prior_to_layers": [1, 2],
    "start_prior_after_n_audio_steps": 0,
}
# Arrays to record for a run if other runs of the same checkpoint already record its stages.
DECODE_ONLY = (
    "align_scores",
    "argmax_codes",
    "attended",
    "context_audio_codes",
    "context_audio_codes_lens",
    "context_mask",
    "dec_hidden",
    "finished",
    "logits",
    "logits_cond",
    "lt_logits",
    "prior",
    "unfinished",
)


# Arrays to record for a run that tests the end of speech.
ENDING_ONLY = (
    "argmax_codes",
    "attended",
    "context_audio_codes",
    "context_audio_codes_lens",
    "dec_hidden",
    "finished",
    "prior",
    "unfinished",
)


@dataclass(frozen=True)
class Case:
    """A checkpoint, its random inputs and its runs."""

    name: str
    config: dict[str, Any]
    runs: tuple[Run, ...]
    batch: Callable[[], dict[str, Any]]
    sizes: Sizes = DEFAULT_SIZES
    seed: int = 0
    current: bool = True  # 3.0.0 and a .nemo file; False: 2503 and .ckpt with hparams.yaml
    eos_bias: float = -20.0
    adjust: Callable[[State], State] = field(default=lambda state: state)
    inputs_from: str = ""  # take text and context from this existing golden file
