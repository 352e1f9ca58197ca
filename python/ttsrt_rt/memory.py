"""Memory of an engine, planned for batch sizes and lengths it need not have been built for.

What an executor keeps is computed as the CPU backend lays it out (`cpu/slots.cpp`, sizes from
`native_network.cpp`); activations and the small records of a slot are taken from an executor opened
for one and for two requests, which touches no memory that it doesn't use. Exact, not an estimate: a
plan for limits that an executor can be opened with is what its `info` says, to the byte.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt import _core

__all__ = ["CACHE_DTYPES", "MemoryPlan", "plan_memory"]

BLOCK_SIZE = 16  # positions of one cache block
# Bytes of an element, and of the scale that each position and head has for keys and for values.
CACHE_DTYPES = {"float32": (4, 0), "bfloat16": (2, 0), "float16": (2, 0), "int8": (1, 4)}
_MAX_BATCH = 4096


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes for one choice of limits.

    Attributes:
        max_batch_size: Requests in flight.
        max_seq_len: Decoder positions of each.
        kv_cache_dtype: Of keys and values.
        weights: Mapped from the engine's file.
        kv_cache: Self-attention: two branches and a shared prefix of every request.
        cross_memory: Cross-attention: keys and values of texts and contexts.
        slots: Everything else a request keeps: context rows, convolutions, counts, codes, rules.
        activations: None where the engine's `max_num_tokens` can't serve so many requests.
        is_served: Whether this engine, as it was built, can be opened so here.
    """

    max_batch_size: int
    max_seq_len: int
    kv_cache_dtype: str
    weights: int
    kv_cache: int
    cross_memory: int
    slots: int
    activations: int | None
    is_served: bool

    @property
    def state(self) -> int:
        """What `executor.info.state_bytes` says."""
        return self.kv_cache + self.cross_memory + self.slots

    @property
    def total(self) -> int:
        """All of it, weights included."""
        return self.weights + self.state + (self.activations or 0)


def plan_memory(
    engine: str | os.PathLike[str],
    *,
    batch_sizes: Sequence[int] = (),
    seq_lens: Sequence[int] = (),
    kv_cache_dtypes: Sequence[str] = (),
) -> list[MemoryPlan]:
    """Plans every combination, in the order dtype, length, batch size.

    Args:
        engine: An engine folder.
        batch_sizes: Requests in flight; none for 1, 2, 4, ... up to the engine's.
        seq_lens: Decoder positions; none for the engine's.
        kv_cache_dtypes: float32, bfloat16, float16, int8; none for the engine's own.

    Raises:
        ConfigError: A value that no engine of this checkpoint could be built for.
        FormatError: The engine is damaged, or not one.
    """
    from ttsrt_rt import _core

    opened = _core.Engine.open(os.fspath(engine))
    planner = _Planner(opened)
    batch_sizes = batch_sizes or planner.usual_batch_sizes()
    seq_lens = seq_lens or [opened.info.max_seq_len]
    dtypes = kv_cache_dtypes or [planner.cache_dtype]
    for name, values, most in (
        ("batch_size", batch_sizes, _MAX_BATCH),
        ("seq_len", seq_lens, planner.max_positions),
    ):
        if min(values) < 1 or max(values) > most:
            raise ConfigError(f"{name}: expected 1 to {most}, got {list(values)}")
    unknown = [name for name in dtypes if name not in CACHE_DTYPES]
    if unknown:
        known = ", ".join(CACHE_DTYPES)
        raise ConfigError(f"kv_cache_dtype: expected some of {known}, got {', '.join(unknown)}")
    return [
        planner.plan(batch, length, dtype)
        for dtype in dtypes
        for length in seq_lens
        for batch in batch_sizes
    ]


class _Planner:
    """Sizes of one engine."""

    def __init__(self, engine: _core.Engine) -> None:
        self.engine = engine
        self.info = engine.info
        self.model: dict[str, Any] = json.loads(engine.description)["model"]
        self.decoder: dict[str, Any] = self.model["decoder"]
        self.max_positions = int(self.decoder["max_positions"])
        one = _open(engine, 1)
        self.cache_dtype = one.kv_cache_dtype
        kept = self._kv_cache(1, self.info.max_seq_len, one.kv_cache_dtype)
        kept += self._cross_memory(1, one.kv_cache_dtype) + self._slots(1)
        self.record_bytes = one.state_bytes - kept  # rules and prior state of one slot
        self.activations = [one.activation_bytes]
        if self.info.max_batch_size > 1:
            self.activations.append(_open(engine, 2).activation_bytes)

    def usual_batch_sizes(self) -> list[int]:
        """Powers of two, and the engine's own."""
        most = self.info.max_batch_size
        sizes = {1 << power for power in range(most.bit_length())} | {most}
        return sorted(size for size in sizes if size <= most)

    def plan(self, batch: int, length: int, dtype: str) -> MemoryPlan:
        """Of one combination."""
        return MemoryPlan(
            max_batch_size=batch,
            max_seq_len=length,
            kv_cache_dtype=dtype,
            weights=self.info.weight_bytes,
            kv_cache=self._kv_cache(batch, length, dtype),
            cross_memory=self._cross_memory(batch, dtype),
            slots=self._slots(batch) + batch * self.record_bytes,
            activations=self._activations(batch),
            is_served=batch <= self.info.max_batch_size and length == self.info.max_seq_len,
        )

    def _kv_cache(self, batch: int, length: int, dtype: str) -> int:
        """Both branches of every slot at full length, and one shared prefix per slot at worst."""
        heads = self.decoder["heads"]
        blocks = batch * (2 * _blocks(length) + _blocks(self.info.max_input_len))
        block = _block_bytes(heads, self.decoder["dim"] // heads, dtype)
        return int(self.decoder["layers"] * blocks * block)

    def _cross_memory(self, batch: int, dtype: str) -> int:
        context = self.info.max_input_len if self.model["context"] == "memory" else 0
        blocks = _blocks(self.info.max_encoder_input_len) + _blocks(context)
        decoder = self.decoder
        block = _block_bytes(decoder["cross_heads"], decoder["cross_head_dim"], dtype)
        return int(batch * decoder["layers"] * blocks * block)

    def _slots(self, batch: int) -> int:
        """Rows after the context encoder, convolutions' histories, counts and last codes."""
        decoder = self.decoder
        rows = self.info.max_input_len if self.model["context"] == "encoder" else 0
        history = 2 * (decoder["kernel"] - 1) * (decoder["dim"] + decoder["ffn_dim"])
        numbers = rows * self.model["dim"] + decoder["layers"] * history
        numbers += self.info.max_encoder_input_len + 2
        numbers += self.info.codebooks * self.info.frame_stacking
        return int(4 * batch * numbers)

    def _activations(self, batch: int) -> int | None:
        """Of rows they are linear; rows of prefill are the engine's `max_num_tokens`."""
        if 2 * batch > self.info.max_num_tokens:
            return None
        one = self.activations[0]
        if len(self.activations) < 2:
            return one if batch == 1 else None
        return one + (batch - 1) * (self.activations[1] - one)


def _open(engine: _core.Engine, max_batch_size: int) -> _core.ExecutorInfo:
    from ttsrt_rt.executor import Executor

    with Executor(engine, device="cpu", num_threads=1, max_batch_size=max_batch_size) as executor:
        return executor.info


def _blocks(rows: int) -> int:
    return -(-rows // BLOCK_SIZE)


def _block_bytes(heads: int, head_dim: int, dtype: str) -> int:
    """Keys and values of one block and layer."""
    element, scale = CACHE_DTYPES[dtype]
    return 2 * heads * BLOCK_SIZE * (head_dim * element + scale)
