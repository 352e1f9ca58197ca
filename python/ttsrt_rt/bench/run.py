"""Runs a data set on an engine: closed loop at given concurrencies, open loop, or all at once.

All loads of a run use one executor.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ttsrt_rt.bench.dataset import read_dataset
from ttsrt_rt.bench.facts import EngineFacts
from ttsrt_rt.bench.load import Load, Outcome, arrival_times, run_closed, run_open
from ttsrt_rt.bench.report import Measurement, summarize
from ttsrt_rt.bench.requests import RequestOptions, dataset_shape, sample_requests
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.request import Request

__all__ = ["RunOptions", "RunReport", "run_dataset"]

_NO_CHUNKS = 1 << 20  # frames: larger than any request, so that no event is made before the last


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a data set is run. Without concurrency and rate, all requests are submitted at once.

    Attributes:
        concurrency: Requests in flight, one run for each.
        request_rate: Requests per second, however many are in flight.
        enable_exp_delays: Exponential pauses between arrivals (Poisson) instead of equal ones.
        streaming: Whether events are taken one by one.
        warm_up: Requests that run before anything is measured.
        max_num_samples: Uses only so many from the start of the file; None for all.
        num_vocabs: Codes of one context column; None for a frame's.
        requests: Options of all requests; its seed is also that of the arrivals.
        executor: Options of the `Executor`.
        keeps_codes: Whether outcomes have codes.
    """

    concurrency: tuple[int, ...] = ()
    request_rate: float | None = None
    enable_exp_delays: bool = False
    streaming: bool = False
    warm_up: int = 2
    max_num_samples: int | None = None
    num_vocabs: int | None = None
    requests: RequestOptions = field(default_factory=RequestOptions)
    executor: dict[str, Any] = field(default_factory=dict)
    keeps_codes: bool = False

    def __post_init__(self) -> None:
        if self.concurrency and self.request_rate is not None:
            raise ConfigError("load: expected concurrency or request_rate, got both")
        if any(not 1 <= count <= 4096 for count in self.concurrency):
            raise ConfigError(f"concurrency: expected 1 to 4096, got {list(self.concurrency)}")
        if self.request_rate is not None and not 0 < self.request_rate < 1e6:
            raise ConfigError(
                f"request_rate: expected requests per second above 0, got {self.request_rate}"
            )
        if self.enable_exp_delays and self.request_rate is None:
            raise ConfigError("enable_exp_delays: expected a request_rate to go with it, got none")
        if not 0 <= self.warm_up <= 4096:
            raise ConfigError(f"warm_up: expected 0 to 4096 requests, got {self.warm_up}")


@dataclass(frozen=True)
class RunReport:
    """What a run measured.

    Attributes:
        engine: Folder, device and numbers of the engine, as plain values.
        runs: One for each load.
        frame_rate: Codec frames per second of audio.
        codebooks: Codes of one frame.
    """

    engine: dict[str, Any]
    runs: list[Measurement]
    frame_rate: float
    codebooks: int

    def json(self) -> dict[str, Any]:
        """All figures as plain values; times in milliseconds unless named otherwise."""
        return {
            "engine": self.engine,
            "runs": [summarize(run, self.frame_rate) for run in self.runs],
        }


def run_dataset(
    engine: str | os.PathLike[str],
    dataset: str | os.PathLike[str],
    options: RunOptions,
    *,
    progress: Callable[[str, int, int], None] | None = None,
) -> RunReport:
    """Runs a data set once for each load.

    Args:
        engine: An engine folder.
        dataset: A file of `ttsrt bench prepare`, or of the fork's scripts.
        options: How it is run.
        progress: Called with (load, ended requests, all requests), by one thread at a time.

    Raises:
        ConfigError: The options are wrong, or the engine cannot run a sample.
        FormatError: The engine or the data set is damaged.
        DeviceError, InternalError: The executor cannot run, or a warm-up request failed.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.executor import Executor

    opened = _core.Engine.open(os.fspath(engine))
    facts = EngineFacts.of(opened)
    shape = dataset_shape(facts, options.num_vocabs)
    shared = options.requests
    samples = read_dataset(
        dataset,
        shape,
        max_samples=options.max_num_samples,
        has_contexts=shared.voice is None,
    )
    if not options.streaming:
        shared = replace(shared, chunk_frames=_NO_CHUNKS, initial_chunk_frames=None)
    requests = sample_requests(samples, facts, shared)
    settings = {"max_queue_size": len(requests), **options.executor}
    with Executor(opened, **settings) as executor:
        for request in requests[: options.warm_up]:
            executor.generate(request)
        runs = [
            _measure(executor, requests, concurrency, options, facts, progress)
            for concurrency in options.concurrency or (None,)
        ]
        told = describe(executor)
    return RunReport(
        {**told, "dataset": os.fspath(dataset)}, runs, facts.frame_rate, facts.codebooks
    )


def kind_of(engine: dict[str, Any]) -> str:
    """The type of the weights in what `describe` returned: "bfloat16", "bfloat16 w8a16"."""
    names = [str(engine["dtype"]), str(engine["quantization"])]
    return " ".join(name for name in names if name != "none")


def describe(executor: Executor) -> dict[str, Any]:
    """The engine and the device, as plain values."""
    info = executor.info
    return {
        "path": executor.engine.path,
        "dtype": executor.engine.info.dtype,
        "quantization": executor.engine.info.quantization,
        "kv_cache_dtype": info.kv_cache_dtype,
        "device": info.device,
        "description": info.description,
        "max_batch_size": executor.stats().max_num_active_requests,
    }


def _measure(
    executor: Executor,
    requests: list[Request],
    concurrency: int | None,
    options: RunOptions,
    facts: EngineFacts,
    progress: Callable[[str, int, int], None] | None,
) -> Measurement:
    rate = options.request_rate
    name = "all at once" if rate is None else f"rate {rate:g}/s"
    name = name if concurrency is None else f"concurrency {concurrency}"
    outcomes: list[Outcome] = []
    lock = threading.Lock()

    def done(outcome: Outcome) -> None:
        with lock:
            outcomes.append(outcome)
            if progress is not None:
                progress(name, len(outcomes), len(requests))

    load = Load(executor.submit, done, options.streaming, options.keeps_codes)
    if concurrency is not None:
        seconds = run_closed(load, requests, concurrency)
    else:
        moments = arrival_times(
            len(requests),
            rate or float("inf"),
            is_poisson=options.enable_exp_delays,
            seed=options.requests.seed,
        )
        seconds = run_open(load, requests, moments, facts.max_batch_size)
    outcomes.sort(key=lambda outcome: outcome.index)
    sample_rate = None if options.requests.codes_only else facts.sample_rate
    return Measurement(name, concurrency, rate, options.streaming, seconds, outcomes, sample_rate)
