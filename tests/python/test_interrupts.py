"""Signal handlers run while a call blocks, and one that raises ends the call.

`ttsrt_rt` promises 100 milliseconds; the tests allow for a busy machine. A handler that only looks
leaves the call alone.
"""

from __future__ import annotations

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.stress.mixing import ENDLESS
from ttsrt_rt import _core
from ttsrt_rt.synth import write_random_nemo

CEILING = 1.0  # seconds
DELAY = 0.2  # until the signal: the call has begun to wait by then
FRAMES = 30_000  # take longer than any wait of these tests

# What a handler raises in a finalizer is only reported; expect_interruption tries again.
REPORTED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


class Interruption(Exception):
    """What the signal handler of these tests raises."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("interrupts")
    source = write_random_nemo(folder / "endless.nemo", ENDLESS, seed=3)
    rt.convert(source, folder / "checkpoint", progress=False)
    return folder / "checkpoint"


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Path:
    rt.build(checkpoint, checkpoint.parent / "engine", max_seq_len=ENDLESS.max_positions)
    return checkpoint.parent / "engine"


@pytest.fixture
def executor(engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device="reference", max_queue_size=2) as opened:
        yield opened


@pytest.fixture(autouse=True)
def _old_handler() -> Iterator[None]:
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def request() -> rt.Request:
    return rt.Request(text_ids=[1, 2, 3], voice=0, max_frames=FRAMES, min_frames=FRAMES)


def expect_interruption(
    call: Callable[[], object],
    delay: float = DELAY,
    leaves_within: float = CEILING,
    *,
    is_repeated: bool = False,
) -> None:
    """The handler runs soon, and what it raises leaves the call soon.

    A repeated call is made until then. Python only reports what a handler raises in a finalizer, so
    such a call is then interrupted again.
    """
    ran: list[float] = []

    def handler(number: int, frame: FrameType | None) -> None:
        ran.append(time.monotonic())
        raise Interruption

    signal.signal(signal.SIGALRM, handler)
    for _ in range(5 if is_repeated else 1):
        ran.clear()
        begin = time.monotonic()
        signal.setitimer(signal.ITIMER_REAL, delay)
        is_interrupted = False
        try:
            call()
            while is_repeated and not ran:
                call()
        except Interruption:
            is_interrupted = True
            break
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    assert is_interrupted
    assert ran[0] - begin - delay < CEILING
    assert time.monotonic() - ran[0] < leaves_within


def wait_until_idle(executor: rt.Executor) -> None:
    end = time.monotonic() + 20
    while executor.stats().num_active_requests + executor.stats().num_queued_requests:
        assert time.monotonic() < end
        time.sleep(0.01)


WAITS: dict[str, Callable[[rt.Executor, rt.Handle], object]] = {
    "generate": lambda executor, _: executor.generate(request()),
    "generate many": lambda executor, _: executor.generate([request()] * 9),
    "result": lambda _, handle: handle.result(),
    "result with a timeout": lambda _, handle: handle.result(timeout=60),
    "wait": lambda _, handle: handle.wait(),
    "next": lambda executor, _: executor.submit(request(), chunk_frames=FRAMES).next(),
    "stream": lambda executor, _: list(executor.stream(request(), chunk_frames=FRAMES)),
    "iteration": lambda _, handle: list(handle),
}


@pytest.mark.parametrize("wait", WAITS)
def test_waits_for_requests(executor: rt.Executor, wait: str) -> None:
    handle = executor.submit(request())
    expect_interruption(lambda: WAITS[wait](executor, handle))
    handle.cancel()
    wait_until_idle(executor)


@pytest.mark.parametrize("name", ["agenerate", "astream", "await"])
def test_waits_of_asyncio(executor: rt.Executor, name: str) -> None:
    async def run() -> None:
        if name == "agenerate":
            await executor.agenerate(request())
        elif name == "await":
            await executor.submit(request())
        else:
            async for _ in executor.astream(request(), chunk_frames=FRAMES):
                pass

    expect_interruption(lambda: asyncio.run(run()))
    wait_until_idle(executor)


def test_a_handler_that_returns_leaves_the_call_alone(engine: Path) -> None:
    ran: list[int] = []
    signal.signal(signal.SIGALRM, lambda number, frame: ran.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    with rt.Executor(engine, device="cpu", num_threads=1) as executor:
        result = executor.generate(request(), max_frames=1000, min_frames=1000)
        handle = executor.submit(request(), max_frames=100, min_frames=100)
        executor.close(drain=True)
    assert result.finish_reason == handle.result().finish_reason == "length"
    assert ran


def test_an_interrupted_drain_cancels(engine: Path) -> None:
    executor = rt.Executor(engine, device="reference", max_batch_size=1)
    handles = [executor.submit(request()) for _ in range(3)]
    expect_interruption(lambda: executor.close(drain=True))
    assert {handle.result(timeout=0).finish_reason for handle in handles} == {"cancelled"}
    begin = time.monotonic()
    executor.close()
    executor.close(drain=True)
    assert time.monotonic() - begin < CEILING
    with pytest.raises(rt.ClosedError):
        executor.submit(request())


def test_ctrl_c_inside_with_cancels(engine: Path) -> None:
    opened = rt.Executor(engine, device="reference")
    handle = opened.submit(request())

    def run() -> None:
        with opened:
            handle.result()

    expect_interruption(run)
    assert handle.result(timeout=0).finish_reason == "cancelled"


def test_benchmarks() -> None:
    bench = _core.OpBench(options_of("linear"))
    expect_interruption(lambda: bench.run(1_000_000))
    assert bench.run(1) > 0.0
    expect_interruption(lambda: _core.measure_peaks("cpu", 1, 2.0))
    expect_interruption(lambda: _core.measure_read("cpu", 1, 0, 2.0))
    reference = options_of("linear", device="reference", outputs=4096, inputs=4096)
    expect_interruption(lambda: [_core.OpBench(reference).check() for _ in range(1000)])


def options_of(family: str, **fields: object) -> _core.OpBenchOptions:
    options = _core.OpBenchOptions()
    options.family, options.resident, options.num_threads = family, True, 1
    for name, value in fields.items():
        setattr(options, name, value)
    return options


def num_threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


@REPORTED
def test_opening_and_verifying(engine: Path) -> None:
    """Wherever the handler raises, nothing is left of what was begun."""

    def work() -> None:
        opened = rt.Engine.open(str(engine))
        opened.verify()
        executor = rt.Executor(opened, device="cpu", num_threads=2)
        executor.add_voice("me", np.zeros((3, ENDLESS.dim), np.float32))
        executor.close()

    before = num_threads()
    for attempt in range(10):
        expect_interruption(work, delay=0.01 + 0.003 * attempt, is_repeated=True)
    end = time.monotonic() + 20
    while num_threads() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert num_threads() <= before


@REPORTED
def test_build_leaves_no_litter(checkpoint: Path, tmp_path: Path) -> None:
    def work() -> None:
        rt.build(checkpoint, tmp_path / "engine", max_seq_len=1000, overwrite=True)

    for attempt in range(10):  # what it wrote is removed first
        expect_interruption(work, delay=0.01 + 0.003 * attempt, is_repeated=True)
        assert {path.name for path in tmp_path.iterdir()} <= {"engine"}


def test_a_progress_callback_that_raises(checkpoint: Path, tmp_path: Path) -> None:
    """It is called in the thread of the call, and its error leaves the call."""
    threads: set[threading.Thread] = set()

    def stop(done: int, total: int, name: str) -> None:
        threads.add(threading.current_thread())
        assert 0 < done <= total and name
        if done == 3:
            raise Interruption

    with pytest.raises(Interruption):
        rt.build(checkpoint, tmp_path / "engine", progress=stop)
    assert threads == {threading.current_thread()}
    assert list(tmp_path.iterdir()) == []


@REPORTED
def test_convert_leaves_no_litter(checkpoint: Path, tmp_path: Path) -> None:
    names = itertools.count()

    def work() -> None:
        target = tmp_path / str(next(names))
        rt.convert(checkpoint.parent / "endless.nemo", target, progress=False)

    for attempt in range(5):
        expect_interruption(work, delay=0.02 + 0.005 * attempt, is_repeated=True)
        for path in tmp_path.iterdir():
            assert path.name.isdecimal()
