"""Memory of an engine, planned for batch sizes and lengths it need not have been built for.

The library plans it (cpp/include/ttsrt/memory.h). A plan is exact, not an estimate: it is what the
`info` of an executor says, to the byte, for limits that an executor can be opened with.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, get_args

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import CacheDType, Device, DTypeObject, Preempt, Speculation, dtype_name

if TYPE_CHECKING:
    from ttsrt_rt import _core

__all__ = ["CACHE_DTYPES", "MemoryPlan", "ReplicaMemory", "plan_memory"]

CACHE_DTYPES: tuple[str, ...] = get_args(CacheDType)

_BLOCK = 16  # positions of a block of the cache
# Bytes of a cached number, and of the scale that each key and each value of a head has.
_CACHED = {"float32": (4, 0), "bfloat16": (2, 0), "float16": (2, 0), "int8": (1, 4)}


@dataclass(frozen=True)
class ReplicaMemory:
    """Bytes of one replica; most attributes are those of `MemoryPlan`.

    Attributes:
        weights: Of its own copy on a GPU; 0 where it reads those of the host.
        free: Of the GPU's memory, while this was planned; 0 for the CPU.
        cache_tokens: Positions of its paged cache.
    """

    device: str
    kv_cache: int
    cross_memory: int
    slots: int
    activations: int
    scratch: int
    weights: int
    free: int
    cache_tokens: int


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes for one choice of limits. Bytes are sums over the replicas, limits are of each.

    Attributes:
        max_batch_size: Requests in flight.
        max_seq_len: Decoder positions of each.
        kv_cache_dtype: Type of keys and values.
        max_paused_requests: Requests that may be paused besides; 0 without preemption.
        max_num_tokens: Rows of one Program in one launch.
        cache_tokens: Positions of the paged cache, of all requests together.
        weights: Weights: the copies that GPUs keep, and the engine's file once if a replica reads
            it on the host, where all executors of an Engine share it.
        kv_cache: Self-attention: two branches and a shared prefix of every request, paused ones
            included.
        cross_memory: Cross-attention: keys and values of texts and contexts.
        slots: Everything else a request keeps: context rows, convolutions, counts, codes, rules.
        activations: Activations of all Programs.
        scratch: Packed inputs, and what threads need beside activations.
        is_served: Whether this engine, as it was built, can be opened with these limits.
        voice_rows: T3: rows of a voice, with the longest prompt; 0 for other families.
        voice: Bytes of these rows, which an added voice takes besides (and its name).
        voice_kv_cache: Of `kv_cache`, what a voice takes while requests use it, shared by all of
            them: whole blocks with the keys and values of its rows, all but the emotion's.
        replicas: What each replica takes, in the order of the devices.
    """

    max_batch_size: int
    max_seq_len: int
    kv_cache_dtype: str
    max_paused_requests: int
    max_num_tokens: int
    cache_tokens: int
    weights: int
    kv_cache: int
    cross_memory: int
    slots: int
    activations: int
    scratch: int
    is_served: bool
    replicas: tuple[ReplicaMemory, ...]
    voice_rows: int = 0
    voice: int = 0
    voice_kv_cache: int = 0

    @property
    def state(self) -> int:
        """What `executor.info.state_bytes` says."""
        return self.kv_cache + self.cross_memory + self.slots

    @property
    def total(self) -> int:
        """All of it, weights included."""
        return self.weights + self.state + self.activations + self.scratch


def plan_memory(
    engine: str | os.PathLike[str],
    *,
    batch_sizes: Sequence[int] = (),
    seq_lens: Sequence[int] = (),
    kv_cache_dtypes: Sequence[CacheDType | DTypeObject] = (),
    device: Device = "auto",
    num_threads: int = 0,
    preempt: Preempt = "none",
    max_paused_requests: int = 0,
    max_num_tokens: int = 0,
    max_tokens_in_paged_kv_cache: int = 0,
    kv_cache_free_gpu_mem_fraction: float | None = None,
    speculation: Speculation | Mapping[str, Any] | None = None,
    draft_engine: str | os.PathLike[str] | None = None,
) -> list[MemoryPlan]:
    """Plans every combination, in the order dtype, length, batch size.

    Args:
        engine: An engine folder.
        batch_sizes: Requests in flight; none for 1, 2, 4, ... up to the engine's.
        seq_lens: Decoder positions; none for the engine's.
        kv_cache_dtypes: float32, bfloat16, float16, int8; none for the engine's own.
        device: The device that would run it, or several, as `Executor` takes them.
        num_threads: As `Executor` takes it.
        preempt: As `Executor` takes it.
        max_paused_requests: As `Executor` takes it.
        max_num_tokens: Rows of one Program in one launch; 0 for the engine's.
        max_tokens_in_paged_kv_cache: As `Executor` takes it.
        kv_cache_free_gpu_mem_fraction: As `Executor` takes it, of the memory that is free on the
            GPU now.
        speculation: As `Executor` takes it: guesses take rows of launches.
        draft_engine: As `Executor` takes it; what it takes is part of all numbers but
            `cache_tokens`.

    Raises:
        ConfigError: A value that no engine of this checkpoint could be built for, or an unknown
            device.
        CapacityError: A fraction leaves too little for one request.
        FormatError: The engine is damaged, or not one.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.native_request import set_options, speculation_options

    opened = _core.Engine.open(engine)
    for name, values in (("max_batch_size", batch_sizes), ("max_seq_len", seq_lens)):
        if any(value < 1 for value in values):
            raise ConfigError(f"{name}: expected 1 or more, got {list(values)}")
    guesses = None if speculation is None else speculation_options(speculation)
    plans = []
    dtypes = [dtype_name(each, "kv_cache_dtype", CACHE_DTYPES) for each in kv_cache_dtypes]
    for dtype in dtypes or ("",):
        for length in seq_lens or (0,):
            for batch in batch_sizes or _usual_batch_sizes(opened.info.max_batch_size):
                options = set_options(
                    _core.MemoryOptions(),
                    device=device,
                    num_threads=num_threads,
                    max_batch_size=batch,
                    max_seq_len=length,
                    kv_cache_dtype=dtype,
                    preempt=preempt,
                    max_paused_requests=max_paused_requests,
                    max_num_tokens=max_num_tokens,
                    max_tokens_in_paged_kv_cache=max_tokens_in_paged_kv_cache,
                    kv_cache_free_gpu_mem_fraction=kv_cache_free_gpu_mem_fraction,
                    speculation=guesses,
                    draft_engine=draft_engine,
                )
                plan = _core.plan_memory(opened, options)
                plans.append(_plan_of(plan, _voice(opened, plan.kv_cache_dtype)))
    return plans


def _plan_of(native: _core.MemoryPlan, voice: dict[str, int]) -> MemoryPlan:
    values: dict[str, Any] = {
        of.name: getattr(native, of.name)
        for of in fields(MemoryPlan)
        if not of.name.startswith("voice")
    }
    names = [of.name for of in fields(ReplicaMemory)]
    values["replicas"] = tuple(
        ReplicaMemory(**{name: getattr(replica, name) for name in names})
        for replica in native.replicas
    )
    return MemoryPlan(**values | voice)


def _voice(opened: _core.Engine, kv_cache_dtype: str) -> dict[str, int]:
    """The bytes of a voice of T3; nothing for other families."""
    if opened.info.family != "t3":
        return {}
    model: dict[str, Any] = json.loads(opened.description)["model"]
    of, decoder = model["conditioning"], model["decoder"]
    shared = 1 + (of["queries"] or of["max_prompt"])
    rows = shared + int(of["emotion"])
    item, scale = _CACHED[kv_cache_dtype]
    position = 2 * decoder["layers"] * decoder["kv_heads"] * (decoder["head_dim"] * item + scale)
    return {
        "voice_rows": rows,
        "voice": rows * decoder["dim"] * 4,
        "voice_kv_cache": -(-shared // _BLOCK) * _BLOCK * position,
    }


def _usual_batch_sizes(most: int) -> list[int]:
    """Powers of two, and the engine's own."""
    sizes = {1 << power for power in range(most.bit_length())} | {most}
    return sorted(size for size in sizes if size <= most)
