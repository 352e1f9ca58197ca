"""The executor from Python: one request, many, streams, asyncio, and how requests end."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt import _core

Ids = NDArray[np.int32]


def request(text_ids: Ids | list[int], /, **fields: Any) -> rt.Request:
    return rt.Request(**{"text_ids": text_ids, "voice": 0, "seed": 7, "max_frames": 12, **fields})


def test_generate_one(executor: rt.Executor, text_ids: Ids) -> None:
    result = executor.generate(text_ids=text_ids, voice=0, seed=7, max_frames=12)
    assert result.codes.dtype == np.int32
    assert result.codes.shape[1] == executor.engine.info.codebooks
    assert 0 < len(result.codes) <= 12
    assert result.finish_reason in ("stop", "length") and result.error is None
    assert result.audio is None and result.sample_rate is None
    assert 0 < result.metrics.first_frame_seconds <= result.metrics.total_seconds
    metrics = result.metrics
    assert metrics.frames_per_second > 0 and metrics.steps > 0
    seconds_of_audio = len(result.codes) / executor.engine.info.frame_rate
    assert metrics.x_real_time == pytest.approx(seconds_of_audio / metrics.total_seconds)
    assert metrics.rtf == pytest.approx(metrics.total_seconds / seconds_of_audio)


def test_codes_outlive_their_result(executor: rt.Executor, text_ids: Ids) -> None:
    codes = executor.generate(request(text_ids)).codes
    again = executor.generate(request(text_ids)).codes
    assert codes.tolist() == again.tolist()


def test_one_seed_one_result_alone_or_in_a_crowd(executor: rt.Executor, text_ids: Ids) -> None:
    requests = [request(text_ids[: 10 + 3 * i], seed=i, voice=i % 2) for i in range(6)]
    alone = [executor.generate(each) for each in requests]
    together = executor.generate(requests)
    for one, other in zip(alone, together, strict=True):
        assert one.codes.tolist() == other.codes.tolist()
    other_seed = executor.generate(request(text_ids, seed=8)).codes
    assert executor.generate(request(text_ids)).codes.tolist() != other_seed.tolist()


def test_more_requests_than_the_queue_holds(engine: Path, text_ids: Ids) -> None:
    with rt.Executor(engine, device="cpu", max_queue_size=1, max_batch_size=1) as executor:
        results = executor.generate([request(text_ids, seed=i) for i in range(5)])
    assert [result.finish_reason != "error" for result in results] == [True] * 5


def test_a_profile_has_the_time_of_every_stage(engine: Path, text_ids: Ids) -> None:
    with rt.Executor(engine, device="cpu", profile=True) as executor:
        steps = executor.generate(request(text_ids)).metrics.steps
        stats = executor.stats()
    decode = [times for times in stats.stages if times.program == "decode"]
    assert len({times.stage for times in decode}) == len(decode)
    assert [times.runs for times in decode if times.stage == "finish step"] == [steps]
    assert {"encode_text", "prefill", "decode"} <= {times.program for times in stats.stages}
    for times in stats.stages:
        assert 0 < times.busy_seconds <= times.seconds, times.stage
    assert sum(times.seconds for times in stats.stages) <= stats.iteration_seconds


def test_no_profile_unless_asked(executor: rt.Executor, text_ids: Ids) -> None:
    executor.generate(request(text_ids))
    assert executor.stats().stages == []


def test_a_bad_request_fails_alone(executor: rt.Executor, text_ids: Ids) -> None:
    good = request(text_ids)
    results = executor.generate([good, request([10**6]), good])
    assert results[1].finish_reason == "error"
    assert results[1].error and "text_ids" in results[1].error
    assert results[1].codes.shape == (0, executor.engine.info.codebooks)
    assert results[0].codes.tolist() == results[2].codes.tolist()


@pytest.mark.parametrize(
    "fields",
    [
        {"text_ids": [-1]},
        {"text_ids": [10**6]},
        {"text_ids": np.ones(100_000, np.int32)},
        {"text_ids": None},
        {"encoder_output": np.ones((3, 64), np.float32)},
        {"text_ids": None, "encoder_output": np.full((3, 64), np.nan, np.float32)},
        {"text_ids": None, "encoder_output": np.full((3, 64), np.inf, np.float64)},
        {"text_ids": None, "encoder_output": np.ones((3, 63), np.float32)},
        {"text_ids": None, "text_features": np.ones((3, 65), np.float32)},
        {"voice": None},
        {"voice": 1000},
        {"voice": -1},
        {"voice": "nobody"},
        {"voice": None, "context_embeddings": np.ones((3, 63), np.float32)},
        {"voice": None, "context_embeddings": np.full((3, 64), np.nan, np.float32)},
        {"voice": None, "context_embeddings": np.ones((100_000, 64), np.float32)},
        {"context_embeddings": np.ones((3, 64), np.float32)},
        {"cfg_scale": float("nan")},
        {"temperature": -1.0},
        {"top_k": -1},
        {"max_frames": 0},
        {"max_frames": 10**8},
        {"min_frames": -1},
        {"eos_method": "guess"},
        {"prior": rt.AttentionPrior(mode="other")},
        {"prior": rt.AttentionPrior(epsilon=-0.5)},
        {"prior": rt.AttentionPrior(lookahead=0)},
        {"prior": rt.AttentionPrior(apply_layers=[99])},
        {"repetition_penalty": 1.5},
        {"chunk_frames": 0},
        {"deadline": -1.0},
    ],
    ids=lambda fields: " ".join(fields),
)
def test_a_bad_request_is_a_config_error(
    executor: rt.Executor, text_ids: Ids, fields: dict[str, Any]
) -> None:
    with pytest.raises(rt.ConfigError):
        executor.generate(request(text_ids, **fields))


def test_an_unknown_field_is_a_config_error(executor: rt.Executor) -> None:
    with pytest.raises(rt.ConfigError, match="text_idz"):
        executor.generate(text_idz=[1])


@pytest.mark.parametrize("chunk_frames", [1, 4])
def test_streaming_equals_the_whole(
    executor: rt.Executor, text_ids: Ids, chunk_frames: int
) -> None:
    whole = executor.generate(request(text_ids))
    events = list(executor.stream(request(text_ids, chunk_frames=chunk_frames)))
    assert np.concatenate([event.codes for event in events]).tolist() == whole.codes.tolist()
    assert [event.is_last for event in events] == [False] * (len(events) - 1) + [True]
    assert [event.finish_reason for event in events[:-1]] == [None] * (len(events) - 1)
    assert events[-1].finish_reason == whole.finish_reason
    starts = np.cumsum([0] + [len(event.codes) for event in events[:-1]])
    assert [event.first_frame for event in events if len(event.codes)] == [
        start for start, event in zip(starts.tolist(), events, strict=True) if len(event.codes)
    ]


def test_a_bad_stream_fails_at_once(executor: rt.Executor) -> None:
    with pytest.raises(rt.ConfigError):
        executor.stream(request([10**6]))


def wait_until_idle(executor: rt.Executor) -> None:
    end = time.monotonic() + 10
    stats = executor.stats()
    while stats.num_active_requests + stats.num_queued_requests and time.monotonic() < end:
        time.sleep(0.01)
        stats = executor.stats()
    assert stats.num_active_requests == 0 and stats.num_queued_requests == 0


def test_leaving_a_stream_frees_its_slot(executor: rt.Executor, text_ids: Ids) -> None:
    for event in executor.stream(request(text_ids, max_frames=200, min_frames=200)):
        assert not event.is_last
        break
    wait_until_idle(executor)


def test_dropping_a_handle_frees_its_slot(executor: rt.Executor, text_ids: Ids) -> None:
    handle = executor.submit(request(text_ids, max_frames=200, min_frames=200))
    assert executor.stats().num_submitted > 0
    del handle
    wait_until_idle(executor)


def test_cancel_keeps_the_frames_made_so_far(executor: rt.Executor, text_ids: Ids) -> None:
    whole = executor.generate(request(text_ids, max_frames=200, min_frames=200))
    handle = executor.submit(request(text_ids, max_frames=200, min_frames=200))
    first = handle.next()
    assert first is not None
    handle.cancel()
    handle.cancel()
    result = handle.result(timeout=10)
    assert result.finish_reason == "cancelled" and handle.is_done
    assert 0 < len(result.codes) < len(whole.codes)
    assert result.codes.tolist() == whole.codes[: len(result.codes)].tolist()


def test_result_times_out(executor: rt.Executor, text_ids: Ids) -> None:
    handle = executor.submit(request(text_ids, max_frames=200, min_frames=200))
    with pytest.raises(TimeoutError):
        handle.result(timeout=0)
    assert handle.result().finish_reason == "length"
    assert handle.result() is handle.result()


@pytest.mark.parametrize("timeout", [-1.0, -1e-9, float("nan"), float("-inf")])
def test_a_negative_timeout_is_refused(
    executor: rt.Executor, text_ids: Ids, timeout: float
) -> None:
    handle = executor.submit(request(text_ids))
    for wait in (handle.result, handle.wait, handle.next):
        with pytest.raises(rt.ConfigError, match="timeout: expected seconds of 0 or more, got"):
            wait(timeout=timeout)
    assert handle.result(timeout=float("inf")).finish_reason in ("stop", "length")


def test_alignment_where_asked(executor: rt.Executor, text_ids: Ids) -> None:
    assert executor.generate(request(text_ids)).alignment is None
    result = executor.generate(request(text_ids, return_alignment=True))
    assert result.alignment is not None
    assert result.alignment.shape == (result.metrics.steps, len(text_ids))
    assert result.alignment.dtype == np.float32


def test_asyncio(executor: rt.Executor, text_ids: Ids) -> None:
    async def collect(seed: int) -> list[list[int]]:
        frames: list[list[int]] = []
        async for event in executor.astream(request(text_ids, seed=seed)):
            frames += event.codes.tolist()
        return frames

    async def collect_all() -> list[list[list[int]]]:
        return await asyncio.gather(*(collect(seed) for seed in range(4)))

    streamed = asyncio.run(collect_all())
    for seed, frames in enumerate(streamed):
        assert frames == executor.generate(request(text_ids, seed=seed)).codes.tolist()


def test_cancelling_a_task_cancels_its_request(executor: rt.Executor, text_ids: Ids) -> None:
    async def follow(started: asyncio.Event) -> None:
        async for _ in executor.astream(request(text_ids, max_frames=200, min_frames=200)):
            started.set()

    async def cancel_soon() -> None:
        started = asyncio.Event()
        task = asyncio.create_task(follow(started))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancel_soon())
    wait_until_idle(executor)


def test_voices(executor: rt.Executor, text_ids: Ids) -> None:
    rows = np.random.default_rng(3).standard_normal((5, executor.engine.info.dim))
    executor.add_voice("me", rows.astype(np.float32))
    assert "me" in executor.voices()
    by_name = executor.generate(request(text_ids, voice="me"))
    by_rows = executor.generate(request(text_ids, voice=None, context_embeddings=rows))
    assert by_name.codes.tolist() == by_rows.codes.tolist()
    with pytest.raises(rt.ConfigError, match="me"):
        executor.add_voice("me", rows)
    executor.remove_voice("me")
    for again in (
        lambda: executor.remove_voice("me"),
        lambda: executor.generate(request(text_ids, voice="me")),
    ):
        with pytest.raises(rt.ConfigError, match="me"):
            again()
    with pytest.raises(rt.ConfigError):
        executor.add_voice("thin", rows[:, 1:])
    with pytest.raises(rt.ConfigError, match="codes"):  # this model's context is stored rows
        executor.add_voice("coded", codes=np.zeros((4, 8), np.int32))
    with pytest.raises(rt.ConfigError, match="got 2"):
        executor.add_voice("two", rows, codes=np.zeros((4, 8), np.int32))
    with pytest.raises(rt.ConfigError, match="got 0"):
        executor.add_voice("nothing")


def test_use_after_close(engine: Path, text_ids: Ids) -> None:
    with rt.Executor(engine, device="cpu") as executor:
        handle = executor.submit(request(text_ids, max_frames=200, min_frames=200))
    assert handle.result(timeout=10).finish_reason == "cancelled"
    for use in (executor.generate, executor.submit, executor.stream, executor.astream):
        with pytest.raises(rt.ClosedError):
            use(request(text_ids))
    with pytest.raises(rt.ClosedError, match="add_voice"):
        executor.add_voice("late", np.zeros((3, executor.engine.info.dim), np.float32))
    executor.close()


def test_close_may_drain(engine: Path, text_ids: Ids) -> None:
    executor = rt.Executor(engine, device="cpu")
    handles = [executor.submit(request(text_ids, seed=i)) for i in range(4)]
    executor.close(drain=True)
    assert {handle.result(timeout=0).finish_reason for handle in handles} <= {"stop", "length"}


def test_an_unknown_device_gives_a_list_of_known_ones(engine: Path) -> None:
    with pytest.raises(rt.ConfigError, match="reference"):
        rt.Executor(engine, device="tpu")
    assert {"cpu", "reference"} <= {device.name for device in rt.list_devices()}


def test_a_wrong_option_is_named(engine: Path) -> None:
    with pytest.raises(rt.ConfigError, match="num_threads"):
        rt.Executor(engine, num_threads="two")  # type: ignore[arg-type]
    with pytest.raises(rt.ConfigError, match="max_batch_size"):
        rt.Executor(engine, max_batch_size=10**6)


def test_info_has_device_and_memory(executor: rt.Executor) -> None:
    info = executor.info
    assert info.device in ("cpu", "cuda:0") and info.description  # "auto" takes a GPU
    assert info.weight_bytes > 0 and info.state_bytes > 0 and info.activation_bytes > 0


def test_a_folder_without_an_engine(tmp_path: Path) -> None:
    with pytest.raises((rt.FormatError, rt.ConfigError), match=r"engine\.json"):
        rt.Executor(tmp_path)


def test_ctrl_c_ends_a_wait(engine: Path) -> None:
    # A shell may start background processes with the signal ignored.
    code = (
        "import signal, sys, ttsrt_rt as rt\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with rt.Executor(sys.argv[1], device='reference') as executor:\n"
        "    while True:\n"
        "        ids = list(range(30))\n"
        "        handle = executor.submit(text_ids=ids, voice=0, max_frames=200, min_frames=200)\n"
        "        handle.next()\n"
        "        print('running', flush=True)\n"
        "        handle.result()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(engine)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "running\n"
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "KeyboardInterrupt" in errors


@pytest.mark.parametrize("nothing", ["hello", [5, 6, 7], ["text_ids"]])
def test_ids_are_not_requests(executor: rt.Executor, nothing: object) -> None:
    with pytest.raises(rt.ConfigError, match="text_ids="):
        executor.generate(nothing)  # type: ignore[call-overload]


@pytest.mark.parametrize("name", ["engine.json", "weights.safetensors"])
def test_a_damaged_file_is_named_even_if_it_is_not_utf8(
    engine: Path, tmp_path: Path, name: str
) -> None:
    damaged = shutil.copytree(engine, tmp_path / "damaged")
    with open(damaged / name, "r+b") as file:
        file.seek(20)
        file.write(b"\x9b\xff\x9b")
    with pytest.raises(rt.FormatError, match=name):
        rt.Executor(damaged)


def test_threads_far_above_the_cores_are_warned_of(
    engine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cores = _core.usable_cores()
    for num_threads, is_warned in ((2 * cores, False), (2 * cores + 1, True)):
        caplog.clear()
        with rt.Executor(engine, device="cpu", num_threads=num_threads):
            pass
        assert ("num_threads" in caplog.text) == is_warned


def test_a_closed_executor_is_not_entered(engine: Path) -> None:
    executor = rt.Executor(engine, device="cpu")
    with executor:
        pass
    with pytest.raises(rt.ClosedError, match="doesn't open again"), executor:
        pass
