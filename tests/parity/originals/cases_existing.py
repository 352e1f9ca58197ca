"""More runs of the checkpoints of the first goldens."""

from __future__ import annotations

from typing import Any

from .cases import DECODE_ONLY, LAYERS_123, Case
from .original import Sizes
from .runs import Run

_PRIOR_5 = {**LAYERS_123, "lookahead_window_size": 5}


def _none() -> dict[str, Any]:
    return {}


def _run(name: str, **fields: Any) -> Run:
    return Run(name, 12, keep=DECODE_ONLY, **fields)


TINYHF = Case(
    name="tinyhf",
    config={},
    batch=_none,
    sizes=Sizes(4, 88, 40),
    inputs_from="tinyhf.lt_cfg_prior_kv.npz",
    runs=(
        _run("lt_cfg_prior_nokv", kv_cache=False, local_transformer=True, prior=LAYERS_123),
        _run("lt_cfg_noprior_kv", local_transformer=True),
        _run("lt_nocfg_prior_kv", cfg_scale=None, local_transformer=True, prior=LAYERS_123),
        _run("nolt_cfg_prior_kv", prior=LAYERS_123),
    ),
)

TINY2503 = Case(
    name="tiny2503",
    config={},
    batch=_none,
    sizes=Sizes(4, 88, 30),
    current=False,
    inputs_from="tiny2503.cfg_prior_kv.npz",
    runs=(
        _run("cfg_prior_nokv", kv_cache=False, prior=_PRIOR_5),
        _run("cfg_noprior_kv"),
        _run("nocfg_noprior_kv", cfg_scale=None),
    ),
)

CASES = (TINYHF, TINY2503)
