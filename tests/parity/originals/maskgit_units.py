"""Runs `LocalTransformerHelper.sample_maskgit` alone, from decoder outputs to codes and logits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .cases import Case
from .original import State
from .recorder import Margins, greedy
from .tiny import save_arrays

_FIXED = {1: [0, 1, 3], 2: [0, 1, 3, 6]}
_TOPK = 20
_ITEMS = 3


@dataclass
class _Taps:
    """Records the inputs of the tables and the outputs of the heads, in call order."""

    logits: list[torch.Tensor] = field(default_factory=list)
    fed: list[torch.Tensor] = field(default_factory=list)

    def _head(self, _module: Any, _inputs: Any, result: torch.Tensor) -> None:
        self.logits.append(result.clone())

    def _table(self, _module: Any, inputs: tuple[torch.Tensor], _result: Any) -> None:
        self.fed.append(inputs[0].clone())

    @contextlib.contextmanager
    def on(self, model: Any) -> Iterator[None]:
        hooks = [
            *(h.register_forward_hook(self._head) for h in model.local_transformer_out_projections),
            *(t.register_forward_hook(self._table) for t in model.audio_embeddings),
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _variants(stacking: int) -> dict[str, dict[str, Any]]:
    guided = {"use_cfg": True, "cfg_scale": 2.5}
    return {
        "default": {"n_steps": 3, **guided},
        "default_nocfg": {"n_steps": 3},
        "default_5steps": {"n_steps": 5, **guided},
        "causal": {"n_steps": 3, "sampling_type": "causal", **guided},
        "purity_default": {"n_steps": 3, "sampling_type": "purity_default", **guided},
        "purity_causal": {"n_steps": 3, "sampling_type": "purity_causal", **guided},
        "fixed": {"fixed_schedule": _FIXED[stacking], **guided},
        "fixed_nocfg": {"fixed_schedule": _FIXED[stacking]},
        "dynamic_cfg": {"n_steps": 3, "dynamic_cfg_scale": True, **guided},
        "no_eos": {"n_steps": 3, "forbid_audio_eos": True, **guided},
        "finished": {"n_steps": 3, "finished_items": {1: 20}, **guided},
    }


def run_units(model: Any, state: State, case: Case, out: Path) -> dict[str, Any]:
    """Writes CASE.units.npz: `dec_output` and, per variant, `VARIANT.codes|pass_codes|logits`."""
    model.load_state_dict(state)
    stacking = model.frame_stacking_factor
    slots = model.num_audio_codebooks * stacking
    generator = torch.Generator().manual_seed(case.seed + 1)
    hidden = torch.randn((2 * _ITEMS, 32), generator=generator)
    arrays: dict[str, np.ndarray] = {"dec_output": hidden.numpy()}
    summary: dict[str, Any] = {"topk": _TOPK, "temperature": 0.7, "variants": {}}
    for name, arguments in _variants(stacking).items():
        taps = _Taps()
        rows = hidden if arguments.get("use_cfg") else hidden[:_ITEMS]
        margins = Margins()
        vocab, eos = model.num_all_tokens_per_codebook, model.audio_eos_id
        with (
            torch.no_grad(),
            greedy(margins, vocab, eos, _ITEMS),
            taps.on(model),
        ):
            codes = model._lt_helper.sample_maskgit(rows, 0.7, _TOPK, **arguments)
        passes = len(taps.logits) // slots
        arrays[f"{name}.codes"] = codes.numpy()  # [items, codebooks, stacking]
        if "finished_items" not in arguments:  # all confidences are 1 here, so any order is correct
            arrays[f"{name}.pass_codes"] = (
                torch.stack(taps.fed).reshape(passes, slots, -1).transpose(1, 2).numpy()
            )  # the input of each pass, with MASK ids: [passes, rows, slots]
            arrays[f"{name}.logits"] = (
                torch.stack(taps.logits)
                .reshape(passes, slots, len(rows), -1)
                .transpose(1, 2)
                .numpy()
            )  # raw, per branch, before guidance: [passes, rows, slots, vocab]
        summary["variants"][name] = {
            **arguments,
            "passes": passes,
            "min_margin": round(margins.logits, 5),
            "min_confidence_margin": (
                round(margins.confidence, 6) if 0 < margins.confidence < np.inf else None
            ),
        }
    save_arrays(out / f"{case.name}.units.npz", arrays)
    return summary
