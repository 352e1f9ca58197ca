"""Measures language models side by side: engines take turns within each iteration, so that a change
of the machine's state meets all of them.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.bench.llm_contestants import Task
from ttsrt_rt.bench.llm_times import RequestTimes
from ttsrt_rt.bench.machine import OtherWork
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.prompts import PromptLine

if TYPE_CHECKING:
    from ttsrt_rt.bench.llm_contestants import Contestant

__all__ = ["LlmBench", "LlmBenchOptions", "run_llm_bench"]

_READ_SECONDS = 0.2


@dataclass(frozen=True)
class LlmBenchOptions:
    """What is run.

    Attributes:
        output_len: ids of each request, which all are generated.
        batch_sizes: requests that are submitted together.
        iterations, warmup: runs that count, and that don't.
        concurrency: instead of batch sizes, so many requests at a time, one after the other.
        request_rate: instead of batch sizes, requests a second, at random times.
        requests: of an iteration with `concurrency` or `request_rate`.
        seed: of these times.
    """

    output_len: int = 128
    batch_sizes: tuple[int, ...] = (1,)
    iterations: int = 10
    warmup: int = 2
    concurrency: int | None = None
    request_rate: float | None = None
    requests: int = 24
    seed: int = 0

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: one is out of its bounds.
        """
        bounds: dict[str, tuple[float, float]] = {
            "output_len": (1, 1 << 20),
            "iterations": (1, 10_000),
            "warmup": (0, 1000),
            "concurrency": (1, 4096),
            "request_rate": (1e-3, 1e6),
            "requests": (1, 100_000),
        }
        for name, (low, high) in bounds.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ConfigError(f"{name}: expected {low:g}..{high:g}, got {value}")
        if not self.batch_sizes or min(self.batch_sizes) < 1 or max(self.batch_sizes) > 4096:
            raise ConfigError(
                f"batch_sizes: expected numbers of 1..4096, got {list(self.batch_sizes)}"
            )
        if self.concurrency is not None and self.request_rate is not None:
            raise ConfigError("request_rate: expected it or concurrency, got both")

    @property
    def is_load(self) -> bool:
        """Whether requests arrive over time."""
        return self.concurrency is not None or self.request_rate is not None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Requests of a group."""
        return (self.requests,) if self.is_load else self.batch_sizes


@dataclass
class LlmBench:
    """What was measured.

    Attributes:
        options: what was run.
        engines: name, quantization, memory and limits of each, in the order of the command.
        machine: of what it ran on, and the versions of what ran.
        requests: all of them, without warm-up.
        read_gb_per_s: the rate of reading memory, before each iteration and at the end.
        other_work: the share of the cores' time that others used in each iteration.
    """

    options: LlmBenchOptions
    engines: list[dict[str, Any]]
    machine: dict[str, Any]
    requests: list[RequestTimes] = field(default_factory=list)
    read_gb_per_s: list[float] = field(default_factory=list)
    other_work: list[float] = field(default_factory=list)

    def of(self, engine: str, batch: int) -> list[RequestTimes]:
        """The requests of an engine and a batch size that did not fail."""
        return [
            each
            for each in self.requests
            if each.engine == engine and each.batch == batch and not each.error
        ]

    def groups(self, engine: str, batch: int) -> list[list[RequestTimes]]:
        """The same, each iteration apart."""
        found: dict[int, list[RequestTimes]] = {}
        for each in self.of(engine, batch):
            found.setdefault(each.iteration, []).append(each)
        return list(found.values())


def run_llm_bench(
    contestants: Sequence[Contestant],
    prompts: Sequence[PromptLine],
    options: LlmBenchOptions,
    progress: Callable[[str], object] | None = None,
) -> LlmBench:
    """Runs the same requests with each contestant in turn.

    Args:
        contestants: with different names.
        prompts: taken one after the other, again from the first at the end.
        options: what to run.
        progress: called after each group, with its name.

    Raises:
        ConfigError: two have one name, or one can't run what is asked for.
    """
    names = [each.name for each in contestants]
    if len({*names}) != len(names):
        raise ConfigError(f"engines: expected different names, got {', '.join(names)}")
    made = LlmBench(options, [_described(each) for each in contestants], _machine())
    for iteration in range(-options.warmup, options.iterations):
        other = OtherWork()
        if iteration >= 0:
            made.read_gb_per_s.append(_read_rate())
        for size in options.sizes:
            tasks = _tasks(prompts, options, iteration, size)
            for contestant in _turned(contestants, iteration):
                found = contestant.run(tasks, places=options.concurrency)
                if iteration >= 0:
                    made.requests += found
                if progress is not None:
                    progress(f"{contestant.name}, {size} at once")
        share = other.share()
        if iteration >= 0 and share is not None:
            made.other_work.append(share)
    made.read_gb_per_s.append(_read_rate())
    return made


def _turned(contestants: Sequence[Contestant], iteration: int) -> Iterator[Contestant]:
    """All of them; another one begins each time."""
    for at in range(len(contestants)):
        yield contestants[(at + iteration) % len(contestants)]


def _tasks(
    prompts: Sequence[PromptLine], options: LlmBenchOptions, iteration: int, size: int
) -> list[Task]:
    """The requests of a group, the same for all contestants."""
    delays = [0.0] * size
    if options.request_rate is not None:
        random = np.random.default_rng((options.seed, iteration + options.warmup))
        delays = np.cumsum(random.exponential(1 / options.request_rate, size)).tolist()
    begin = (iteration + options.warmup) * size
    chosen = [prompts[(begin + at) % len(prompts)] for at in range(size)]
    return [
        Task(line, _tokens(line, options), iteration, size, delay)
        for line, delay in zip(chosen, delays, strict=True)
    ]


def _tokens(line: PromptLine, options: LlmBenchOptions) -> int:
    own = line.fields.get("max_tokens", line.fields.get("max_new_tokens"))
    return own if type(own) is int and own > 0 else options.output_len


def _described(contestant: Contestant) -> dict[str, Any]:
    names = (
        "name",
        "quantization",
        "memory_bytes",
        "step_bytes",
        "vocab",
        "max_input_len",
        "max_seq_len",
    )
    found = {name: getattr(contestant, name) for name in names}
    return {**found, "description": getattr(contestant, "description", "")}


def _read_rate() -> float:
    from ttsrt_rt import _core

    return float(_core.measure_read(seconds=_READ_SECONDS))


def _machine() -> dict[str, Any]:
    """What a reader of the figures has to know."""
    from ttsrt_rt import __version__, _core

    described = next(each for each in _core.list_devices() if each.name == "cpu").description
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpu": described,
        "cores": _core.usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": platform.platform(),
        "python": platform.python_version(),
        "ttsrt_rt": __version__,
        "numpy": np.__version__,
    }


def options_dict(options: LlmBenchOptions) -> dict[str, Any]:
    """The options as JSON has them."""
    return asdict(options)
