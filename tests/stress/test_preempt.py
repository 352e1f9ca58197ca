"""Paused requests: each gives, bit for bit, what it gives alone, and ends as it should."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import ttsrt_rt as rt

from .mixing import (
    ENDLESS_FRAMES,
    GUEST,
    SINGLE_DEVICE,
    STUCK,
    Bench,
    Spec,
    end_of,
    endless_specs,
    expect_beginning,
    expect_events,
    expect_idle,
    expect_same,
    holding,
)

SHORT = Spec(("ids", 4), ("voice", 1), 3, (("max_frames", 40), ("min_frames", 40), ("seed", 5)))


def variants() -> list[Spec]:
    """Returns requests with and without a prior, guidance and sampling."""
    long = (("max_frames", 20), ("min_frames", 20))
    return [
        Spec(("ids", 20), ("voice", 0), 1, (("temperature", 0.0), ("cfg_scale", 1.0), *long)),
        Spec(("ids", 9), ("guest", 0), 2, (("temperature", 0.9), ("seed", 4), *long)),
        Spec(("features", 24), ("embeddings", 20), 3, (("cfg_scale", 2.5), ("seed", 7), *long)),
        Spec(
            ("ids", 12),
            ("voice", 1),
            4,
            (("prior", rt.AttentionPrior()), ("return_alignment", True), ("cfg_scale", 1.5), *long),
        ),
        Spec(("output", 7), ("voice", 2), 5, (("prior", rt.AttentionPrior(recompute=True)), *long)),
    ]


def wait_for_pauses(executor: rt.Executor, count: int) -> None:
    """Waits until so many requests are paused at once."""
    waited = threading.Event()
    for _ in range(int(STUCK * 1000)):
        if executor.stats().num_preempted_requests >= count:
            return
        waited.wait(0.001)
    raise AssertionError(f"expected {count} paused requests, got {executor.stats().requests}")


@pytest.mark.parametrize("kind", ["tiny2512", "tinymaskgit2", "tinyold"])
def test_a_paused_request_gives_what_it_gives_alone(bench: Bench, kind: str) -> None:
    """Waves of growing priority, each of which pauses the wave before it."""
    engine = bench.engine(kind)
    specs = variants()
    if kind != "tiny2512":
        specs = [
            Spec(("ids", 5 + 3 * at), ("codes", 4 + at), at, spec.options)
            for at, spec in enumerate(specs)
        ]
    with bench.executor(
        engine, max_batch_size=2, preempt="priority", max_paused_requests=6, num_threads=2
    ) as executor:
        info = executor.engine.info
        handles = []
        for wave in range(4):
            for spec in specs:
                request = spec.request(info, priority=wave, chunk_frames=1 + wave)
                handles.append((spec, 1 + wave, executor.submit(request)))
            handles[-len(specs)][2].next(STUCK)
        for spec, _, handle in handles:
            expect_same(end_of(handle), bench.alone(engine, spec))
        assert executor.stats().num_preemptions > 0
        expect_idle(executor, specs)


def test_a_paused_stream_is_whole(bench: Bench, endless: Path) -> None:
    spec = endless_specs()[1]
    whole = bench.alone(endless, spec)
    options = {"preempt": "priority", "max_paused_requests": 1, "num_threads": 1}
    with bench.executor(endless, device=SINGLE_DEVICE, max_batch_size=1, **options) as executor:
        info = executor.engine.info
        low = executor.submit(spec.request(info, chunk_frames=7))
        events = [low.next(STUCK)]
        for _ in range(10):
            high = executor.submit(SHORT.request(info, priority=1))
            expect_same(end_of(high), bench.alone(endless, SHORT))
            if low.is_done:  # on a fast machine
                break
            events.append(low.next(STUCK))
        assert 1 <= executor.stats().num_preemptions <= 10
        while (event := low.next(STUCK)) is not None:
            events.append(event)
        result = end_of(low)
    expect_same(result, whole)
    expect_events([event for event in events if event is not None], result, 7)


def test_paused_requests_end_as_others_do(bench: Bench, endless: Path) -> None:
    """A cancel, a deadline and the removal of its voice reach a request while it is paused."""
    low = endless_specs()[0]
    guest = Spec(("ids", 4), (GUEST, 0), 6, low.options)
    options = {"preempt": "priority", "max_paused_requests": 3, "num_threads": 1}
    with bench.executor(endless, device=SINGLE_DEVICE, max_batch_size=3, **options) as executor:
        info = executor.engine.info
        handles = [
            executor.submit(low.request(info)),
            executor.submit(low.request(info, deadline=2.0)),
            executor.submit(guest.request(info)),
        ]
        for handle in handles:
            assert handle.next(STUCK) is not None
        # So many that some of them wait until after the deadline, however fast the machine is.
        holders = [executor.submit(holding(low).request(info, priority=2)) for _ in range(200)]
        for holder in holders[:3]:
            assert holder.next(STUCK) is not None
        wait_for_pauses(executor, 3)
        executor.remove_voice(GUEST)
        handles[0].cancel()
        for handle, reason in zip(handles, ("cancelled", "deadline"), strict=False):
            result = end_of(handle)
            assert result.finish_reason == reason
            expect_beginning(result, bench.alone(endless, low))
        assert not handles[2].is_done
        assert executor.stats().num_preempted_requests == 1
        for holder in holders:
            holder.cancel()
        expect_same(end_of(handles[2]), bench.alone(endless, guest))
        for holder in holders:
            end_of(holder)
        expect_idle(executor, [low])


@pytest.mark.parametrize("drain", [True, False], ids=["drain", "cut"])
def test_close_ends_paused_requests(bench: Bench, endless: Path, drain: bool) -> None:
    spec = endless_specs()[2]
    whole = bench.alone(endless, spec)
    options = {"max_batch_size": 1, "preempt": "priority", "num_threads": 1}
    executor = bench.executor(endless, device=SINGLE_DEVICE, **options)
    info = executor.engine.info
    low = executor.submit(spec.request(info))
    assert low.next(STUCK) is not None
    high = executor.submit(spec.request(info, priority=1))
    wait_for_pauses(executor, 1)
    executor.close(drain=drain)
    assert low.is_done and high.is_done
    for handle in (low, high):
        result = end_of(handle)
        if drain:
            expect_same(result, whole)
            assert len(result.codes) == ENDLESS_FRAMES
        else:
            assert result.finish_reason == "cancelled"
            expect_beginning(result, whole)
    expect_idle(executor, [spec])


def test_names_and_bounds(bench: Bench, endless: Path) -> None:
    for options, message in (
        ({"preempt": "maybe"}, 'preempt: expected "none" or "priority", got "maybe"'),
        ({"preempt": 3}, "preempt: expected"),
        ({"max_paused_requests": 2}, 'because preempt is "none"'),
        ({"preempt": "priority", "max_paused_requests": -1}, "max_paused_requests: expected 0"),
        ({"preempt": "priority", "max_paused_requests": 4093}, "to 4092"),
    ):
        with pytest.raises(rt.ConfigError, match=message):
            bench.executor(endless, **options)
    with bench.executor(
        endless, device=SINGLE_DEVICE, preempt="priority", num_threads=1
    ) as executor:
        assert (executor.info.max_batch_size, executor.info.max_paused_requests) == (4, 4)
    with bench.executor(endless, num_threads=1) as executor:
        assert executor.info.max_paused_requests == 0
