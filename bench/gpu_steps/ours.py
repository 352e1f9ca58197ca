"""Measures our executors: steps, prompts, first frames, and speech per second."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.gpu_steps.cases import Case, Scale
from bench.t3_peers.ours import prompt_of
from bench.t3_peers.shape import SIZES
from ttsrt_rt.errors import InternalError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ttsrt_rt._core import IterationStats
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.request import Request
    from ttsrt_rt.result import Result

__all__ = [
    "Maker",
    "StepTimes",
    "first_frames",
    "frame_rates",
    "gpu_rates",
    "open_executor",
    "prefill_times",
    "step_times",
    "whole_steps",
]

_MOST_ITERATIONS = 1 << 14
_SETTLING = 8  # steps that are left out: graphs may be captured in the first
_PASSES = 2
_MOST_PASSES = 8  # of requests that a busy machine begins too far apart
_VOICE_DEVIATION = 0.5


@contextmanager
def open_executor(
    engine: Path, device: str, requests: int, *, is_profiled: bool = False
) -> Iterator[Executor]:
    """An executor that runs so many requests at once and lets nothing slow their beginning."""
    from ttsrt_rt.executor import Executor

    options: dict[str, Any] = {
        "device": device,
        "max_batch_size": requests,
        "prefill_slice_seconds": 0.0,
        "iter_stats_max_iterations": _MOST_ITERATIONS,
        "max_queue_size": 2 * requests,
        "profile": is_profiled,
    }
    with Executor(engine, **options) as executor:
        yield executor


class Maker:
    """Makes requests of a model that all differ, and none of which ends early.

    Args:
        model: As `Case.model` names it.
        size: "true" or "tiny".
        executor: Whose engine they are for.
    """

    def __init__(self, model: str, size: str, executor: Executor) -> None:
        self._model, self._size = model, size
        self._info = executor.engine.info
        self._facts = None
        if model in ("2503", "v2607"):
            from ttsrt_rt.bench.facts import EngineFacts

            self._facts = EngineFacts.of(executor.engine)
        self._seeds = itertools.count(1)

    @property
    def frames_per_step(self) -> int:
        """Codec frames of a step."""
        return int(self._info.frame_stacking)

    def request(
        self, rows: int, steps: int, *, is_guided: bool, text_len: int, voice: int | None = None
    ) -> Request:
        """A request with so many rows in front of its first step.

        Args:
            rows: Of the context (Magpie), or of the whole prompt.
            steps: Decoder steps.
            is_guided: Whether it has an unconditional branch.
            text_len: Text tokens of Magpie.
            voice: A stored voice that stands for the rows.
        """
        from ttsrt_rt.request import Request

        seed = next(self._seeds)
        frames = steps * self.frames_per_step
        fields: dict[str, Any] = {"max_frames": frames, "min_frames": frames, "seed": seed}
        if self._model == "t3":
            fields |= prompt_of(SIZES[self._size], rows, seed)
            fields["cfg_scale"] = 1.5 if is_guided else 1.0
        elif self._model == "tinyllama":
            ids = np.random.default_rng(seed).integers(3, self._info.text_vocab, rows)
            fields |= {"text_ids": ids, "prior": None}
        else:
            fields |= self._magpie(seed, rows, text_len, voice)
            fields["cfg_scale"] = 2.5 if is_guided else 1.0
        return Request(**fields)

    def _magpie(self, seed: int, rows: int, text_len: int, voice: int | None) -> dict[str, Any]:
        facts = self._facts
        assert facts is not None
        random = np.random.default_rng(seed)
        fields: dict[str, Any] = {
            "text_ids": random.integers(0, facts.text_vocab - 2, text_len),
            "prior": facts.endless_prior,
            "chunk_frames": facts.frame_stacking,
        }
        if voice is not None:
            return {**fields, "voice": voice % facts.num_voices}
        if facts.takes_codes:
            shape = (rows * facts.frame_stacking, facts.codebooks)
            return {**fields, "context_codes": random.integers(0, facts.codebook_vocab - 8, shape)}
        values = random.standard_normal((rows, facts.dim), np.float32) * _VOICE_DEVIATION
        return {**fields, "context_embeddings": values.astype(np.float32)}


@dataclass
class StepTimes:
    """Steps in which all requests decoded and nothing else ran.

    Attributes:
        step_ms: From the end of one to the end of the next, as the executor's loop sees it.
        device_ms: Of these, on the device.
        client_ms: Of the steps after the first of a request that runs alone, as its client sees it;
            one per pass.
        stages: Milliseconds of a step in each stage, where they were recorded.
    """

    step_ms: list[float] = field(default_factory=list)
    device_ms: list[float] = field(default_factory=list)
    client_ms: list[float] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)

    @property
    def host(self) -> float:
        """The share of the device's time that a step takes beside it."""
        device = statistics.median(self.device_ms)
        if device <= 0.0:
            return 0.0
        return max(statistics.median(self.step_ms) / device - 1.0, 0.0)


def whole_steps(iterations: Iterable[IterationStats], count: int) -> list[IterationStats]:
    """The iterations that carried a step of `count` requests and nothing else, but for the first
    few and the last.
    """
    found = [
        each
        for each in iterations
        if each.inflight_batching_stats.num_gen_requests == count
        and each.inflight_batching_stats.num_ctx_tokens == 0
    ]
    return found[_SETTLING:-1]


def _run(
    executor: Executor, requests: Sequence[Request]
) -> tuple[list[IterationStats], list[Result]]:
    """Runs the requests at once and returns the iterations and the results."""
    before = executor.stats().num_iterations
    results = executor.generate(requests)
    for done in results:
        if done.error:
            raise InternalError(f"a request failed: {done.error}")
    return [each for each in executor.stats().iterations if each.iter > before], results


def step_times(executor: Executor, maker: Maker, case: Case, scale: Scale) -> StepTimes:
    """Measures the steps of a case.

    Requests that are submitted one after another decode together only from the last one's
    beginning on. Where that left fewer steps than `Scale.least`, they run again.

    Raises:
        InternalError: A request failed, or there were too few steps after all passes.
    """
    count, rows = scale.requests_of(case), scale.context_of(case)
    told: dict[str, Any] = {"is_guided": case.is_guided, "text_len": scale.text_len}
    times = StepTimes()
    _run(executor, [maker.request(rows, _SETTLING, **told) for _ in range(count)])
    for turn in range(_MOST_PASSES):
        if turn >= _PASSES and len(times.step_ms) >= scale.least:
            break
        requests = [maker.request(rows, scale.steps_of(case), **told) for _ in range(count)]
        iterations, results = _run(executor, requests)
        found = whole_steps(iterations, count)
        times.step_ms += [each.iter_latency_ms for each in found]
        times.device_ms += [each.device_latency_ms for each in found]
        metrics = results[0].metrics
        if count == 1:
            spent = metrics.total_seconds - metrics.first_frame_seconds
            times.client_ms.append(1e3 * spent / (metrics.steps - 1))
    if len(times.step_ms) < scale.least:
        raise InternalError(
            f"{case.key}: expected {scale.least} steps or more in which all requests decode, got "
            f"{len(times.step_ms)}"
        )
    times.stages = _stages(executor)
    return times


def _stages(executor: Executor) -> dict[str, float]:
    """Milliseconds of a run of each stage of decode, times its runs in a step."""
    found = [each for each in executor.stats().stages if each.program == "decode"]
    steps = min((each.runs for each in found), default=1)
    return {each.stage: 1e3 * each.seconds / max(steps, 1) for each in found}


def prefill_times(
    executor: Executor, maker: Maker, case: Case, scale: Scale
) -> tuple[list[float], list[float]]:
    """Milliseconds of a prompt's rows in the loop and on the device, one request at a time."""
    loop: list[float] = []
    device: list[float] = []
    for turn in range(scale.least + 3):
        request = maker.request(scale.prompt, 4, is_guided=case.is_guided, text_len=scale.text_len)
        iterations, _ = _run(executor, [request])
        carried = [each for each in iterations if each.inflight_batching_stats.num_ctx_tokens > 0]
        alone = [each for each in carried if each.inflight_batching_stats.num_gen_requests == 0]
        if turn < 3 or not alone:
            continue
        loop.append(sum(each.iter_latency_ms for each in alone))
        device.append(sum(each.device_latency_ms for each in alone))
    if not loop:
        raise InternalError(f"{case.key}: no iteration carried prompt rows alone")
    return loop, device


def first_frames(executor: Executor, maker: Maker, scale: Scale) -> list[float]:
    """Milliseconds from submit to the first codes of guided requests to an idle executor."""
    found = []
    for turn in range(scale.firsts + 5):
        request = maker.request(0, 4, is_guided=True, text_len=scale.text_len, voice=0)
        begin = time.perf_counter()
        events = executor.stream(request)
        next(events)
        spent = 1e3 * (time.perf_counter() - begin)
        for _ in events:
            pass
        if turn >= 5:
            found.append(spent)
    return found


def frame_rates(executor: Executor, maker: Maker, case: Case, scale: Scale) -> tuple[float, float]:
    """Codec frames per second of all requests with stored voices: while all decode, and in all.

    Raises:
        InternalError: A request failed, or too few steps had all requests in every pass.
    """
    steps = scale.long_frames // maker.frames_per_step
    count = scale.requests_of(case)
    told: dict[str, Any] = {"is_guided": case.is_guided, "text_len": scale.text_len}
    _run(executor, [maker.request(0, _SETTLING, voice=i, **told) for i in range(count)])
    for _ in range(_MOST_PASSES):
        requests = [maker.request(0, steps, voice=i, **told) for i in range(count)]
        begin = time.perf_counter()
        iterations, _ = _run(executor, requests)
        spent = time.perf_counter() - begin
        found = whole_steps(iterations, count)
        if len(found) >= scale.least:
            break
    else:
        raise InternalError(f"{case.key}: expected {scale.least} steps or more, got {len(found)}")
    seconds = 1e-3 * sum(each.iter_latency_ms for each in found)
    all_frames = count * steps * maker.frames_per_step
    return sum(each.num_frames for each in found) / seconds, all_frames / spent


def gpu_rates(executor: Executor, maker: Maker, case: Case, scale: Scale) -> list[float]:
    """Codec frames per second of all requests on all GPUs, without their beginnings: by the
    difference between long requests and short ones. One per pass.
    """
    long, count = scale.long_frames // maker.frames_per_step, scale.requests_of(case)
    short = long // 4
    told: dict[str, Any] = {"is_guided": case.is_guided, "text_len": scale.text_len}
    found = []
    for turn in range(_PASSES + 1):
        seconds = []
        for steps in (short, long):
            requests = [maker.request(0, steps, voice=i, **told) for i in range(count)]
            begin = time.perf_counter()
            _run(executor, requests)
            seconds.append(time.perf_counter() - begin)
        if turn > 0:
            frames = count * (long - short) * maker.frames_per_step
            found.append(frames / max(seconds[1] - seconds[0], 1e-9))
    return found
