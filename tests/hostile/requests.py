"""Hostile arguments for everything that takes a request, a voice or a timeout.

    python -m tests.hostile.requests --count 7000

A case names a call and, for each argument, one of the values below, so that it can be printed and
run again. Each must end in a result or in an error of the package's own kinds, in little time and
memory, and must not disturb the executor: a good request gives the same codes again and again.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import decimal
import faulthandler
import fractions
import itertools
import random
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

import ttsrt_rt as rt
from tests.hostile.traces import bench_in
from tests.stress.mixing import STUCK, Bench, Spec

GOOD = Spec(("ids", 9), ("voice", 1), 4, (("max_frames", 12), ("cfg_scale", 1.5), ("seed", 3)))
KIND = "tiny2512"
GOOD_EVERY = 50  # cases between two good requests
MOST_SECONDS = 10.0  # of CPU time of one case; the contract is one second on an idle machine
MOST_BYTES = 256 << 20


class Raising:
    """Raises from whatever it is asked for."""

    def __init__(self, error: type[BaseException], *names: str) -> None:
        self._error, self._names = error, names

    def _ask(self, name: str) -> Any:
        if not self._names or name in self._names:
            raise self._error(name)
        raise TypeError(name)

    def __index__(self) -> int:
        return int(self._ask("index"))

    def __int__(self) -> int:
        return int(self._ask("int"))

    def __float__(self) -> float:
        return float(self._ask("float"))

    def __bool__(self) -> bool:
        return bool(self._ask("bool"))

    def __len__(self) -> int:
        return int(self._ask("len"))

    def __getitem__(self, item: object) -> Any:
        return self._ask("getitem")

    def __iter__(self) -> Iterator[Any]:
        self._ask("iter")
        return iter(())

    def __array__(self, *args: object, **kwargs: object) -> Any:
        return self._ask("array")

    def __repr__(self) -> str:
        return str(self._ask("repr"))

    def __str__(self) -> str:
        return str(self._ask("str"))

    def __eq__(self, other: object) -> bool:
        return bool(self._ask("eq"))

    def __hash__(self) -> int:
        return int(self._ask("hash"))


class Unprintable(Exception):
    """An error without a text."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


class Vast:
    """A sequence that says it is long."""

    def __len__(self) -> int:
        return 1 << 40

    def __getitem__(self, item: object) -> int:
        return 1


class WrongArray:
    """`__array__` that returns no array."""

    def __array__(self, *args: object, **kwargs: object) -> Any:
        return "no array"


class Fraud(float):
    """A float whose conversions disagree."""

    def __float__(self) -> float:
        return float("nan")

    def __index__(self) -> int:
        return -7


def _cyclic() -> list[Any]:
    ring: list[Any] = []
    ring.append(ring)
    return ring


def _deep() -> list[Any]:
    nested: list[Any] = [1]
    for _ in range(5000):
        nested = [nested]
    return nested


def _broadcast(*shape: int, dtype: str = "int32") -> Any:
    return np.broadcast_to(np.ones((), dtype), shape)


SCALARS: dict[str, Callable[[], Any]] = {
    repr(value): (lambda value=value: value)
    for value in (
        *(None, True, False, 0, 1, -1, 7, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**32 + 1),
        *(2**63 - 1, 2**63, -(2**63) - 1, 2**64 - 1, 2**64, float("nan"), float("inf")),
        *(-float("inf"), 0.0, -0.0, 0.5, -0.5, 1e-320, 1e39, -1e39, 1.7e308, 3.4e38),
        *("", "x", "\ud800", "a\ud800b", "\0", "nan", "1", "../..", b"bytes", 1j, ..., int, [], {}),
        *((), {1}, {"a": 1}, [1], (1, 2), "default", "none", [None], ["a"], [1.5], [[1]]),
    )
} | {
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "a long text": lambda: "x" * 1_000_000,
    "object()": object,
    "lambda": lambda: len,
    "Decimal NaN": lambda: decimal.Decimal("NaN"),
    "Fraction": lambda: fractions.Fraction(10**400, 3),
    "float16 inf": lambda: np.float16("inf"),
    "int8 -1": lambda: np.int8(-1),
    "uint64": lambda: np.uint64(2**64 - 1),
    "float64 array": lambda: np.array(0.5),
    "one in an array": lambda: np.array([1]),
    "bool_": lambda: np.bool_(True),
    "datetime64": lambda: np.datetime64("2020-01-01"),
    "str_": lambda: np.str_("\ud800"),
    "Fraud": lambda: Fraud(1.0),
    "Raising all": lambda: Raising(RuntimeError),
    "Raising MemoryError": lambda: Raising(MemoryError),
    "Raising ZeroDivisionError in index": lambda: Raising(ZeroDivisionError, "index"),
    "Raising OverflowError in float": lambda: Raising(OverflowError, "float", "repr"),
    "Raising Unprintable": lambda: Raising(Unprintable),
    "Raising StopIteration": lambda: Raising(StopIteration),
    "Raising RecursionError": lambda: Raising(RecursionError),
    "WrongArray": WrongArray,
    "Vast": Vast,
    "range(10**12)": lambda: range(10**12),
    "generator": lambda: (each for each in (1, 2, 3)),
    "count()": itertools.count,
    "cyclic": _cyclic,
    "deep": _deep,
    "Request": rt.Request,
    "AttentionPrior": rt.AttentionPrior,
    "MaskGit": rt.MaskGit,
    "wrong AttentionPrior": lambda: rt.AttentionPrior(
        mode=Raising(KeyError),  # type: ignore[arg-type]
        apply_layers=range(10**9),
    ),
    "long AttentionPrior": lambda: rt.AttentionPrior(estimate_layers=[1] * 100_000),
    "vast AttentionPrior": lambda: rt.AttentionPrior(apply_layers=Vast()),  # type: ignore[arg-type]
    "odd AttentionPrior": lambda: rt.AttentionPrior(epsilon=float("nan"), lookahead=-(2**31)),
    "raising AttentionPrior": lambda: rt.AttentionPrior(
        estimate_layers=Raising(ZeroDivisionError)  # type: ignore[arg-type]
    ),
    "wrong MaskGit": lambda: rt.MaskGit(schedule=range(10**9), steps="many"),  # type: ignore[arg-type]
    "odd BlockDiffusion": lambda: rt.BlockDiffusion(steps=-(2**31), shift=float("nan")),
    "odd MaskGit": lambda: rt.MaskGit(
        steps=-(2**31), noise_scale=float("nan"), schedule=[-1, 5, 5]
    ),
}

ARRAYS: dict[str, Callable[[], Any]] = {
    "empty": lambda: np.zeros(0, np.int64),
    "empty rows": lambda: np.zeros((0, 32), np.float32),
    "empty columns": lambda: np.zeros((5, 0), np.float32),
    "0-d": lambda: np.array(3),
    "3-d": lambda: np.ones((2, 3, 4), np.int32),
    "32-d": lambda: np.ones((1,) * 32, np.int32),
    "ids": lambda: np.arange(1, 6),
    "ids int8": lambda: np.arange(1, 6, dtype=np.int8),
    "ids uint64": lambda: np.full(5, 2**64 - 1, np.uint64),
    "ids big endian": lambda: np.arange(1, 6).astype(">i4"),
    "ids backwards": lambda: np.arange(1, 6)[::-1],
    "ids with steps": lambda: np.arange(1, 60)[::7],
    "ids negative": lambda: np.array([-1, -(2**31)]),
    "ids beyond": lambda: np.array([1, 2**31 - 1]),
    "ids of bools": lambda: np.ones(5, bool),
    "ids of objects": lambda: np.array([1, None], object),
    "ids of texts": lambda: np.array(["1", "2"]),
    "ids of dates": lambda: np.array(["2020-01-01"], "datetime64[D]"),
    "ids of records": lambda: np.zeros(3, [("a", "i4"), ("b", "f4")]),
    "ids masked": lambda: np.ma.masked_array([1, 2, 3], [0, 1, 0]),
    "ids read-only": lambda: _broadcast(5),
    "ids 2^31": lambda: _broadcast(1 << 31),
    "ids 2^20": lambda: _broadcast(1 << 20, dtype="int64"),
    "codes 2^31": lambda: _broadcast(1 << 31, 8),
    "codes wide": lambda: _broadcast(4, 1 << 30),
    "rows 2^31": lambda: _broadcast(1 << 31, 32, dtype="float32"),
    "rows wide": lambda: _broadcast(2, 1 << 31, dtype="float64"),
    "rows": lambda: np.ones((5, 32), np.float32),
    "rows float16": lambda: np.ones((5, 32), np.float16),
    "rows long double": lambda: np.ones((5, 32), np.longdouble) * np.longdouble("1e4000"),
    "rows NaN": lambda: np.full((5, 32), np.nan),
    "rows inf": lambda: np.full((5, 32), np.inf, np.float32),
    "rows 3e38": lambda: np.full((5, 32), 3e38, np.float32),
    "rows complex": lambda: np.ones((5, 32), complex),
    "rows transposed": lambda: np.ones((32, 5), np.float32).T,
    "rows too thin": lambda: np.ones((5, 31), np.float32),
    "rows too many": lambda: np.ones((300, 32), np.float32),
    "codes": lambda: np.ones((5, 4), np.int64),
    "ragged": lambda: [[1, 2], [3]],
    "ragged deep": lambda: [[[1], [2, 3]], 4],
    "mixed": lambda: [1, "a", None, object()],
    "a long list": lambda: [1] * 300_000,
    "a long inner list": lambda: [[1] * 300_000, [2]],
    "huge numbers": lambda: [10**400, 1],
    "surrogates": lambda: ["\ud800"],
    "nested None": lambda: [[None, None]],
    "array.array": lambda: array.array("i", [1, 2, 3]),
    "memoryview": lambda: memoryview(b"123456789"),
    "bytearray": lambda: bytearray(1000),
    "range": lambda: range(1, 6),
    "set": lambda: {1, 2, 3},
    "dict": lambda: {0: 1},
}

VALUES = SCALARS | ARRAYS
FIELDS = (*(of.name for of in fields(rt.Request)), "no_such_field", "self")
ARRAY_FIELDS = tuple(
    name for name in FIELDS if "context_" in name or "text" in name or "enc" in name
)
CALLS = (
    *("submit", "submit", "generate", "stream", "astream", "several"),
    *("positional", "add_voice", "remove_voice", "timeout"),
)


@dataclass(frozen=True)
class Case:
    """A call and the names of its values."""

    call: str
    values: tuple[tuple[str, str], ...]


def make_case(draw: random.Random, calls: Sequence[str] = CALLS) -> Case:
    call = draw.choice(calls)
    if call in ("positional", "remove_voice", "timeout"):
        return Case(call, (("value", draw.choice(list(VALUES))),))
    if call == "add_voice":
        names = ["name", draw.choice(("embeddings", "codes"))]
        if draw.random() < 0.1:
            names = ["name", "embeddings", "codes"]
    else:
        names = draw.sample(FIELDS, draw.choice((1, 1, 1, 2, 3)))
        if draw.random() < 0.4:
            names.append(draw.choice(ARRAY_FIELDS))
    pools = {name: ARRAYS if _is_array(name) and draw.random() < 0.8 else VALUES for name in names}
    return Case(call, tuple((name, draw.choice(list(pool))) for name, pool in pools.items()))


def _is_array(name: str) -> bool:
    return name in ARRAY_FIELDS or name in ("embeddings", "codes")


def run_case(executor: rt.Executor, case: Case) -> str:
    """Returns the kind of error, or "ok"; any other exception is a fault and is passed on."""
    values = {name: VALUES[of]() for name, of in case.values}
    try:
        _call(executor, case.call, values)
    except rt.Error as error:
        assert len(str(error)) < 2000, f"a message of {len(str(error))} characters"
        return type(error).__name__
    return "ok"


def _call(executor: rt.Executor, call: str, values: dict[str, Any]) -> None:
    if call == "timeout":
        handle = executor.submit(GOOD.request(executor.engine.info))
        handle.wait(STUCK)
        handle.result(values["value"])
        handle.next(values["value"])
    elif call == "positional":
        executor.generate(values["value"])
    elif call == "add_voice":
        executor.add_voice(values.pop("name"), **values)
        executor.remove_voice(executor.voices()[-1])
    elif call == "remove_voice":
        executor.remove_voice(values["value"])
    else:
        _request(executor, call, {"text_ids": [1, 2, 3], "voice": 0, "max_frames": 4, **values})


def _request(executor: rt.Executor, call: str, values: dict[str, Any]) -> None:
    if call == "several":
        if "self" in values or "no_such_field" in values:
            return
        executor.generate([rt.Request(**values), GOOD.request(executor.engine.info)])
    elif call == "stream":
        for _ in executor.stream(**values):
            pass
    elif call == "astream":
        asyncio.run(_read(executor, values))
    elif call == "submit":
        executor.submit(**values).result(STUCK)
    else:
        executor.generate(**values)


async def _read(executor: rt.Executor, values: dict[str, Any]) -> None:
    async for _ in executor.astream(**values):
        pass


def run_cases(
    bench: Bench, *, count: int, seed: int, calls: Sequence[str] = CALLS
) -> dict[str, int]:
    """Runs so many cases of these calls; returns how often each outcome occurred.

    Raises:
        AssertionError: A case ended in another way, or the executor was disturbed; the message has
            the case.
    """
    outcomes: dict[str, int] = {}
    draw = random.Random(seed)
    engine = bench.engine(KIND)
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with bench.executor(engine) as executor:
        good = executor.submit(GOOD.request(executor.engine.info)).result(STUCK)
        for number in range(count):
            case = make_case(draw, calls)
            begin = time.process_time()
            try:
                outcome = run_case(executor, case)
            except Exception as error:
                raise AssertionError(f"{case}: {type(error).__name__}") from error
            seconds = time.process_time() - begin
            assert seconds < MOST_SECONDS, f"{case}: {seconds} s"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            assert (now - highest) << 10 < MOST_BYTES, f"{case}: {now - highest} KiB"
            if number % GOOD_EVERY == 0 or number == count - 1:
                again = executor.submit(GOOD.request(executor.engine.info)).result(STUCK)
                assert again.codes.tolist() == good.codes.tolist(), f"after {case}"
        deadline = time.monotonic() + STUCK
        while executor.stats().requests and time.monotonic() < deadline:
            time.sleep(0.001)  # those that were let go
        stats = executor.stats()
        assert (stats.num_active_requests, stats.num_queued_requests) == (0, 0)
        assert stats.num_submitted == stats.num_completed + stats.num_cancelled + stats.num_failed
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=7000, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    args = parser.parse_args()
    faulthandler.enable()
    with tempfile.TemporaryDirectory() as folder:
        outcomes = run_cases(bench_in(Path(folder)), count=args.count, seed=args.seed)
    print(f"{args.count} cases from seed {args.seed}: {outcomes}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
