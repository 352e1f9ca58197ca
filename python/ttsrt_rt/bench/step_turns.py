"""What measures the time of one decoder step: cases, engines, and implementations taking turns.

One guided request, frames 1 to 128. All implementations take turns in one run, and memory bandwidth
is measured around every turn, because a shared machine changes from minute to minute. Figures are
medians over the turns, with the spread.
"""

from __future__ import annotations

import json
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.bench.machine import OtherWork, busy_note
from ttsrt_rt.bench.ops import read_bandwidth

if TYPE_CHECKING:
    from ttsrt_rt.options import DType, Quantization

__all__ = [
    "ITEM_BYTES",
    "QUANTIZED_BYTES",
    "Case",
    "Peer",
    "Runner",
    "Turns",
    "cases_of",
    "engine_of",
    "make_checkpoint",
    "make_runners",
    "native_turn",
    "request_fields",
    "step_table",
    "step_weights",
    "take_turns",
]

_FRAMES = 128
_TEXT_LEN = 58
_CONTEXT_COLUMNS = 110
ITEM_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
QUANTIZED_BYTES = {"w8a16": 1.0, "w4a16": 0.5 + 2 / 64, "w8a8": 1.0, "w4a8": 0.5 + 2 / 64}


@dataclass
class Turns:
    """What the turns of one implementation measured."""

    name: str
    weight_bytes: int  # that a step must read from memory, once
    step_ms: list[float] = field(default_factory=list)
    bandwidth: list[float] = field(default_factory=list)  # GB/s around each turn
    others: list[float] = field(default_factory=list)  # cores' time that other processes used

    def row(self) -> list[str]:
        """Name, median, best, worst, GB/s of weights, share of the bandwidth measured."""
        median = statistics.median(self.step_ms)
        rate = self.weight_bytes / median / 1e6
        share = 100 * rate / statistics.median(self.bandwidth)
        spread = [f"{median:.1f}", f"{min(self.step_ms):.1f}", f"{max(self.step_ms):.1f}"]
        return [self.name, *spread, f"{rate:.1f}", f"{share:.0f} %"]


def make_checkpoint(size: str, folder: Path) -> Path:
    """A random checkpoint of true size in the original layout, converted; made once per folder."""
    from ttsrt_rt.convert import convert
    from ttsrt_rt.synth import write_random_ckpt, write_random_nemo

    checkpoint = folder / f"{size}.checkpoint"
    if checkpoint.exists():
        return checkpoint
    with tempfile.TemporaryDirectory(prefix=".ttsrt-", dir=folder) as made:
        source = Path(made) / (f"{size}.nemo" if size == "v2607" else f"{size}.ckpt")
        if size == "v2607":
            write_random_nemo(source, size, seed=1)
        else:
            write_random_ckpt(source, "true", seed=1)
        convert(source, checkpoint, progress=False)
    return checkpoint


def step_weights(checkpoint: Path) -> int:
    """Weights a decoder step reads: decoder layers, final projection, local transformer once."""
    from ttsrt_rt.convert.checkpoint import open_checkpoint

    weights = open_checkpoint(checkpoint).weights
    kept = ("decoder.layers.", "final_proj", "local_transformer.")
    skipped = ("cross_kv", "cross_memory_norm", "positions")
    return sum(
        int(np.prod(tensor.shape))
        for name, tensor in weights.items()
        if name.startswith(kept) and not name.endswith(skipped)
    )


def request_fields(checkpoint: Path) -> dict[str, Any]:
    """One guided request of the benchmark; it cannot end before its last frame."""
    model = json.loads((checkpoint / "config.json").read_text("utf-8"))["model"]
    fields: dict[str, Any] = {
        "text_ids": np.arange(_TEXT_LEN, dtype=np.int32) % (model["text_vocab"] - 2),
        "cfg_scale": 2.5,
        "max_frames": _FRAMES,
        "min_frames": _FRAMES + model["frame_stacking"],
        "seed": 7,
    }
    if model["context"] == "voices":
        return {**fields, "voice": 0}
    shape = (_CONTEXT_COLUMNS, model["codebooks"])
    codes = np.random.default_rng(3).integers(0, model["codebook_vocab"] - 8, shape)
    return {**fields, "context_codes": codes.astype(np.int32)}


def native_turn(engine: Path, fields: dict[str, Any]) -> Callable[[], float]:
    """A function that runs the request once and returns milliseconds per step after the first."""
    from ttsrt_rt.executor import Executor

    executor = Executor(engine)

    def turn() -> float:
        metrics = executor.generate(**fields).metrics
        spent = metrics.total_seconds - metrics.first_frame_seconds
        return 1e3 * spent / (metrics.steps - 1)

    return turn


@dataclass(frozen=True)
class Peer:
    """Another implementation that takes turns with this one.

    Attributes:
        name: "PyTorch".
        turn: Of a checkpoint, a dtype and the fields of a request: a function that runs the request
            once and returns the milliseconds per step after the first.
        greedy_codes: Of a checkpoint and the fields of a request: its greedy float32 codes.
    """

    name: str
    turn: Callable[[Path, str, dict[str, Any]], Callable[[], float]]
    greedy_codes: Callable[[Path, dict[str, Any]], NDArray[Any]]


Runner = tuple[Turns, Callable[[], float]]  # where its turns are kept, and one turn


@dataclass(frozen=True)
class Case:
    """One engine of a checkpoint that is measured."""

    dtype: DType
    quantization: Quantization = "none"

    @property
    def name(self) -> str:
        return self.dtype if self.quantization == "none" else self.quantization

    @property
    def item_bytes(self) -> float:
        return QUANTIZED_BYTES.get(self.quantization, ITEM_BYTES[self.dtype])


def cases_of(dtypes: list[DType], quantizations: list[Quantization]) -> list[Case]:
    """Every dtype where "none" is among the quantizations, then the others with the last dtype."""
    plain = [Case(dtype) for dtype in dtypes] if "none" in quantizations else []
    return plain + [Case(dtypes[-1], name) for name in quantizations if name != "none"]


def engine_of(
    checkpoint: Path, name: str, case: Case, folder: Path, max_batch_size: int = 1
) -> Path:
    """The engine of a case in `folder`, built where it is not there yet."""
    from ttsrt_rt.build import build

    plain = case.quantization == "none"
    kind = case.dtype if plain else f"{case.dtype}.{case.quantization}"
    if max_batch_size > 1:
        kind += f".{max_batch_size}"  # as `bench crowd` names its own
    engine = folder / f"{name}.{kind}.engine"
    if not engine.exists():
        build(
            checkpoint,
            engine,
            dtype=case.dtype,
            quantization=case.quantization,
            max_batch_size=max_batch_size,
        )
    return engine


def make_runners(
    checkpoint: Path, name: str, cases: list[Case], folder: Path, peer: Peer | None
) -> list[Runner]:
    """The engine of every case, and the peer beside those that are not quantized."""
    fields = request_fields(checkpoint)
    weights = step_weights(checkpoint)
    runners: list[Runner] = []
    for case in cases:
        engine = engine_of(checkpoint, name, case, folder)
        weight_bytes = int(weights * case.item_bytes)
        runners.append((Turns(f"ttsrt_rt {case.name}", weight_bytes), native_turn(engine, fields)))
        if peer is not None and case.quantization == "none":
            runner = peer.turn(checkpoint, case.dtype, fields)
            runners.append((Turns(f"{peer.name} {case.name}", weight_bytes), runner))
    return runners


def take_turns(runners: list[Runner], turns: int, progress: Callable[[], object]) -> None:
    """Runs all in turn: once to warm up, then `turns` times.

    The bandwidth is measured before and after each run, the work of other processes during it, and
    `progress` is called after it.
    """
    for turn in range(turns + 1):
        for results, run in runners:
            before = read_bandwidth(seconds=0.2)
            work = OtherWork()
            step_ms = run()
            share = work.share()
            if turn > 0:
                results.step_ms.append(step_ms)
                results.others += [] if share is None else [share]
                results.bandwidth.append((before + read_bandwidth(seconds=0.2)) / 2)
            progress()


def step_table(name: str, results: list[Turns]) -> str:
    """The figures of one checkpoint as Markdown."""
    bandwidth = statistics.median(value for result in results for value in result.bandwidth)
    lines = [
        f"{name}: one guided request, frames 1-{_FRAMES}, milliseconds per decoder step",
        "",
        "| implementation | median | best | worst | weights, GB/s | of bandwidth |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *("| " + " | ".join(result.row()) + " |" for result in results),
        "",
        f"read bandwidth measured around the turns: {bandwidth:.1f} GB/s",
    ]
    note = busy_note([share for result in results for share in result.others], during="the turns")
    lines += [note] if note else []
    return "\n".join(lines)
