"""Cases for the end of speech: text progress, every detection method, minima, the 2503 rule."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .cases import ENDING_ONLY, LAYERS_12, Case
from .original import Sizes, State
from .runs import Run
from .tiny import CONTEXT_ENCODER, config, context_codes, text_batch, with_voices

_SIZES = Sizes()
_SIZES_2503 = Sizes(codebook_size=72)  # the 2503 code takes the 80 best ids of a table
_EOS = _SIZES.codebook_size + 1
_EOS_2503 = _SIZES_2503.codebook_size + 1


def _texts(lengths: list[int], seed: int = 7) -> dict[str, Any]:
    return {**text_batch(lengths, 20, seed), "speaker_indices": np.arange(len(lengths))}


# v2512 has one frame per step, a narrow local transformer behind a projection, and the old names of
# the prior's options. Its local heads favour EOS from the first step, its main head never does.
_PARAMETERS_2512 = {
    "max_decoder_steps": 40,
    "temperature": 0.6,
    "topk": 20,
    "cfg_scale": 2.0,
    "apply_attention_prior": True,
    "prior_epsilon": 0.05,
    "lookahead_window_size": 4,
    "estimate_alignment_from_layers": [1],
    "apply_prior_to_layers": [1, 2],
    "start_prior_after_n_audio_steps": 0,
    "ignore_finished_sentence_tracking": False,
}


def _eager_local(state: State) -> State:
    for name, value in state.items():
        if "out_projections" in name and name.endswith("bias"):
            value[_EOS] += 60.0
    return with_voices(state, 9, [9, 9, 9], seed=41)


def _tracked(name: str, lengths: list[int], *, eager: bool, **parameters: Any) -> Run:
    """Returns a run that ends at the first EOS of the local transformer (`eager`), or else only at
    a forced EOS of the main head.
    """
    method = "argmax_or_multinomial_any" if eager else "argmax_any"
    return Run(
        f"{name}_{'eager' if eager else 'forced'}",
        44,
        cfg_scale=2.0,
        local_transformer=True,
        prior={},
        parameters={"eos_detection_method": method, **parameters},
        batch=_texts(lengths),
        keep=ENDING_ONLY if name != "long" or not eager else (),
    )


TINY2512 = Case(
    name="tiny2512",
    config=config(
        "decoder_ce",
        context_encoder=CONTEXT_ENCODER,
        local_transformer_type="autoregressive",
        local_transformer_hidden_dim=16,
        local_transformer_n_layers=1,
        local_transformer_n_heads=1,
        inference_parameters=_PARAMETERS_2512,
    ),
    batch=lambda: _texts([11, 9]),
    seed=321,
    adjust=_eager_local,
    runs=(
        _tracked("long", [11, 9], eager=True),
        _tracked("long", [11, 9], eager=False),
        _tracked("text7", [7, 6], eager=True),
        _tracked("text7", [7, 6], eager=False),
        _tracked("text5", [5, 4], eager=True),
        _tracked("text5", [5, 4], eager=False),
        _tracked("text3", [3, 2], eager=True),
        _tracked("late_prior", [11, 9], eager=True, start_prior_after_n_audio_steps=6),
        _tracked("late_prior", [11, 9], eager=False, start_prior_after_n_audio_steps=6),
        _tracked("untracked", [11, 9], eager=True, ignore_finished_sentence_tracking=True),
    ),
)


def _common_direction(sizes: Sizes, gain: float, levels: tuple[float, ...], seed: int) -> Any:
    """Gives every head the same EOS row, so that many codebooks reach EOS at the same step.

    `levels` are the EOS biases of the slices of a step, in order.
    """

    def adjust(state: State) -> State:
        generator = torch.Generator().manual_seed(seed)
        eos, vocab = sizes.codebook_size + 1, sizes.codebook_size + 8
        wide = torch.randn(state["final_proj.weight"].shape[1], generator=generator)
        heads = sorted(n for n in state if "out_projections" in n and n.endswith("weight"))
        narrow = torch.randn(state[heads[0]].shape[1], generator=generator)
        for index, level in enumerate(levels):
            row = index * vocab + eos
            state["final_proj.weight"][row] = gain * wide / len(wide) ** 0.5
            state["final_proj.bias"][row] = level
            head = f"local_transformer_out_projections.{index}"
            state[f"{head}.weight"][eos] = gain * narrow / len(narrow) ** 0.5
            state[f"{head}.bias"][eos] = level
        return state

    return adjust


_METHODS = (
    "argmax_any",
    "argmax_or_multinomial_any",
    "argmax_all",
    "argmax_or_multinomial_all",
    "argmax_zero_cb",
    "argmax_or_multinomial_zero_cb",
)


def _ending(name: str, method: str, **fields: Any) -> Run:
    parameters = {"eos_detection_method": method, "min_generated_frames": 0}
    parameters.update(fields.pop("parameters", {}))
    return Run(
        name,
        20,
        **{"local_transformer": True, "prior": LAYERS_12, **fields},
        parameters=parameters,
        keep=ENDING_ONLY if name != "argmax_any" else (),
    )


_ANY = "argmax_or_multinomial_any"
TINYEOS = Case(
    name="tinyeos",
    config=config(
        "decoder_ce",
        context_encoder=CONTEXT_ENCODER,
        frame_stacking_factor=2,
        local_transformer_type="autoregressive",
        local_transformer_hidden_dim=32,
        local_transformer_n_layers=1,
        local_transformer_n_heads=2,
    ),
    batch=lambda: {**text_batch([14, 9], 20, 5), **context_codes(2, 8, _SIZES, seed=8)},
    seed=407,
    adjust=_common_direction(_SIZES, 8.0, (-3.0,) * 8, seed=42),
    runs=(
        *(_ending(method, method) for method in _METHODS),
        _ending("min7_any", _ANY, parameters={"min_generated_frames": 7}),
        _ending("min4_any", _ANY, parameters={"min_generated_frames": 4}),
        _ending("nolt_any", _ANY, local_transformer=False),
        _ending("nocfg_any", _ANY, cfg_scale=None),
    ),
)


def _batch_2503(seed: int) -> dict[str, Any]:
    codes = context_codes(2, 8, _SIZES_2503, seed)["context_audio_codes"]
    bos, eos = _SIZES_2503.codebook_size + 2, _SIZES_2503.codebook_size + 3
    codes = np.pad(codes, ((0, 0), (0, 0), (1, 1)))
    codes[:, :, 0], codes[:, :, -1] = bos, eos
    return {
        **text_batch([9, 6], 20, seed),
        "context_audio_codes": codes,
        "context_audio_codes_lens": np.full(2, codes.shape[2]),
    }


_PRIOR_2503 = {**LAYERS_12, "lookahead_window_size": 5}
TINY2503LT = Case(
    name="tiny2503lt",
    config=config(
        "decoder_context_tts",
        use_local_transformer=True,
        local_transformer_hidden_dim=16,
        local_transformer_n_layers=1,
        local_transformer_n_heads=1,
    ),
    batch=lambda: _batch_2503(52),
    sizes=_SIZES_2503,
    seed=409,
    current=False,
    adjust=_common_direction(_SIZES_2503, 10.0, (0.0,) * 4, seed=43),
    runs=(
        Run("lt_cfg_noprior_kv", 20, local_transformer=True),
        Run("nolt_cfg_noprior_kv", 20),
        Run("lt_nocfg_noprior_kv", 20, cfg_scale=None, local_transformer=True, keep=ENDING_ONLY),
        Run("lt_cfg_prior_kv", 36, local_transformer=True, prior=_PRIOR_2503, keep=ENDING_ONLY),
        Run("nolt_cfg_prior_kv", 36, prior=_PRIOR_2503, keep=ENDING_ONLY),
    ),
)

CASES = (TINY2512, TINYEOS, TINY2503LT)
