"""Compares engines of one checkpoint, and another implementation if there is one, in turns.

If there is another implementation, both make some greedy frames in float32 before anything is
timed, and their codes are compared: the time of a step that computes something else says nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.bench.step_turns import (
    ITEM_BYTES,
    QUANTIZED_BYTES,
    Peer,
    Turns,
    cases_of,
    engine_of,
    make_runners,
    request_fields,
    take_turns,
)
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.options import DType, Quantization

__all__ = ["CompareOptions", "Comparison", "compare"]

_GREEDY_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is compared.

    Attributes:
        dtypes: Of the engines that are not quantized, and of the peer.
        quantizations: "none" for the engines of `dtypes`; quantized engines keep their tables and
            their cache in the last dtype.
        turns: Measured turns of each.
    """

    dtypes: tuple[DType, ...] = ("float32", "bfloat16")
    quantizations: tuple[Quantization, ...] = ("none",)
    turns: int = 5

    def __post_init__(self) -> None:
        unknown = [name for name in self.dtypes if name not in ITEM_BYTES]
        if unknown or not self.dtypes:
            raise ConfigError(f"dtype: expected some of {', '.join(ITEM_BYTES)}, got {unknown}")
        known = ("none", *QUANTIZED_BYTES)
        others = [name for name in self.quantizations if name not in known]
        if others or not self.quantizations:
            raise ConfigError(f"quantization: expected some of {', '.join(known)}, got {others}")
        if not 1 <= self.turns <= 1000:
            raise ConfigError(f"turns: expected 1 to 1000, got {self.turns}")


@dataclass(frozen=True)
class Comparison:
    """What was measured of one checkpoint.

    Attributes:
        name: Of the checkpoint.
        turns: Of each implementation and dtype.
        equal_frames: Of the first `of` greedy float32 frames, how many are equal before the first
            difference; None without float32 or without a peer.
    """

    name: str
    turns: list[Turns]
    equal_frames: int | None
    of: int = _GREEDY_FRAMES

    @property
    def bandwidth(self) -> float:
        """GB/s read, median of what was measured around the turns."""
        return statistics.median(value for turns in self.turns for value in turns.bandwidth)

    def json(self) -> dict[str, Any]:
        """Plain values."""
        rows = [
            {
                "implementation": turns.name,
                "step_ms": statistics.median(turns.step_ms),
                "best": min(turns.step_ms),
                "worst": max(turns.step_ms),
                "weight_bytes": turns.weight_bytes,
                "bandwidth": statistics.median(turns.bandwidth),
                "other_work": statistics.median(turns.others) if turns.others else None,
            }
            for turns in self.turns
        ]
        return {
            "name": self.name,
            "bandwidth": self.bandwidth,
            "equal_frames": self.equal_frames,
            "of_frames": self.of,
            "rows": rows,
        }


def compare(
    checkpoint: Path,
    folder: Path,
    options: CompareOptions,
    *,
    peer: Peer | None = None,
    progress: Callable[[], object] | None = None,
) -> Comparison:
    """Measures one guided request of a checkpoint, all engines and the peer taking turns.

    Args:
        checkpoint: What convert wrote.
        folder: Engines are built here, or taken if they are there already.
        options: What is compared.
        peer: Another implementation.
        progress: Called after each turn; the first of each implementation warms up.

    Raises:
        ConfigError: The checkpoint or the options can't be served.
        FormatError: The checkpoint is damaged.
    """
    name = checkpoint.name.removesuffix(".checkpoint")
    cases = cases_of(list(options.dtypes), list(options.quantizations))
    equal_frames = None
    for case in cases:
        if peer is not None and case.name == "float32":
            engine = engine_of(checkpoint, name, case, folder)
            equal_frames = _equal_frames(checkpoint, engine, peer)
    runners = make_runners(checkpoint, name, cases, folder, peer)
    take_turns(runners, options.turns, progress or (lambda: None))
    return Comparison(name, [turns for turns, _ in runners], equal_frames)


def _equal_frames(checkpoint: Path, engine: Path, peer: Peer) -> int:
    """Greedy frames that are equal before the first difference."""
    from ttsrt_rt.executor import Executor

    few = {**request_fields(checkpoint), "max_frames": _GREEDY_FRAMES}
    with Executor(engine) as executor:
        ours = executor.generate(**few, temperature=0.0).codes
    theirs = peer.greedy_codes(checkpoint, few)
    count = min(len(ours), len(theirs))
    differs = np.flatnonzero((ours[:count] != theirs[:count]).any(axis=1))
    return int(differs[0]) if differs.size else count
