"""Cases for the MaskGit local transformer, with one and two stacked frames."""

from __future__ import annotations

from typing import Any

from .cases import DECODE_ONLY, LAYERS_12, Case
from .original import Sizes
from .runs import Run
from .tiny import CONTEXT_ENCODER, config, context_codes, text_batch

_SIZES = Sizes()


def _case(stacking: int, seed: int) -> Case:
    def batch() -> dict[str, Any]:
        return {**text_batch([12, 8], 20, seed=6), **context_codes(2, 8, _SIZES, seed=8)}

    return Case(
        name=f"tinymaskgit{stacking}",
        config=config(
            "decoder_ce",
            context_encoder=CONTEXT_ENCODER,
            frame_stacking_factor=stacking,
            local_transformer_type="maskgit",
            local_transformer_hidden_dim=32 if stacking == 2 else 16,
            local_transformer_n_layers=2,
            local_transformer_n_heads=2,
        ),
        batch=batch,
        seed=seed,
        runs=(
            Run(
                "lt_cfg_prior_kv",
                12,
                local_transformer=True,
                prior=LAYERS_12,
                maskgit={"maskgit_n_steps": 3},
            ),
            Run(
                "lt_nocfg_prior_kv",
                12,
                cfg_scale=None,
                local_transformer=True,
                prior=LAYERS_12,
                maskgit={"maskgit_n_steps": 3},
                keep=DECODE_ONLY,
            ),
        ),
    )


CASES = (_case(1, 306), _case(2, 302))
