"""Which peers are measured, and where their times go."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from bench.gpu_steps.cases import Case
from bench.gpu_steps.measure import Measured
from bench.gpu_steps.shapes import shape_of
from bench.t3_peers.shape import SIZES
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from bench.gpu_steps.torch_stack import Attention

__all__ = ["PEERS", "Job", "measure_peer", "peer_jobs"]

PEERS = ("none", "eager-graph", "compile", "generate")
_DYNAMIC, _STATIC = "generate", "generate, static cache"


@dataclass(frozen=True)
class Job:
    """One peer of one case.

    Attributes:
        case: It.
        peer: Of PEERS.
        attention: "sdpa" or "explicit", of stacks; empty for `generate`.
        is_static: Of `generate`: whether its cache has a fixed size.
    """

    case: Case
    peer: str
    attention: str = ""
    is_static: bool = False

    @property
    def name(self) -> str:
        """For the table."""
        if self.peer == "generate":
            return _STATIC if self.is_static else _DYNAMIC
        return f"{self.peer}, {self.attention}"


def peer_jobs(cases: Sequence[Case], peers: Sequence[str], attentions: Sequence[str]) -> list[Job]:
    """What is to be measured, the heaviest compilations last.

    A prompt attends in one way only.
    """
    jobs: list[Job] = []
    for peer in PEERS:
        if peer not in peers or peer == "none":
            continue
        if peer == "generate":
            found = [case for case in cases if case.kind == "generate"]
            jobs += [Job(case, peer, is_static=each) for case in found for each in (False, True)]
            continue
        for case in cases:
            if case.has_stack:
                ways = attentions[:1] if case.kind == "prefill" else attentions
                jobs += [Job(case, peer, attention) for attention in ways]
    return jobs


def measure_peer(measured: Measured, job: Job) -> str:
    """Measures one peer; what to say of it.

    Raises:
        ConfigError: PyTorch sees no GPU.
    """
    if measured.card is None:
        raise ConfigError("there is no GPU that PyTorch sees")
    line, scale = measured.line(job.case), measured.scale
    if job.peer == "generate":
        from bench.gpu_steps.generate import generate_rates

        shape = SIZES[measured.size]
        rates = generate_rates(shape, scale, measured.device, is_static=job.is_static)
        line.peers[job.name] = rates
        return f"{statistics.median(rates):.0f} tokens/s"
    from bench.gpu_steps.torch_peer import keep_compiled, stack_times

    keep_compiled(measured.folder)
    found = stack_times(
        shape_of(measured.model(job.case)),
        job.case,
        scale,
        measured.device,
        mode=job.peer,
        attention=cast("Attention", job.attention),
    )
    line.peers[job.name] = found
    return f"{statistics.median(found):.3f} ms"
