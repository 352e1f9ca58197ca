"""Bad requests among good ones: each bad request ends with its own error and affects no other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ttsrt_rt as rt

from .mixing import KINDS, Bench, Spec, expect_idle, expect_same

IDS = np.arange(1, 6)

# Fields that replace those of a good request, and the text that the error must contain.
BAD: dict[str, tuple[dict[str, Any], str]] = {
    "id beyond": ({"text_ids": [10**6]}, "text_ids"),
    "id below": ({"text_ids": [-1]}, "text_ids"),
    "id not a number": ({"text_ids": [object()]}, "text_ids"),
    "id beyond 32 bits": ({"text_ids": [2**40]}, "text_ids"),
    "ids of words": ({"text_ids": ["a", "b"]}, "text_ids"),
    "ids of floats": ({"text_ids": [1.5]}, "text_ids"),
    "ids ragged": ({"text_ids": [[1], [1, 2]]}, "text_ids"),
    "text too long": ({"text_ids": np.ones(10_000, np.int64)}, "text_ids"),
    "no text": ({"text_ids": None}, "text"),
    "empty text": ({"text_ids": []}, "text"),
    "two texts": ({"encoder_output": np.ones((3, 32), np.float32)}, "text"),
    "features not finite": (
        {"text_ids": None, "text_features": np.full((3, 32), np.nan)},
        "text_features",
    ),
    "features too thin": ({"text_ids": None, "text_features": np.ones((3, 31))}, "text_features"),
    "no context": ({"voice": None}, "context"),
    "two contexts": ({"context_embeddings": np.ones((3, 32))}, "context"),
    "nobody's voice": ({"voice": "nobody"}, "voice"),
    "voice beyond": ({"voice": 10**3}, "voice"),
    "voice of a wrong type": ({"voice": 1.5}, "voice"),
    "codes where none are taken": (
        {"voice": None, "context_codes": np.zeros((3, 4), np.int64)},
        "context_codes",
    ),
    "guidance not a number": ({"cfg_scale": float("nan")}, "cfg_scale"),
    "guidance of a wrong type": ({"cfg_scale": "much"}, "cfg_scale"),
    "temperature below": ({"temperature": -1.0}, "temperature"),
    "top_p of nothing": ({"top_p": 0.0}, "top_p"),
    "seed below": ({"seed": -1}, "seed"),
    "seed beyond": ({"seed": 2**64}, "seed"),
    "no frames": ({"max_frames": 0}, "max_frames"),
    "frames beyond": ({"max_frames": 10**7}, "max_frames"),
    "unknown end": ({"eos_method": "guess"}, "eos_method"),
    "unknown prior": ({"prior": rt.AttentionPrior(mode="other")}, "prior"),
    "prior of layers beyond": ({"prior": rt.AttentionPrior(apply_layers=(99,))}, "prior"),
    "prior of a wrong type": ({"prior": {"mode": "nemo"}}, "prior"),
    "maskgit of a wrong type": ({"maskgit": {"steps": 2}}, "maskgit"),
    "maskgit where there is none": ({"maskgit": rt.MaskGit()}, "maskgit"),
    "deadline in the past": ({"deadline": -1.0}, "deadline"),
    "no chunks": ({"chunk_frames": 0}, "chunk_frames"),
    "penalty": ({"repetition_penalty": 2.0}, "repetition_penalty"),
}


def bad_request(name: str) -> rt.Request:
    fields = {"text_ids": IDS, "voice": 0, "max_frames": 5, **BAD[name][0]}
    return rt.Request(**fields)


def good_spec(index: int) -> Spec:
    options = (("cfg_scale", (1.0, 2.0)[index % 2]), ("seed", index), ("max_frames", 6))
    return Spec(("ids", 3 + index), ("voice", index % 3), index, options)


@pytest.mark.parametrize("name", BAD)
def test_each_is_a_config_error_that_names_its_field(bench: Bench, name: str) -> None:
    with (
        bench.executor(bench.engine("tiny2512"), num_threads=1) as executor,
        pytest.raises(rt.ConfigError, match=BAD[name][1]),
    ):
        executor.submit(bad_request(name))


@settings(max_examples=30, deadline=None, database=None, print_blob=True)
@given(
    entries=st.lists(st.sampled_from(sorted(BAD)) | st.integers(0, 5), min_size=1, max_size=30),
    queue=st.integers(1, 4),
)
def test_bad_requests_among_good_ones(bench: Bench, entries: list[str | int], queue: int) -> None:
    engine = bench.engine("tiny2512")
    good = [good_spec(entry) for entry in entries if isinstance(entry, int)]
    with bench.executor(engine, max_queue_size=queue, num_threads=1) as executor:
        info = executor.engine.info
        requests = [
            bad_request(entry) if isinstance(entry, str) else good_spec(entry).request(info)
            for entry in entries
        ]
        results = executor.generate(requests)
        expect_idle(executor, good)
        stats = executor.stats()
    assert stats.num_submitted == stats.num_completed == len(good)
    for entry, result in zip(entries, results, strict=True):
        if isinstance(entry, int):
            expect_same(result, bench.alone(engine, good_spec(entry)))
        else:
            assert result.finish_reason == "error" and BAD[entry][1] in (result.error or "")
            assert result.codes.shape == (0, info.codebooks) and result.codes.dtype == np.int32


@pytest.mark.parametrize("stranger", [None, {"text_ids": [1]}, object()])
def test_objects_that_are_not_requests_fail_alone(bench: Bench, stranger: Any) -> None:
    engine = bench.engine("tiny2512")
    with bench.executor(engine, num_threads=1) as executor:
        good = good_spec(1).request(executor.engine.info)
        results = executor.generate([good, stranger, good])
    assert results[1].finish_reason == "error" and "Request" in (results[1].error or "")
    for result in (results[0], results[2]):
        expect_same(result, bench.alone(engine, good_spec(1)))


def test_an_empty_list_gives_no_results(bench: Bench) -> None:
    with bench.executor(bench.engine("tiny2512"), num_threads=1) as executor:
        assert executor.generate([]) == []
        assert executor.stats().num_submitted == 0


def test_bad_and_good_requests_from_different_threads(bench: Bench) -> None:
    engine = bench.engine("tiny2512")
    good_are_done = threading.Event()
    names = sorted(BAD)

    def pester(executor: rt.Executor) -> int:
        attempts = 0
        while not good_are_done.is_set():
            with pytest.raises(rt.ConfigError):
                executor.submit(bad_request(names[attempts % len(names)]))
            attempts += 1
        return attempts

    with (
        bench.executor(engine, num_threads=1) as executor,
        ThreadPoolExecutor(1) as threads,
    ):
        pestering = threads.submit(pester, executor)
        try:
            specs = [good_spec(index % 6) for index in range(100)]
            results = executor.generate([spec.request(executor.engine.info) for spec in specs])
        finally:
            good_are_done.set()
        assert pestering.result() > 0
        for spec, result in zip(specs, results, strict=True):
            expect_same(result, bench.alone(engine, spec))
        assert executor.stats().num_submitted == len(specs)


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS])
def test_arrays_may_change_after_submit(bench: Bench, kind: str) -> None:
    """A request owns its values: later changes to the caller's arrays have no effect."""
    context = next(each.contexts[0] for each in KINDS if each.name == kind)
    spec = Spec(("features", 9), (context, 6), 3, (("max_frames", 8), ("cfg_scale", 1.5)))
    engine = bench.engine(kind)
    with bench.executor(engine) as executor:
        request = spec.request(executor.engine.info)
        handle = executor.submit(request)
        for array in (request.text_features, request.context_codes, request.context_embeddings):
            if isinstance(array, np.ndarray):
                array[:] = 0
        expect_same(handle.result(), bench.alone(engine, spec))
