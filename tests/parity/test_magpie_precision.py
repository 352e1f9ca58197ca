"""Measures how far reduced precision is from the original's float32, at encoders and first step.

Either the weights have reduced precision, with the cache in the same type, or only the cache has.

Later steps are not compared, because one different code changes all that follow. `pytest -rP`
prints the distances: the largest absolute difference over the largest absolute value of a stage.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE
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
# Type of weights and cache (None: that of the weights) -> twice the largest measured distance. Four
# bits are inaccurate here, because the weights are uniformly distributed and only one or two groups
# wide; trained, wide weights quantize better.
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
SCORES = 2.0  # factor for alignment scores, which are softmaxes of large logits
SKIPPED = {"prior", "lt_logits"}  # the codes of one step depend on each other


@pytest.mark.parametrize("device", DEVICES)
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
    if dtype == "float32":  # encoders do not use the cache
        assert distances["encoder_out"] <= 2e-6
    bound = BOUNDS[dtype, cache]
    assert scores <= SCORES * bound
    assert 0.0 < max(distances.values()) <= bound


@PRECISIONS
def test_alone_and_batched(
    dtype: str, cache: str | None, narrow_engine_of: Callable[[str, str], Path]
) -> None:
    """At every precision, a request gives the same result alone and in a batch."""
    for name in RUNS:
        run = Golden(DATA / f"{name}.npz")
        engine = narrow_engine_of(name.split(".")[0], dtype)
        with rt.Executor(engine, device=NATIVE, kv_cache_dtype=cache, max_batch_size=4) as executor:
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
        for report in validate(engine, golden, max_steps=1, tolerance=1e3, device=NATIVE)
    }
    for stage in ("encoder_out", "dec_hidden", "logits"):
        report = reports[stage]
        assert 0.0 < report.max_difference <= BOUNDS[dtype, None] * report.magnitude
    assert reports["codes"].tolerance == np.inf and reports["codes"].is_ok
    strict = validate(engine, golden, max_steps=1, device=NATIVE)
    assert not all(report.is_ok for report in strict)
    with pytest.raises(rt.ConfigError, match="max_steps"):
        validate(engine, golden, max_steps=0)
