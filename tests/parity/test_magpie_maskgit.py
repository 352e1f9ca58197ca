"""Compares whole MaskGit runs of the CPU backend with the reference backend, for every variant of
unmasking in the originals' units. tests/cpp/ops compares the reference backend with these units.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.golden import Golden

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"


def variants_of(case: str) -> list[rt.MaskGit]:
    units = json.loads((DATA / f"{case}.json").read_text())["units"]["variants"]
    known = {"n_steps", "fixed_schedule", "dynamic_cfg_scale", "sampling_type"}
    distinct = {json.dumps({k: v for k, v in one.items() if k in known}) for one in units.values()}
    return [
        rt.MaskGit(
            steps=knobs.get("n_steps", 3),
            schedule=knobs.get("fixed_schedule", ()),
            dynamic_cfg_scale=knobs.get("dynamic_cfg_scale", False),
            sampling=knobs.get("sampling_type", "default"),
        )
        for knobs in map(json.loads, sorted(distinct))
    ]


@pytest.mark.parametrize("run_name", ["lt_cfg_prior_kv", "lt_nocfg_prior_kv"])
@pytest.mark.parametrize("case", ["tinymaskgit1", "tinymaskgit2"])
def test_variants(case: str, run_name: str, engine_of: Callable[[str], Path]) -> None:
    run = Golden(DATA / f"{case}.{run_name}.npz")
    variants = variants_of(case)
    assert len(variants) >= 6
    codes: dict[str, list[NDArray[np.int32]]] = {}
    for device in ("reference", *sorted({"cpu", NATIVE})):
        with rt.Executor(engine_of(case), device=device) as executor:
            request = run.requests(executor)[0]
            results = executor.generate([replace(request, maskgit=each) for each in variants])
        assert [result.error for result in results] == [None] * len(results)
        codes[device] = [result.codes for result in results]
    expected = codes.pop("reference")
    for device, all_codes in codes.items():
        for variant, wanted, got in zip(variants, expected, all_codes, strict=True):
            np.testing.assert_array_equal(got, wanted, f"{device}: {variant}")
    assert len({each.tobytes() for each in expected}) > 1  # the options have an effect
