"""Some hundred hostile arguments; `python -m tests.hostile.requests` runs thousands.

TTSRT_HOSTILE_REQUESTS sets the number.
"""

from __future__ import annotations

import os
import random

from tests.hostile.requests import CALLS, VALUES, Case, make_case, run_case, run_cases
from tests.stress.mixing import Bench

NUM_CASES = int(os.environ.get("TTSRT_HOSTILE_REQUESTS", "500"))


def test_hostile_requests(trace_bench: Bench) -> None:
    outcomes = run_cases(trace_bench, count=NUM_CASES, seed=11, calls=CALLS)
    assert outcomes.keys() == {"ok", "ConfigError"}
    assert outcomes["ConfigError"] > NUM_CASES // 3
    assert outcomes["ok"] > NUM_CASES // 50


def test_every_value_as_the_only_argument(trace_bench: Bench) -> None:
    with trace_bench.executor(trace_bench.engine("tiny2512")) as executor:
        for name in VALUES:
            outcome = run_case(executor, Case("positional", (("value", name),)))
            assert outcome in ("ok", "ConfigError"), name


def test_cases_are_data() -> None:
    """A seed always gives the same cases, and together they make every call."""
    first, second = ([make_case(random.Random(seed)) for seed in range(300)] for _ in range(2))
    assert first == second
    assert {case.call for case in first} == set(CALLS)
