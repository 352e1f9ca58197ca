"""A cache pool with a tenth of the blocks that the slots could use: requests wait for blocks, all
end with unchanged results; a request that can never fit fails at once.
"""

from __future__ import annotations

import random

import pytest

import ttsrt_rt as rt

from .mixing import (
    DTYPES,
    LIMITS,
    SLOT_TOKENS,
    TOKENS_PER_BLOCK,
    Bench,
    Spec,
    end_of,
    expect_idle,
    expect_same,
)

KIND = "tiny2512"
NUM_REQUESTS = 1000
NUM_SLOTS = 8
WORKING_SET = NUM_SLOTS * SLOT_TOKENS
POOL = WORKING_SET // 10 // TOKENS_PER_BLOCK * TOKENS_PER_BLOCK


def spec_of(index: int, contexts: tuple[str, ...]) -> Spec:
    """Returns one of a few requests that fit and need from one block to nearly the whole pool."""
    frames = (2, 5, 13, 16)[index % 4]
    rows = (1, 7, 15, 20, 24)[index % 5]
    scale = (1.0, 2.5, 1.0)[index % 3]
    options = (("cfg_scale", scale), ("seed", index), ("max_frames", frames))
    return Spec(("ids", 1 + index % 24), (contexts[index % len(contexts)], rows), index, options)


def too_large() -> list[Spec]:
    """Returns requests that may need more blocks than the pool has."""
    frames = LIMITS["max_seq_len"] - LIMITS["max_input_len"]
    options = (("cfg_scale", 2.5), ("max_frames", frames), ("min_frames", frames))
    return [Spec(("ids", 3), ("embeddings", rows), 0, options) for rows in (23, 24)]


@pytest.fixture(params=DTYPES, ids=lambda dtype: "-".join(dtype))
def dtype(request: pytest.FixtureRequest) -> tuple[str, str]:
    value: tuple[str, str] = request.param
    return value


def test_a_thousand_requests_in_a_tenth_of_the_blocks(
    bench: Bench, dtype: tuple[str, str, str]
) -> None:
    engine = bench.engine(KIND, dtype, max_batch_size=NUM_SLOTS)
    specs = [spec_of(index, ("voice", "guest", "embeddings")) for index in range(60)]
    wholes = {spec: bench.alone(engine, spec) for spec in specs}
    draw = random.Random(9)
    with bench.executor(engine, max_tokens_in_paged_kv_cache=POOL, num_threads=1) as executor:
        for replica in executor.stats().replicas:
            assert replica.kv_cache_stats.max_num_blocks == POOL // TOKENS_PER_BLOCK
            assert replica.kv_cache_stats.tokens_per_block == TOKENS_PER_BLOCK
        chosen = draw.choices(specs, k=NUM_REQUESTS)
        requests = [
            spec.request(executor.engine.info, priority=draw.randint(-1, 1)) for spec in chosen
        ]
        for spec, result in zip(chosen, executor.generate(requests), strict=True):
            expect_same(result, wholes[spec])
        expect_idle(executor, specs)
        assert executor.stats().num_completed == NUM_REQUESTS


def test_a_request_that_can_never_fit_is_refused(bench: Bench) -> None:
    engine = bench.engine(KIND, max_batch_size=NUM_SLOTS)
    fitting = spec_of(1, ("embeddings",))
    with bench.executor(engine, max_tokens_in_paged_kv_cache=POOL, num_threads=1) as executor:
        info = executor.engine.info
        held = executor.submit(fitting.request(info))
        for spec in too_large():
            with pytest.raises(rt.CapacityError, match="cache blocks"):
                executor.submit(spec.request(info))
            with pytest.raises(rt.CapacityError, match="cache blocks"):
                executor.stream(spec.request(info))
        expect_same(end_of(held), bench.alone(engine, fitting))
        assert executor.stats().num_submitted == 1  # refused requests are not counted


def test_a_request_that_can_never_fit_fails_alone(bench: Bench) -> None:
    engine = bench.engine(KIND, max_batch_size=NUM_SLOTS)
    specs = [spec_of(index, ("voice", "embeddings")) for index in range(12)]
    specs[1:1] = too_large()
    with bench.executor(engine, max_tokens_in_paged_kv_cache=POOL, num_threads=1) as executor:
        results = executor.generate([spec.request(executor.engine.info) for spec in specs])
    for spec, result in zip(specs, results, strict=True):
        if spec in too_large():
            assert result.finish_reason == "error" and "cache blocks" in (result.error or "")
        else:
            expect_same(result, bench.alone(engine, spec))


def test_the_smallest_pool_serves_one_request_at_a_time(bench: Bench) -> None:
    """The pool has exactly the blocks of one request of full length: others wait for its end."""
    engine = bench.engine(KIND)
    specs = too_large()
    with bench.executor(
        engine, max_tokens_in_paged_kv_cache=SLOT_TOKENS, num_threads=1
    ) as executor:
        info = executor.engine.info
        handles = [executor.submit(spec.request(info)) for spec in 3 * specs]
        for handle, spec in zip(handles, 3 * specs, strict=True):
            expect_same(end_of(handle), bench.alone(engine, spec))
        expect_idle(executor, specs)
