"""Ours beside the PyTorch reference, taking turns: `step_time`'s parts for any checkpoint.

Before anything is timed, both make some greedy frames in float32 and their codes are compared: a
fast step that computes something else is worth nothing.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.bench.step_time import (
    ITEM_BYTES,
    Turns,
    cases_of,
    engine_of,
    make_runners,
    request_fields,
    take_turns,
)
from ttsrt_rt.errors import ConfigError

__all__ = ["CompareOptions", "Comparison", "compare"]

_GREEDY_FRAMES = 16


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What is compared.

    Attributes:
        dtypes: Of engines and of the reference.
        turns: Measured turns of each.
        with_torch: Whether PyTorch takes part.
    """

    dtypes: tuple[str, ...] = ("float32", "bfloat16")
    turns: int = 5
    with_torch: bool = True

    def __post_init__(self) -> None:
        unknown = [name for name in self.dtypes if name not in ITEM_BYTES]
        if unknown or not self.dtypes:
            raise ConfigError(f"dtype: expected some of {', '.join(ITEM_BYTES)}, got {unknown}")
        if not 1 <= self.turns <= 1000:
            raise ConfigError(f"turns: expected 1 to 1000, got {self.turns}")


@dataclass(frozen=True)
class Comparison:
    """What was measured of one checkpoint.

    Attributes:
        name: Of the checkpoint.
        turns: Of each implementation and dtype.
        equal_frames: Greedy float32 frames that are equal from the start on, and `of` how many;
            None where there was no float32 or no PyTorch.
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
    progress: Callable[[], object] | None = None,
) -> Comparison:
    """Measures one guided request of a checkpoint, all implementations taking turns.

    Args:
        checkpoint: What convert wrote.
        folder: Engines are built here, or taken where they are there already.
        options: What is compared.
        progress: Called after each turn; the first of each implementation warms up.

    Raises:
        ConfigError: The checkpoint or the options can't be served; PyTorch is absent.
        FormatError: The checkpoint is damaged.
    """
    if options.with_torch:
        check_torch()
    name = checkpoint.name.removesuffix(".checkpoint")
    cases = cases_of(list(options.dtypes), ["none"])
    equal_frames = None
    for case in cases:
        if options.with_torch and case.dtype == "float32":
            equal_frames = _equal_frames(checkpoint, engine_of(checkpoint, name, case, folder))
    runners = make_runners(checkpoint, name, cases, folder, options.with_torch)
    take_turns(runners, options.turns, progress or (lambda: None))
    return Comparison(name, [turns for turns, _ in runners], equal_frames)


def check_torch() -> None:
    """Whether PyTorch can take part.

    Raises:
        ConfigError: It isn't installed.
    """
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            "compare: expected PyTorch, which isn't installed: pip install 'ttsrt_rt[bench]', or "
            "time ours alone with --no_torch"
        ) from error


def _equal_frames(checkpoint: Path, engine: Path) -> int:
    """Greedy frames of both that are equal from the start on."""
    from ttsrt_rt.bench.torch_reference import TorchReference
    from ttsrt_rt.executor import Executor

    few = {**request_fields(checkpoint), "max_frames": _GREEDY_FRAMES}
    with Executor(engine) as executor:
        ours = executor.generate(**few, temperature=0.0).codes
    theirs = TorchReference(checkpoint, dtype="float32").generate(**few, greedy=True)
    count = min(len(ours), len(theirs))
    differs = np.flatnonzero((ours[:count] != theirs[:count]).any(axis=1))
    return int(differs[0]) if differs.size else count
