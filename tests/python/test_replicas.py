"""Executors on several devices, from Python and from the command line."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt import _core
from ttsrt_rt.cli import main
from ttsrt_rt.memory import plan_memory

Ids = NDArray[np.int32]

LISTS = ["cpu,cpu", "reference,reference", "cpu,cpu,cpu"]

MOST_ROUNDS = 1000  # until each replica has run something


def requests_of(text_ids: Ids) -> list[rt.Request]:
    return [
        rt.Request(text_ids=text_ids[: 8 + 2 * i], voice=i % 2, seed=i, max_frames=8, cfg_scale=2.0)
        for i in range(6)
    ]


def have_all_run(executor: rt.Executor) -> bool:
    """Whether each replica has run something; one whose threads the system does not run leaves what
    waits to the others."""
    return all(replica.num_frames > 0 for replica in executor.stats().replicas)


def open_on(engine: Path, device: str, **options: Any) -> rt.Executor:
    return rt.Executor(engine, device=device, num_threads=1, **options)


@pytest.mark.parametrize("device", LISTS)
def test_a_request_gives_the_same_on_every_replica(
    engine: Path, text_ids: Ids, device: str
) -> None:
    requests = requests_of(text_ids)
    with open_on(engine, device.partition(",")[0]) as single:
        alone = [single.generate(each) for each in requests]
        assert len(single.stats().replicas) == 1
    with open_on(engine, device, max_batch_size=1) as executor:
        rounds = 0
        while not have_all_run(executor):
            rounds += 1
            assert rounds < MOST_ROUNDS
            for one, other in zip(alone, executor.generate(requests), strict=True):
                assert one.codes.tolist() == other.codes.tolist()
                assert one.finish_reason == other.finish_reason
        stats = executor.stats()
    assert stats.num_completed == rounds * len(requests)
    assert [replica.device for replica in stats.replicas] == device.split(",")
    assert all(replica.num_frames > 0 and not replica.failure for replica in stats.replicas)
    assert sum(replica.num_frames for replica in stats.replicas) == stats.num_frames
    assert sum(replica.num_iterations for replica in stats.replicas) == stats.num_iterations
    assert {iteration.replica for iteration in stats.iterations} <= set(range(len(stats.replicas)))


def test_streams_and_awaits(engine: Path, text_ids: Ids) -> None:
    requests = requests_of(text_ids)
    with open_on(engine, "cpu") as single:
        alone = [single.generate(each) for each in requests]

    async def stream(executor: rt.Executor, request: rt.Request) -> list[Any]:
        return [event.codes async for event in executor.astream(request)]

    async def stream_all(executor: rt.Executor) -> list[list[Any]]:
        return list(await asyncio.gather(*(stream(executor, each) for each in requests)))

    with open_on(engine, "cpu,cpu", max_batch_size=2) as executor:
        for codes, whole in zip(asyncio.run(stream_all(executor)), alone, strict=True):
            assert np.concatenate(codes).tolist() == whole.codes.tolist()


def test_what_is_told_of_replicas(engine: Path, text_ids: Ids) -> None:
    with open_on(engine, "cpu,cpu", max_batch_size=2, profile=True) as executor:
        info = executor.info
        assert info.device == "cpu,cpu" and info.max_batch_size == 4
        assert len(info.replicas) == 2
        assert info.state_bytes == sum(replica.state_bytes for replica in info.replicas)
        assert "cpu,cpu" in repr(executor)
        for _ in range(MOST_ROUNDS):
            executor.generate(requests_of(text_ids))
            if have_all_run(executor):
                break
        told = json.loads(json.dumps(executor.stats().to_dict()))
        assert {stage["replica"] for stage in told["stages"]} == {0, 1}
    assert [replica["device"] for replica in told["replicas"]] == ["cpu", "cpu"]
    assert told["replicas"][0]["kv_cache_stats"]["max_num_blocks"] > 0
    assert told["max_num_active_requests"] == 4


def test_a_closed_one_cancels_on_all(engine: Path, text_ids: Ids) -> None:
    executor = open_on(engine, "cpu,cpu", max_batch_size=1)
    handles = [executor.submit(each, max_frames=40) for each in requests_of(text_ids)]
    executor.close()
    ends = [handle.result(timeout=0).finish_reason for handle in handles]
    assert set(ends) <= {"stop", "length", "cancelled"} and "cancelled" in ends
    with pytest.raises(rt.ClosedError):
        executor.submit(text_ids=text_ids, voice=0)


def test_added_voices_are_on_all(engine: Path, text_ids: Ids) -> None:
    with open_on(engine, "cpu,cpu", max_batch_size=1) as executor:
        rows = np.random.default_rng(3).standard_normal((6, executor.engine.info.dim))
        executor.add_voice("me", rows.astype(np.float32))
        fields: dict[str, Any] = {"text_ids": text_ids, "voice": "me", "seed": 1, "max_frames": 6}
        results = []
        while not have_all_run(executor):
            assert len(results) < 4 * MOST_ROUNDS
            results += executor.generate([rt.Request(**fields) for _ in range(4)])
    assert len({result.codes.tobytes() for result in results}) == 1


def test_memory_is_planned_for_all(engine: Path) -> None:
    (one,) = plan_memory(engine, batch_sizes=[2], device="cpu", num_threads=1)
    (plan,) = plan_memory(engine, batch_sizes=[2], device="cpu,cpu", num_threads=1)
    with open_on(engine, "cpu,cpu", max_batch_size=2) as executor:
        assert plan.state == executor.info.state_bytes
        assert plan.scratch == executor.info.scratch_bytes
    assert plan.weights == one.weights and plan.state == 2 * one.state
    assert [replica.device for replica in plan.replicas] == ["cpu", "cpu"]
    assert one.replicas[0] in plan.replicas


@pytest.mark.parametrize("device", ["cpu,", "cpu,tpu", "cpu, cpu", "cpu," * 64 + "cpu"])
def test_bad_lists_are_refused(engine: Path, device: str) -> None:
    with pytest.raises(rt.ConfigError, match="device: expected"):
        open_on(engine, device)


def test_threads_of_all_replicas_are_warned_of(
    engine: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cores = _core.usable_cores()
    for device, is_warned in (("cpu,cpu", False), ("cpu,cpu,cpu", True)):
        caplog.clear()
        rt.Executor(engine, device=device, num_threads=cores).close()
        assert ("num_threads" in caplog.text) == is_warned


def test_the_command(engine: Path, text_ids: Ids, tmp_path: Path) -> None:
    ids = tmp_path / "ids.json"
    ids.write_text(json.dumps(text_ids.tolist()))
    command = ["run", str(engine), "--text_ids", str(ids), "--voice", "0", "--max_frames", "4"]
    codes = []
    for device in ("cpu", "cpu,cpu"):
        output = tmp_path / f"{len(codes)}.npy"
        flags = ["--device", device, "--num_threads", "1", "--output", str(output)]
        assert main([*command, *flags]) == 0
        codes.append(np.load(output).tolist())
    assert codes[0] == codes[1]
