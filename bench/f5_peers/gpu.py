"""The comparison on a GPU: ours and compiled PyTorch in turns, and a whole utterance."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from bench.f5_peers.contest import EXACT, distance, engine_of
from bench.f5_peers.ours import Inputs, Ours
from ttsrt_rt.errors import ConfigError, InternalError
from ttsrt_rt.synth.f5_layout import f5_size

if TYPE_CHECKING:
    from bench.f5_peers.torch_flow import Prepare, TorchFlow
    from bench.gpu_steps.card import Card

__all__ = ["STEPS", "GpuContest", "GpuEntry", "Utterance", "find_card", "open_gpu_contest"]

STEPS = 16  # evaluations of a whole utterance
ATTENTION_NAMES: tuple[str | None, ...] = ("flash", "cudnn")  # of PyTorch's
_FEW, _MANY = 4, 20  # evaluations of the runs whose difference is timed
_REPLAYS = 10  # in a row, for each sample


@dataclass
class GpuEntry:
    """One line of the table.

    Attributes:
        name: For the table.
        is_ours: Or PyTorch's.
        measure: Gives a sample: milliseconds of an evaluation at the client, where there is one,
            and on the device.
        device_ms: Samples, one per turn.
        ms: The same at the client.
    """

    name: str
    is_ours: bool
    measure: Callable[[], tuple[float | None, float]]
    device_ms: list[float] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)

    def take(self, *, is_kept: bool) -> None:
        """Takes one sample, or one that only warms up."""
        ms, device_ms = self.measure()
        if not is_kept:
            return
        self.device_ms.append(device_ms)
        if ms is not None:
            self.ms.append(ms)


@dataclass
class Utterance:
    """Whole utterances of STEPS evaluations.

    Attributes:
        measure: Gives a sample: milliseconds at the client, on the device, and seconds of sound.
        ms: Samples, one per turn.
        device_ms: The same.
        seconds: Of sound.
    """

    measure: Callable[[], tuple[float, float, float]]
    ms: list[float] = field(default_factory=list)
    device_ms: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def take(self, *, is_kept: bool) -> None:
        """Takes one sample, or one that only warms up."""
        ms, device_ms, self.seconds = self.measure()
        if is_kept:
            self.ms.append(ms)
            self.device_ms.append(device_ms)


@dataclass
class GpuContest:
    """Everything that is measured in turns, and what is to be said about it."""

    entries: list[GpuEntry]
    utterance: Utterance
    notes: list[str] = field(default_factory=list)


def find_card(device: str) -> Card | None:
    """The rates of the GPU, where PyTorch is installed.

    Raises:
        ConfigError: PyTorch sees no GPU.
    """
    if find_spec("torch") is None:
        return None
    import torch

    from bench.gpu_steps.card import measure_card

    if not torch.cuda.is_available():
        raise ConfigError(f"--device {device}: PyTorch sees no GPU; expected one, or --no_torch")
    return measure_card(device)


def open_gpu_contest(
    options: argparse.Namespace, folder: Path, source: Path, stack: ExitStack
) -> GpuContest:
    """Checks the results, and opens everything that takes part.

    Raises:
        InternalError: Velocities are not those of PyTorch in float32.
    """
    inputs = Inputs(options.frames, f5_size(options.size).vocab)
    velocities = {}
    for kind in ("float32", "bfloat16"):
        engine = engine_of(options, folder, kind)
        with Ours(engine, inputs, threads=0, device=options.device) as one:
            velocities[kind] = one.velocity()
    engine = engine_of(options, folder, "bfloat16")
    ours = stack.enter_context(Ours(engine, inputs, threads=0, device=options.device))

    def evaluation() -> tuple[float | None, float]:
        spent = ours.evaluation(1, _FEW, _MANY)
        return spent.ms, spent.device_ms

    def utterance() -> tuple[float, float, float]:
        spent, seconds = ours.utterance(STEPS)
        return spent.ms, spent.device_ms, seconds

    contest = GpuContest([GpuEntry("ttsrt_rt", True, evaluation)], Utterance(utterance))
    if options.no_torch or find_spec("torch") is None:
        reason = "--no_torch" if options.no_torch else "the package torch is not installed"
        contest.notes.append(f"Without PyTorch: {reason}.")
        return contest
    add_peers(contest, options, source, inputs, velocities)
    return contest


def add_peers(
    contest: GpuContest,
    options: argparse.Namespace,
    source: Path,
    inputs: Inputs,
    velocities: dict[str, NDArray[np.float32]],
) -> None:
    """Compares velocities with PyTorch's, and adds its compiled network with each attention."""
    from bench.f5_peers.torch_flow import TorchFlow, exact_products, plain

    size = f5_size(options.size)

    def network(
        dtype: str, attention: str | None = None, *, is_compiled: bool = False
    ) -> TorchFlow:
        return TorchFlow(
            source,
            size,
            inputs,
            device=options.device,
            dtype=dtype,
            attention=attention,
            prepare=prepare_of(options) if is_compiled else plain,
        )

    with exact_products():
        exact = network("float32").velocity()
    errors = {kind: distance(made, exact) for kind, made in velocities.items()}
    if errors["float32"] > EXACT:
        raise InternalError(
            f"float32 velocities differ from those of PyTorch by {errors['float32']:.1e}"
        )
    for attention in ATTENTION_NAMES:
        peer = network("bfloat16", attention, is_compiled=True)
        errors[f"PyTorch's bfloat16, {attention}"] = distance(peer.velocity(), exact)
        name = f"PyTorch, {options.compile}, {attention}"
        contest.entries.append(GpuEntry(name, False, replays(peer, options.device)))
    told = ", ".join(f"{kind} {error:.1e}" for kind, error in errors.items())
    contest.notes.append(
        f"Largest difference of velocities from PyTorch's in float32, of the largest value: {told}."
    )


def prepare_of(options: argparse.Namespace) -> Prepare:
    """How the peer is compiled."""
    from bench.f5_peers.torch_flow import compiled

    return compiled(options.compile)


def replays(peer: TorchFlow, device: str) -> Callable[[], tuple[float | None, float]]:
    """A sample of an evaluation in a CUDA graph."""
    import torch

    from bench.gpu_steps.card import device_seconds
    from bench.gpu_steps.torch_peer import graph_of

    with torch.inference_mode(), torch.cuda.device(device):
        graph = graph_of(peer.evaluate, device)
    return lambda: (None, 1e3 * device_seconds(graph.replay, 1, _REPLAYS)[0])
