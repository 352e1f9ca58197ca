"""The memory of an engine of a language model: what fits a budget, what blocks of a cache save, and
what a run really takes beside what was planned.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError, InternalError
from ttsrt_rt.memory import MemoryPlan, plan_memory

if TYPE_CHECKING:
    from ttsrt_rt.llm.generator import Generator

__all__ = [
    "MAX_BATCH",
    "BlockUse",
    "MeasuredMemory",
    "available_bytes",
    "block_use",
    "can_run",
    "largest_batch",
    "measure_memory",
    "run_measured",
]

MAX_BATCH = 4096
BLOCK = 16  # positions of a block of the cache
PAD_BYTES = 32 << 20  # of a process, that no plan counts
SHARE = 0.03
_TRIES = 3
_MOST_ITERATIONS = 1 << 12
_STATUS = Path("/proc/self/status")
_CHILD = "from ttsrt_rt.llm.memory_use import run_measured; run_measured()"


@dataclass(frozen=True)
class BlockUse:
    """Bytes of the cache for requests of stated lengths.

    Attributes:
        used: by keys and values that are there.
        in_blocks: reserved in blocks of 16 positions.
        contiguous: reserved where each request has room for the longest.
    """

    used: int
    in_blocks: int
    contiguous: int

    @property
    def waste_in_blocks(self) -> float:
        """The part of the blocks that holds nothing."""
        return 1 - self.used / self.in_blocks

    @property
    def waste_contiguous(self) -> float:
        """The part of a contiguous reservation that holds nothing."""
        return 1 - self.used / self.contiguous


@dataclass(frozen=True)
class MeasuredMemory:
    """A run in a process of its own.

    Attributes:
        planned: bytes of the plan.
        measured: bytes by which the process grew, at its peak.
        requests, length: what ran.
    """

    planned: int
    measured: int
    requests: int
    length: int

    @property
    def difference(self) -> int:
        """Measured beyond planned; negative for less."""
        return self.measured - self.planned

    @property
    def is_close(self) -> bool:
        """Whether they differ by at most 3 % and 32 MiB."""
        return abs(self.difference) <= SHARE * self.planned + PAD_BYTES


def available_bytes() -> int:
    """Memory that a process could get without swapping."""
    for line in Path("/proc/meminfo").read_text("ascii").splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def largest_batch(
    plan_of: Callable[[int], MemoryPlan], budget: int, most: int = MAX_BATCH
) -> tuple[int, MemoryPlan | None]:
    """Returns the largest batch whose plan fits a budget, with that plan; 0 and None if not even
    one request fits.

    Args:
        plan_of: plans a batch.
        budget: bytes.
        most: where the search ends.
    """
    best: tuple[int, MemoryPlan | None] = (0, None)
    too_many = most + 1
    while best[0] + 1 < too_many:
        doubled = max(2 * best[0], 1)
        batch = doubled if doubled < too_many else (best[0] + too_many) // 2
        plan = plan_of(batch)
        if plan.total <= budget:
            best = (batch, plan)
        else:
            too_many = batch
    return best


def block_use(lengths: Sequence[int], bytes_of_position: float) -> BlockUse:
    """Returns what requests of these lengths use and reserve.

    Args:
        lengths: positions of each.
        bytes_of_position: keys and values of all layers.
    """
    if not lengths or min(lengths) < 1:
        raise ConfigError(f"lengths: expected positions from 1, got {list(lengths)}")
    blocks = sum(-(-length // BLOCK) * BLOCK for length in lengths)
    longest = -(-max(lengths) // BLOCK) * BLOCK
    return BlockUse(
        int(sum(lengths) * bytes_of_position),
        int(blocks * bytes_of_position),
        int(longest * len(lengths) * bytes_of_position),
    )


def can_run(engine: str | os.PathLike[str], batch: int, length: int) -> bool:
    """Whether an engine, as it was built, runs so many requests of so many positions.

    Raises:
        ConfigError: it is no engine of a language model.
    """
    from ttsrt_rt import _core

    info = _core.Engine.open(engine).info
    if info.family != "llm":
        raise ConfigError(
            f"{os.fspath(engine)}: expected an engine of a language model, got one of "
            f"{info.family}; ttsrt inspect ENGINE --memory plans those"
        )
    return batch <= info.max_batch_size and length <= info.max_seq_len


def measure_memory(
    engine: str | os.PathLike[str],
    *,
    batch: int,
    length: int,
    kv_cache_dtype: str | None = None,
    num_threads: int = 0,
    draft_engine: str | os.PathLike[str] | None = None,
) -> MeasuredMemory:
    """Runs so many requests, up to so many positions each, in a process of its own on the CPU, and
    returns its peak beside the plan. A draft engine guesses for all of them.

    Raises:
        ConfigError: the engine was built for less.
        InternalError: the process failed.
    """
    kinds: Any = [kv_cache_dtype] if kv_cache_dtype else []
    (whole,) = plan_memory(
        engine, batch_sizes=[batch], seq_lens=[length], kv_cache_dtypes=kinds, device="cpu"
    )
    if not can_run(engine, batch, length):
        raise ConfigError(
            f"{os.fspath(engine)}: expected at most its own max_batch_size and max_seq_len to "
            f"measure, got {batch} requests of {length}"
        )
    guesses = None if draft_engine is None else {"speculate_below": batch + 1}
    told: dict[str, Any] = {
        "max_batch_size": batch,
        "max_tokens_in_paged_kv_cache": whole.cache_tokens,
        "num_threads": num_threads,
    }
    (plan,) = plan_memory(
        engine,
        batch_sizes=[batch],
        kv_cache_dtypes=kinds,
        device="cpu",
        num_threads=num_threads,
        max_tokens_in_paged_kv_cache=whole.cache_tokens,
        speculation=guesses,
        draft_engine=draft_engine,
    )
    if draft_engine is not None:
        told |= {"draft_engine": os.fspath(draft_engine), "speculation": guesses}
        told["prefill_slice_seconds"] = 0.0  # it reads all of the prompts at once
    if kv_cache_dtype:
        told["kv_cache_dtype"] = kv_cache_dtype
    asked = {"engine": os.fspath(engine), "options": told, "length": length}
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode != 0:
        raise InternalError(f"memory: the measured run failed: {done.stderr.strip()[-400:]}")
    return MeasuredMemory(plan.total, int(json.loads(done.stdout)["bytes"]), batch, length)


def run_measured() -> None:
    """The process of `measure_memory`: reads what to run from its input, and writes the bytes."""
    from ttsrt_rt.llm.generator import Generator

    asked = json.loads(sys.stdin.read())
    options: dict[str, Any] = asked["options"]
    before = _status_bytes("VmRSS")
    options["iter_stats_max_iterations"] = _MOST_ITERATIONS
    options["prefill_slice_seconds"] = 0.0  # so that none ends before the last one has begun
    with Generator(asked["engine"], device="cpu", **options) as generator:
        length = int(asked["length"])
        _fill(generator, int(options["max_batch_size"]), length)
        if length > 1:  # scores have a Program of their own, which the plan counts
            generator.score(_ids(generator, length + 1))
        peak = _status_bytes("VmHWM")
    sys.stdout.write(json.dumps({"bytes": peak - before}))


def _fill(generator: Generator, batch: int, length: int) -> None:
    """Runs a batch that fills the cache; again if requests came too slowly to be there together."""
    rows = max(min(generator.executor.engine.info.max_input_len, length - 1), 1)
    steps = length - rows + 1
    prompts = [_ids(generator, rows)] * batch
    wanted = batch * (-(-length // BLOCK) - 1)  # the last block of each may be empty
    for _ in range(_TRIES):
        generator.generate_batch(prompts, max_tokens=steps, min_tokens=steps)
        stats = generator.executor.stats().iterations
        if max(each.kv_cache_stats.used_num_blocks for each in stats) >= wanted:
            return


def _ids(generator: Generator, count: int) -> list[int]:
    return [at % generator.executor.engine.info.text_vocab for at in range(count)]


def _status_bytes(name: str) -> int:
    for line in _STATUS.read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise InternalError(f"{_STATUS}: expected {name}, got none")
