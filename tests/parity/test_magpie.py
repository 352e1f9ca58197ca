"""Runs every golden run of Magpie through the public API: stage by stage, alone, batched and
streamed, on every backend and instruction set.

There are three differences from the originals, and these runs show none of them. Random numbers
come from a generator of each request (the runs are greedy). Rows of one request never affect
another, while the original's cache lets padded context rows of a batch take part (all contexts of a
batch have one length here). A run with a limit on frames ends after a whole decoder step.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import EXACT_DEVICES, NATIVE
from ttsrt_rt.golden import Golden
from ttsrt_rt.validate import StageReport, validate

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
RUNS = [path for path in sorted(DATA.glob("*.npz")) if ".units" not in path.name]
CASES = sorted({path.name.split(".")[0] for path in RUNS})
# "reference:2" keeps two launches in flight.
LEVELS = {
    "x86_64": ["generic", "avx2", "avx512", "avx512_vnni", "avx512_bf16", "avx512_amx"],
    "aarch64": ["generic", "neon", "neon_dot"],
}.get(platform.machine(), ["generic"])
LEVEL_RUNS = [
    DATA / f"{name}.npz"
    for name in ("tinyhf.lt_cfg_prior_kv", "tinyold.cfg_prior_nokv", "tinymaskgit2.lt_cfg_prior_kv")
]
EngineOf = Callable[[str], Path]
ExpectSame = Callable[[rt.Result, rt.Result], None]

each_run = pytest.mark.parametrize("golden", RUNS, ids=lambda path: path.stem)
each_device = pytest.mark.parametrize("device", EXACT_DEVICES)


def case_of(golden: Path) -> str:
    return golden.name.split(".")[0]


def expect_golden(golden: Path, results: list[rt.Result], frame_stacking: int) -> None:
    run = Golden(golden)
    assert len(results) == run.num_requests
    for index, result in enumerate(results):
        np.testing.assert_array_equal(result.codes, run.codes(index), f"{golden.stem} {index}")
        assert result.finish_reason == run.finish_reason(index, frame_stacking)


def expect_ok(reports: list[StageReport]) -> None:
    wrong = [f"{r.stage}: {r.max_difference:.3g}: {r.worst}" for r in reports if not r.is_ok]
    assert not wrong, wrong


def test_every_case_has_runs_and_every_array_file_is_listed() -> None:
    listed = {f"{case}.{run}" for case in CASES for run in known_runs(case)}
    assert {path.stem for path in RUNS} <= listed
    assert set(CASES) == {path.name.split(".")[0] for path in DATA.glob("tiny*.json")}


def known_runs(case: str) -> set[str]:
    names: set[str] = set()
    for path in DATA.glob(f"{case}*.json"):
        content = json.loads(path.read_text())
        if content.get("case") == case:
            names |= set(content["runs"] if "runs" in content else content["spec"]["runs"])
    return names


@each_device
@each_run
def test_stages(golden: Path, device: str, engine_of: EngineOf) -> None:
    reports = validate(engine_of(case_of(golden)), golden, device=device)
    expect_ok(reports)
    with np.load(golden) as arrays:
        recorded = set(arrays.files)
    expected = {"dec_hidden", "prior", "codes"}
    expected |= {name for name in ("encoder_out", "align_scores", "lt_logits") if name in recorded}
    expected |= {"context_embedding"} & recorded
    for array, stage in (
        ("attended", "focus"),
        ("logits_cond", "logits"),
        ("enc_layer_out", "text_encoder.layers.0"),
        ("context_enc_layer_out", "context_encoder.layers.0"),
        ("dec_layer_out", "decoder.layers.0"),
    ):
        if array in recorded:
            expected.add(stage)
    assert expected <= {report.stage for report in reports}


@each_device
@each_run
def test_alone_batched_and_streamed(
    golden: Path, device: str, engine_of: EngineOf, expect_same: ExpectSame
) -> None:
    """Runs without a trace, so that fused stages are used too."""
    engine = engine_of(case_of(golden))
    with rt.Executor(engine, device=device, max_batch_size=4) as executor:
        requests = Golden(golden).requests(executor)
        together = executor.generate(requests)
        expect_golden(golden, together, executor.engine.info.frame_stacking)
        for request, whole in zip(requests, together, strict=True):
            expect_same(executor.generate(request), whole)
            events = list(executor.stream(replace(request, chunk_frames=3)))
            np.testing.assert_array_equal(np.concatenate([e.codes for e in events]), whole.codes)
            starts = np.cumsum([0, *(len(event.codes) for event in events[:-1])])
            assert [event.first_frame for event in events] == starts.tolist()
            assert [event.is_last for event in events] == [False] * (len(events) - 1) + [True]
            assert events[-1].finish_reason == whole.finish_reason


@each_device
@pytest.mark.parametrize("case", CASES)
def test_all_runs_of_a_case_in_one_batch(case: str, device: str, engine_of: EngineOf) -> None:
    """Guided and unguided requests with every prior, context and length of the case run at once."""
    runs = [path for path in RUNS if case_of(path) == case]
    with rt.Executor(engine_of(case), device=device, max_batch_size=8) as executor:
        requests = [Golden(path).requests(executor) for path in runs]
        results = iter(executor.generate([request for group in requests for request in group]))
        for path, group in zip(runs, requests, strict=True):
            expect_golden(path, [next(results) for _ in group], executor.engine.info.frame_stacking)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("golden", LEVEL_RUNS, ids=lambda path: path.stem)
def test_instruction_sets(
    golden: Path, level: str, engine_of: EngineOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    supported = next(device.description for device in rt.list_devices() if device.name == "cpu")
    if level not in supported.removeprefix("instruction sets: ").split(", "):
        pytest.skip(f"this machine lacks {level}")
    monkeypatch.setenv("TTSRT_CPU_ISA", level)
    engine = engine_of(case_of(golden))
    expect_ok(validate(engine, golden, device="cpu"))
    with rt.Executor(engine, device="cpu", max_batch_size=2) as executor:
        assert level in executor.info.description
        results = executor.generate(Golden(golden).requests(executor))
        expect_golden(golden, results, executor.engine.info.frame_stacking)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_the_number_of_threads_changes_nothing(num_threads: int, engine_of: EngineOf) -> None:
    for golden in LEVEL_RUNS:
        engine = engine_of(case_of(golden))
        with rt.Executor(engine, device=NATIVE, num_threads=num_threads) as executor:
            results = executor.generate(Golden(golden).requests(executor))
            expect_golden(golden, results, executor.engine.info.frame_stacking)
