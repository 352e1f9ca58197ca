"""Engines of TensorRT against the CUDA backend on one GPU: codes of greedy requests are equal in
float32, alone and in a crowd of guided and unguided requests of different lengths.

Needs a GPU, TensorRT, and a build with its headers; without them the tests are skipped by name, and
fail with TTSRT_REQUIRE=tensorrt. They run in one process, which makes its plans once. `pytest -rP`
prints what was measured: whether bits are equal, the distances of float16, build times and sizes.
Random models of true size are made where TTSRT_TRUE_SIZE names a folder that keeps them.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.parity import test_t3_tiny
from tests.parity.block_checkpoint import engines_of
from tests.parity.tensorrt_plans import NEEDS_TENSORRT, plan
from ttsrt_rt import tensorrt
from ttsrt_rt.golden import Golden
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo, write_random_t3
from ttsrt_rt.validate import validate

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
DEVICES = ("cuda:0", "tensorrt:0")
TRUE_SIZE = os.environ.get("TTSRT_TRUE_SIZE", "")


pytestmark = NEEDS_TENSORRT
needs_true_size = pytest.mark.skipif(not TRUE_SIZE, reason="needs TTSRT_TRUE_SIZE, a folder")

# Plans take seconds each to build: models beyond these two wait for TTSRT_ALL_PLANS.
MAGPIE = ["tiny2503.cfg_prior_kv", "tinyhf.lt_cfg_prior_kv"]
needs_all = pytest.mark.skipif(
    not os.environ.get("TTSRT_ALL_PLANS"), reason="needs TTSRT_ALL_PLANS, and minutes"
)
MORE = [
    pytest.param(name, marks=needs_all)
    for name in (
        "tiny2503.nocfg_prior_kv",
        "tinyhf.nolt_cfg_prior_kv",
        "tinymulti.cfg_prior_kv",
        "tinymaskgit2.lt_cfg_prior_kv",
    )
]
PlannedOf = Callable[..., Path]


@pytest.fixture(scope="module")
def planned_of(checkpoint_of: Callable[[str], Path]) -> PlannedOf:
    """Maps a case of Magpie and a type to an engine with plans, for traces too if asked."""

    def make(case: str, dtype: str = "float32", *, taps: bool = False) -> Path:
        checkpoint = checkpoint_of(case)
        folder = checkpoint.parent / f"planned-{dtype}{'-taps' if taps else ''}"
        if not folder.exists():
            rt.build(checkpoint, folder, dtype=dtype, progress=False)
        return plan(folder, taps=taps)

    return make


def codes_of(engine: Path, device: str, requests: Sequence[rt.Request]) -> list[rt.Result]:
    """The results of requests alone, then of all of them together."""
    with rt.Executor(engine, device=device) as executor:
        alone = [executor.generate(request) for request in requests]
        return alone + executor.generate(list(requests))


def expect_equal(engine: Path, requests: Sequence[rt.Request], label: str) -> None:
    """Codes and ends agree between the backends, and between alone and together."""
    native, ours = (codes_of(engine, device, requests) for device in DEVICES)
    for index, (expected, got) in enumerate(zip(native, ours, strict=True)):
        np.testing.assert_array_equal(got.codes, expected.codes, err_msg=f"{label} {index}")
        assert got.finish_reason == expected.finish_reason
    for index in range(len(requests)):
        together = ours[index + len(requests)]
        np.testing.assert_array_equal(ours[index].codes, together.codes, err_msg=label)


def crowd_of(request: rt.Request, frames: Sequence[int]) -> list[rt.Request]:
    """Guided and unguided ones of different lengths."""
    return [
        replace(request, max_frames=each, cfg_scale=request.cfg_scale if index % 2 == 0 else 1.0)
        for index, each in enumerate(frames)
    ]


@pytest.mark.parametrize("name", [*MAGPIE, *MORE])
def test_magpie_draws_the_codes_of_cuda(name: str, planned_of: PlannedOf) -> None:
    engine = planned_of(name.split(".")[0])
    with rt.Executor(engine, device="cuda:0") as executor:
        requests = Golden(DATA / f"{name}.npz").requests(executor)
        stacking = executor.engine.info.frame_stacking
    expect_equal(engine, requests, name)
    expect_equal(engine, crowd_of(requests[0], [8, 3 * stacking, 14, 9, 5 * stacking]), name)


@needs_all
@pytest.mark.parametrize("name", MAGPIE)
def test_magpie_is_the_original_s(name: str, planned_of: PlannedOf) -> None:
    """Every stage of every step, teacher forced, within the tolerances of float32."""
    engine = planned_of(name.split(".")[0], taps=True)
    reports = validate(engine, DATA / f"{name}.npz", device="tensorrt:0", teacher_forced=True)
    assert [report.stage for report in reports if not report.is_ok] == []


@pytest.mark.parametrize("name", ["tiny2503.cfg_noprior_kv", "tinyhf.lt_cfg_noprior_kv"])
def test_float16_is_near_over_whole_utterances(name: str, planned_of: PlannedOf) -> None:
    engine = planned_of(name.split(".")[0], "float16", taps=True)
    for device in DEVICES:
        reports = {
            report.stage: report
            for report in validate(
                engine,
                DATA / f"{name}.npz",
                tolerance=1e3,
                teacher_forced=True,
                device=device,
            )
        }
        for stage in ("dec_hidden", "logits"):
            report = reports[stage]
            distances = [step / report.magnitude for step in report.by_step]
            print(f"{name} float16 {device} {stage}: at most {max(distances):.2g}")
            assert len(distances) >= 12
            assert 0.0 < max(distances) <= 2e-2


def hidden_of(engine: Path, device: str, request: rt.Request) -> list[Any]:
    with rt.Executor(engine, device=device, trace=True) as executor:
        trace = executor.generate(request).trace
    return [entry.values for entry in trace if entry.name == "dec_hidden"]


@needs_all
@pytest.mark.parametrize("name", MAGPIE)
def test_whether_bits_are_equal_is_told(name: str, planned_of: PlannedOf) -> None:
    """Between the backends they need not be; a request alone and again has the same bits."""
    engine = planned_of(name.split(".")[0], taps=True)
    with rt.Executor(engine, device="cuda:0") as executor:
        request = replace(Golden(DATA / f"{name}.npz").requests(executor)[0], max_frames=12)
    native, ours, again = (hidden_of(engine, device, request) for device in (*DEVICES, DEVICES[1]))
    equal = sum(bool((a == b).all()) for a, b in zip(native, ours, strict=True))
    print(f"{name}: {equal} of {len(native)} steps have the bits of the CUDA backend")
    assert all(bool((a == b).all()) for a, b in zip(ours, again, strict=True))


@pytest.fixture(scope="module")
def t3_engine_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made = engines_of(tmp_path_factory, test_t3_tiny.convert_case, max_seq_len=160)
    return lambda case: plan(made(case))


@pytest.mark.parametrize("case", test_t3_tiny.CASES)
def test_t3_draws_the_tokens_of_cuda_and_of_the_original(
    case: str, t3_engine_of: Callable[[str], Path]
) -> None:
    golden = test_t3_tiny.Golden(case)
    engine = t3_engine_of(case)
    run = test_t3_tiny.RAW_RUN[case]
    request = golden.request(run)
    with rt.Executor(engine, device="tensorrt:0") as executor:
        tokens = [code for (code,) in executor.generate(request).codes.tolist()]
    assert tokens == golden.tokens(run)[: len(tokens)]
    assert len(tokens) > 3
    expect_equal(engine, crowd_of(request, [20, 7, 30, 12, 25]), case)


@pytest.mark.parametrize("case", test_t3_tiny.CASES)
def test_t3_in_float16_draws_nearly_the_tokens_of_cuda(
    case: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rounding decides near ties, so half of the tokens have to be equal; prints how many are."""
    folder = tmp_path_factory.mktemp(f"{case}-float16")
    checkpoint = test_t3_tiny.convert_case(case, folder / "checkpoint")
    engine = folder / "engine"
    rt.build(checkpoint, engine, dtype="float16", max_seq_len=160, progress=False)
    plan(engine)
    request = test_t3_tiny.Golden(case).request(test_t3_tiny.RAW_RUN[case])
    requests = crowd_of(request, [20, 7, 30, 12])
    native, ours = (codes_of(engine, device, requests) for device in DEVICES)
    same = total = 0
    for expected, got in zip(native, ours, strict=True):
        count = min(len(got.codes), len(expected.codes))
        assert count > 0
        equal = (np.asarray(got.codes)[:count] == np.asarray(expected.codes)[:count]).all(axis=1)
        same += int(np.argmin(equal)) if not equal.all() else count
        total += max(len(got.codes), len(expected.codes))
    print(f"{case} float16: {same} of {total} tokens are equal before the first other one")
    assert same >= total // 2


@pytest.mark.parametrize(
    ("field", "value", "error"),
    [
        ("gpu", "another", "plans were built for another"),
        ("capability", 75, r"built for .* \(sm_75\)"),
        ("tensorrt", "8.5.9", "plans were built by TensorRT 8.5.9"),
        ("plugins", "0", "built with plugins of version 0"),
        ("weights", "0" * 64, "built from other weights than the engine's"),
    ],
)
def test_plans_of_something_else_are_refused(
    field: str, value: object, error: str, planned_of: PlannedOf, tmp_path: Path
) -> None:
    engine = tmp_path / "engine"
    shutil.copytree(planned_of("tiny2503"), engine)
    path = engine / "tensorrt" / "plans.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(rt.ConfigError, match=error):
        rt.Executor(engine, device="tensorrt:0")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"max_batch_size": 2}, "limits are max_batch_size 8"),
        ({"kv_cache_dtype": "float16"}, "its cache is float32"),
        ({"kv_cache_dtype": "int8"}, "expected float32 or float16, got int8"),
        ({"kv_cache_dtype": "bfloat16"}, "expected float32 or float16, got bfloat16"),
    ],
)
def test_what_the_plans_were_not_built_for_is_refused(
    options: dict[str, Any], error: str, planned_of: PlannedOf
) -> None:
    with pytest.raises(rt.ConfigError, match=error):
        rt.Executor(planned_of("tiny2503"), device="tensorrt:0", **options)


@pytest.mark.parametrize("precision", ["bfloat16", "w8a16", "w4a16", "w8a8", "w4a8"])
def test_other_types_are_refused_by_name(
    precision: str, narrow_engine_of: Callable[[str, str], Path]
) -> None:
    engine = narrow_engine_of("tiny2503", precision)
    with pytest.raises(rt.ConfigError, match=f"expected float32 or float16, got {precision}"):
        tensorrt.build_plans(engine, progress=False)
    with pytest.raises(rt.NotFoundError, match="ttsrt build --backend tensorrt"):
        rt.Executor(engine, device="tensorrt:0")


# --- true sizes --------------------------------------------------------------------------------


def true_engine(model: str, dtype: str) -> Path:
    """A random model of true size, made once, whose engine has plans."""
    folder = Path(TRUE_SIZE)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / f"{model}.checkpoint"
    if not checkpoint.exists():
        if model == "2503":
            source = write_random_ckpt(folder / "2503.ckpt", "true", seed=1)
        elif model == "v2607":
            source = write_random_nemo(folder / "v2607.nemo", "v2607", seed=1)
        else:
            source = write_random_t3(folder / f"{model}.safetensors", model, seed=1)
        rt.convert(source or folder / f"{model}.ckpt", checkpoint, progress=False)
    engine = folder / f"{model}.{dtype}.engine"
    if not engine.exists():
        limits: dict[str, Any] = {"max_batch_size": 8, "max_seq_len": 512, "max_num_tokens": 512}
        rt.build(checkpoint, engine, dtype=dtype, progress=False, **limits)
    level = int(os.environ.get("TTSRT_BUILDER_OPT", "3"))
    return plan(engine, builder_opt=level, timings_in=folder)


def true_requests(engine: Path, model: str) -> list[rt.Request]:
    """Greedy ones, guided and unguided, of different texts and lengths."""
    info = rt.Engine.open(engine).info
    random = np.random.default_rng(3)
    requests = []
    for index, frames in enumerate((24, 40, 17, 32, 9)):
        options: dict[str, Any] = {"temperature": 0.0, "max_frames": frames, "min_frames": frames}
        options["text_ids"] = random.integers(1, 250, 20 + 13 * index)
        guided = 2.5 if info.family == "magpie" else 1.5
        options["cfg_scale"] = guided if index % 2 == 0 and model != "turbo" else 1.0
        dim = json.loads((engine / "engine.json").read_text())["model"]["decoder"]["dim"]
        rows = 60 + 9 * index if info.family == "magpie" else 34
        values = random.standard_normal((rows, dim), np.float32)
        if model == "2503":
            shape = (rows, info.codebooks)
            options["context_codes"] = random.integers(0, info.codebook_vocab - 8, shape)
        else:
            options["context_embeddings"] = (0.1 * values).astype(np.float32)
        if info.family == "t3":
            options["prior"] = None
        requests.append(rt.Request(**options))
    return requests


@needs_true_size
@pytest.mark.parametrize("model", ["2503", "v2607", "english", "turbo"])
def test_models_of_true_size(model: str) -> None:
    engine = true_engine(model, "float32")
    expect_equal(engine, true_requests(engine, model), model)


@needs_true_size
@pytest.mark.parametrize("model", ["2503", "english"])
def test_float16_of_true_size_runs(model: str) -> None:
    """Random weights have near ties, so codes may differ: how soon they do is told."""
    engine = true_engine(model, "float16")
    requests = true_requests(engine, model)
    native, ours = (codes_of(engine, device, requests) for device in DEVICES)
    for index, (expected, got) in enumerate(zip(native, ours, strict=True)):
        same = (np.asarray(got.codes) == np.asarray(expected.codes)).all(axis=1)
        first = int(np.argmin(same)) if not same.all() else len(same)
        print(f"{model} float16 request {index}: equal for {first} of {len(same)} frames")
        assert got.codes.shape == expected.codes.shape
