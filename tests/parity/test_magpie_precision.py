"""How far reduced precision is from the original's float32, at the encoders and the first step.

Reduced are the weights, with the cache in the same type, or the cache alone.

Later steps are not compared: one code drawn otherwise leads elsewhere. `pytest -rP` prints the
distances: largest absolute difference over the largest absolute value of a stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.golden import Golden
from ttsrt_rt.validate import validate

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
RUNS = [
    "tiny2503.cfg_prior_kv",
    "tinyhf.lt_cfg_prior_kv",
    "tinyce.odd_cfg_prior_kv",
    "tinymulti.cfg_prior_kv",
    "tinyold.cfg_prior_kv",
]
# Weights and the cache (None: as the weights) -> twice the largest measured. Four bits are far off
# here, where weights are drawn evenly and widths are a group or two: trained and wide ones are
# kinder.
BOUNDS = {
    ("bfloat16", None): 2e-2,
    ("float16", None): 2e-3,
    ("float32", "int8"): 1.8e-2,
    ("bfloat16", "int8"): 2.8e-2,
    ("w8a16", None): 4e-2,
    ("w4a16-32", None): 0.7,
    ("w4a16", None): 0.7,
    ("w4a16-128", None): 0.75,
    ("w8a8", None): 6e-2,
    ("w4a8-32", None): 0.7,
    ("w4a8", None): 0.7,
    ("w4a8-128", None): 0.75,
}
PRECISIONS = pytest.mark.parametrize(("dtype", "cache"), list(BOUNDS))
SCORES = 2.0  # alignment scores, softmaxes of large logits, may be so much further off
SKIPPED = {"prior", "lt_logits"}  # codes of a stack depend on each other


@pytest.mark.parametrize("device", ["reference", "cpu"])
@PRECISIONS
@pytest.mark.parametrize("name", RUNS)
def test_first_step(
    name: str,
    dtype: str,
    cache: str | None,
    device: str,
    narrow_engine_of: Callable[[str, str], Path],
) -> None:
    run = Golden(DATA / f"{name}.npz")
    engine = narrow_engine_of(name.split(".")[0], dtype)
    with rt.Executor(engine, device=device, kv_cache_dtype=cache, trace=True) as executor:
        stacking = executor.engine.info.frame_stacking
        distances: dict[str, float] = {}
        for index, whole in enumerate(run.requests(executor)):
            request = replace(whole, max_frames=stacking)
            traced = {entry.name: entry.values for entry in executor.generate(request).trace}
            for stage in run.stages(index, 1):
                if stage.values is None or stage.name in SKIPPED:
                    continue
                off = np.abs(traced[stage.name] - stage.values).max() / np.abs(stage.values).max()
                distances[stage.name] = max(distances.get(stage.name, 0.0), float(off))
    for stage_name, distance in distances.items():
        print(f"{name} {dtype} {cache or dtype} cache {device} {stage_name}: {distance:.2g}")
    assert {"encoder_out", "dec_hidden", "logits"} <= set(distances)
    scores = distances.pop("align_scores")
    if dtype == "float32":  # encoders keep nothing in the cache
        assert distances["encoder_out"] <= 2e-6
    bound = BOUNDS[dtype, cache]
    assert scores <= SCORES * bound
    assert 0.0 < max(distances.values()) <= bound


@PRECISIONS
def test_alone_or_in_a_crowd(
    dtype: str, cache: str | None, narrow_engine_of: Callable[[str, str], Path]
) -> None:
    """Whatever the precision says, it says it alone and among others."""
    for name in RUNS:
        run = Golden(DATA / f"{name}.npz")
        engine = narrow_engine_of(name.split(".")[0], dtype)
        with rt.Executor(engine, device="cpu", kv_cache_dtype=cache, max_batch_size=4) as executor:
            requests = run.requests(executor)
            together = executor.generate([*requests, *requests])
            for request, first, second in zip(requests, together, together[2:], strict=False):
                np.testing.assert_array_equal(executor.generate(request).codes, first.codes)
                np.testing.assert_array_equal(second.codes, first.codes)


@pytest.mark.parametrize("dtype", ["bfloat16", "w8a16", "w8a8"])
def test_validate_prints_the_distance(
    dtype: str, narrow_engine_of: Callable[[str, str], Path]
) -> None:
    engine = narrow_engine_of("tiny2503", dtype)
    golden = DATA / "tiny2503.cfg_prior_kv.npz"
    reports = {
        report.stage: report
        for report in validate(engine, golden, max_steps=1, tolerance=1e3, device="cpu")
    }
    for stage in ("encoder_out", "dec_hidden", "logits"):
        report = reports[stage]
        assert 0.0 < report.max_difference <= BOUNDS[dtype, None] * report.magnitude
    assert reports["codes"].tolerance == np.inf and reports["codes"].is_ok
    strict = validate(engine, golden, max_steps=1, device="cpu")
    assert not all(report.is_ok for report in strict)
    with pytest.raises(rt.ConfigError, match="max_steps"):
        validate(engine, golden, max_steps=0)
