"""Records the golden arrays of one greedy run of `infer_batch`, for either generation."""

from __future__ import annotations

import contextlib
import copy
import io
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from .original import Original, State
from .recorder import Arrays, Margins, Recorder, greedy


@dataclass(frozen=True)
class Run:
    """The options of one run; if `prior` is None, the run has no attention prior."""

    name: str
    steps: int  # limit on decoder steps
    cfg_scale: float | None = 2.5
    kv_cache: bool = True
    local_transformer: bool = False
    prior: dict[str, Any] | None = None
    parameters: dict[str, Any] = field(default_factory=dict)  # further inference parameters
    maskgit: dict[str, Any] = field(default_factory=dict)  # maskgit_* arguments
    topk: int = 20
    bias: dict[str, float] = field(default_factory=dict)  # see apply_bias
    batch: dict[str, Any] = field(default_factory=dict)  # inputs that only this run has
    keep: tuple[str, ...] = ()  # only these recorded arrays; empty: all


# Names of the prior's options: ours (as in the 2503 signature) and those of 3.0.0.
_RENAMED = {
    "prior_epsilon": "attention_prior_epsilon",
    "lookahead_window_size": "attention_prior_lookahead_window",
}


def _inputs(batch: dict[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.as_tensor(value) for name, value in batch.items()}


def _run_current(model: Any, run: Run, batch: dict[str, torch.Tensor]) -> tuple[Any, Any]:
    parameters = copy.copy(model.inference_parameters)
    wanted = {
        "max_decoder_steps": run.steps * model.frame_stacking_factor,
        "topk": run.topk,
        "cfg_scale": run.cfg_scale if run.cfg_scale is not None else 1.0,
        "apply_attention_prior": run.prior is not None,
        **{_RENAMED.get(key, key): value for key, value in (run.prior or {}).items()},
        **run.parameters,
    }
    for key, value in wanted.items():
        if not hasattr(parameters, key):
            raise ValueError(f"unknown inference parameter {key!r}")
        setattr(parameters, key, value)
    model.inference_parameters = parameters
    result = model.infer_batch(
        batch,
        use_cfg=run.cfg_scale is not None,
        use_local_transformer_for_inference=run.local_transformer,
        **run.maskgit,
    )
    return result.predicted_codes, result.predicted_codes_lens


def _run_2503(model: Any, run: Run, batch: dict[str, torch.Tensor]) -> tuple[Any, Any]:
    result = model.infer_batch(
        batch,
        max_decoder_steps=run.steps,
        topk=run.topk,
        use_cfg=run.cfg_scale is not None,
        cfg_scale=run.cfg_scale if run.cfg_scale is not None else 1.0,
        use_local_transformer_for_inference=run.local_transformer,
        **{"apply_attention_prior": run.prior is not None, **(run.prior or {})},
        **run.parameters,
    )
    return result[2], result[3]


def apply_bias(model: Any, bias: dict[str, float]) -> None:
    """Adds to single head biases, "<main|local>.<slice>.<id>", to move the run's end of speech."""
    with torch.no_grad():
        for place, value in bias.items():
            kind, index, token = place.split(".")
            if kind == "main":
                row = int(index) * model.num_all_tokens_per_codebook + int(token)
                model.final_proj.bias[row] += value
            else:
                model.local_transformer_out_projections[int(index)].bias[int(token)] += value


def execute(
    original: Original,
    model: Any,
    state: State,
    run: Run,
    batch: dict[str, Any],
) -> tuple[Arrays, dict[str, Any]]:
    """Returns the arrays of one run and its summary for CASE.json."""
    model.load_state_dict({name: value.clone() for name, value in state.items()})
    apply_bias(model, run.bias)
    model.use_kv_cache_for_inference = run.kv_cache
    inputs = _inputs({**batch, **run.batch})
    items = len(inputs["text"])
    margins = Margins()
    recorder = Recorder(copy.copy(model), items, run.cfg_scale is not None, margins)
    recorder.model.__dict__ = dict(model.__dict__)
    recorder.attach()
    call = _run_current if original.current else _run_2503
    vocab = model.num_all_tokens_per_codebook
    with (
        greedy(margins, vocab, model.audio_eos_id, items),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        codes, lens = call(recorder.model, run, inputs)
    recorded = recorder.arrays(run.cfg_scale)
    arrays: Arrays = {name: value.numpy() for name, value in inputs.items()}
    if run.keep:
        recorded = {name: value for name, value in recorded.items() if name in run.keep}
    arrays.update(recorded)
    arrays["codes"], arrays["codes_lens"] = codes.numpy(), lens.numpy()
    summary = {
        "steps": len(recorder.steps["dec_hidden"]),
        "codes": list(arrays["codes"].shape),
        "codes_lens": arrays["codes_lens"].tolist(),
        "min_margin": round(margins.logits, 5),
        "min_eos_margin": round(margins.eos, 5) if margins.eos < np.inf else None,
        "min_focus_margin": round(margins.focus, 6) if margins.focus < np.inf else None,
        "min_confidence_margin": (
            round(margins.confidence, 6) if margins.confidence < np.inf else None
        ),
    }
    return arrays, summary
