"""Who takes part, and the samples that they give in turns."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.f5_peers.ours import KINDS, Inputs, Ours, build_engine
from ttsrt_rt.bench.ops import measure_peaks
from ttsrt_rt.errors import InternalError
from ttsrt_rt.synth import write_random_f5, write_random_vocos
from ttsrt_rt.synth.f5_layout import SynthF5, f5_size

__all__ = [
    "CROWD",
    "EXACT",
    "ORIGINAL",
    "Contest",
    "Entry",
    "distance",
    "engine_of",
    "flops",
    "kinds_of",
    "make_files",
    "open_contest",
    "peak_of",
]

ORIGINAL = "f5-tts"
CROWD = 4
EXACT = 5e-5  # of the largest value
_PEAK_SECONDS = 0.25


@dataclass
class Entry:
    """One line of a table.

    Attributes:
        table: "one", or "packed" for several utterances at once.
        program: "ttsrt_rt" or "f5-tts".
        kind: The precision.
        count: Utterances at once.
        measure: Gives a sample: milliseconds of an evaluation.
        samples: One per turn.
        peaks: GFLOP/s, around each sample.
    """

    table: str
    program: str
    kind: str
    count: int
    measure: Callable[[], float]
    samples: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)

    def take(self, peak: Callable[[str], float], *, is_kept: bool) -> None:
        """Takes one sample between two measurements of the peaks; or one that only warms up."""
        if not is_kept:
            self.measure()
            return
        before = peak(self.kind)
        self.samples.append(self.measure())
        self.peaks.append(max(before, peak(self.kind)))


@dataclass
class Contest:
    """Everything that is measured in turns, and what is to be said about it."""

    entries: list[Entry]
    notes: list[str] = field(default_factory=list)
    gemm: Callable[[], float] | None = None  # GFLOP/s of a large product of bfloat16


def peak_of(kind: str, threads: int, gemm: Callable[[], float] | None) -> float:
    """GFLOP/s of chains of the instructions that multiply a precision; of bfloat16, or of `gemm`,
    a large product in PyTorch, where that is faster: it has tiles (AMX), and the chains don't.
    """
    peaks = measure_peaks(num_threads=threads, seconds=_PEAK_SECONDS)
    if kind == "float32":
        return peaks.float32_gflop_per_s
    return max(peaks.bfloat16_gflop_per_s, 0.0 if gemm is None else gemm())


def flops(size: SynthF5, frames: int) -> float:
    """Floating-point operations of an evaluation of one guided utterance: products, the position
    convolutions and attention, of both branches. Modulation and text are computed once for all.
    """
    dim, width = size.dim, 64 * size.heads
    layer = 4 * dim * width + 2 * dim * size.ffn_dim
    ends = 2 * dim * size.mel_bins + 2 * 31 * dim * (dim // 16)
    attention = 2 * frames * width * size.layers
    return 4.0 * frames * (size.layers * layer + ends + attention)


def make_files(options: argparse.Namespace, folder: Path) -> Path:
    """Writes the model and the engines that `folder` lacks, and returns the model. Those for a GPU
    have a vocoder, too.
    """
    from ttsrt_rt.convert import convert

    name = f"f5-{options.size}"
    source = folder / name / "model_1.safetensors"
    if not source.exists():
        source.parent.mkdir(exist_ok=True)
        write_random_f5(source, options.size, 1)
    vocoder = None
    if options.has_sound:
        vocoder, name = folder / f"vocos-{options.size}", f"{name}-vocos"
        if not vocoder.exists():
            write_random_vocos(vocoder, f5_size(options.size).vocoder, 1)
    checkpoint = folder / f"{name}.checkpoint"
    if not checkpoint.exists():
        convert(source, checkpoint, variant="v1", family="f5", vocoder=vocoder, progress=False)
    crowd = 1 if options.has_sound else CROWD
    for kind in kinds_of(options):
        engine = engine_of(options, folder, kind)
        if not engine.exists():
            build_engine(checkpoint, engine, kind, options.frames, crowd)
    return source


def kinds_of(options: argparse.Namespace) -> list[str]:
    """The precisions that are measured or compared on the device."""
    if options.has_sound:
        return ["float32", "bfloat16"]
    return [kind for kind in KINDS if options.kinds is None or kind in options.kinds]


def engine_of(options: argparse.Namespace, folder: Path, kind: str) -> Path:
    """The engine of one precision."""
    name = f"f5-{options.size}-vocos" if options.has_sound else f"f5-{options.size}"
    return folder / f"{name}.{options.frames}.{kind}.engine"


def distance(values: NDArray[np.float32], exact: NDArray[np.float32]) -> float:
    """The largest difference, as a part of the largest value."""
    return float(np.abs(values - exact).max() / np.abs(exact).max())


def open_contest(
    options: argparse.Namespace, folder: Path, source: Path, threads: int, stack: ExitStack
) -> Contest:
    """Checks the results, and opens everything that takes part.

    Raises:
        InternalError: Velocities are not those of the original.
    """
    size = f5_size(options.size)
    inputs = Inputs(options.frames, size.vocab)
    contest = Contest([])
    ours = {
        kind: stack.enter_context(Ours(engine_of(options, folder, kind), inputs, threads=threads))
        for kind in kinds_of(options)
    }
    for kind, one in ours.items():
        for table, count in (("one", 1), ("packed", CROWD)):
            measure = partial(one.evaluation_ms, count)
            contest.entries.append(Entry(table, "ttsrt_rt", kind, count, measure))
    velocities = {kind: one.velocity() for kind, one in ours.items()}
    if options.no_torch or find_spec("f5_tts") is None:
        reason = "--no_torch" if options.no_torch else "the package f5-tts is not installed"
        contest.notes.append(f"Without {ORIGINAL}: {reason}.")
        return contest
    from bench.f5_peers.torch_dit import TorchDit, gemm_gflop_per_s

    contest.gemm = gemm_gflop_per_s
    exact = None
    theirs = ["float32", "bfloat16"]
    if set(velocities) == {"float32"}:
        contest.gemm = None
        theirs.pop()  # without instructions for it, a sample of bfloat16 takes minutes
    for kind in theirs:
        peer = TorchDit(source, size, inputs, dtype=kind, threads=threads)
        exact = peer.velocity() if exact is None else exact
        contest.entries.append(Entry("one", ORIGINAL, kind, 1, peer.evaluation_ms))
        if kind not in velocities:
            continue
        told = f"its own {distance(peer.velocity(), exact):.1e}"
        error = distance(velocities[kind], exact)
        if kind == "float32" and error > EXACT:
            raise InternalError(f"float32 velocities differ from the original's by {error:.1e}")
        contest.notes.append(
            f"Largest difference of {kind} velocities from the original's in float32: "
            f"{error:.1e} of the largest value ({told})."
        )
    return contest
