"""Milliseconds per step of one guided request, compared with t and with the peer."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.walls.limits import StepBytes, step_bytes
from bench.walls.peer import peer_turns
from bench.walls.tables import Case, Table, Target, spread
from bench.walls.turns import Contestant, Progress, memory_note, take_turns
from ttsrt_rt.bench.step_turns import (
    Case as EngineCase,
)
from ttsrt_rt.bench.step_turns import (
    engine_of,
    make_checkpoint,
    native_turn,
    request_fields,
)
from ttsrt_rt.inspection import inspect_folder

__all__ = ["ALL_CASES", "CLASSES", "Ours", "step_table"]

# The class of each precision in targets: of an int8 or int4 class, the faster precision counts.
CLASSES = {
    "float32": "float32",
    "bfloat16": "bfloat16",
    "w8a16": "int8",
    "w8a8": "int8",
    "w4a16": "int4",
    "w4a8": "int4",
}
ALL_CASES = [
    EngineCase("float32"),
    EngineCase("bfloat16"),
    *(EngineCase("bfloat16", name) for name in ("w8a16", "w8a8", "w4a16", "w4a8")),
]
_TARGETS = {  # of milliseconds over t, at most
    "v2607": {"float32": 1.45, "bfloat16": 1.6, "int8": 2.0},
    "2503": {"bfloat16": 1.35, "int8": 1.55, "int4": 2.0},
}
_RIVALS = {"f32": "float32", "f16": "bfloat16", "q8_0": "int8"}
_TIMES_PEER = {"f32": 2.5, "f16": 6.0, "q8_0": 8.0}  # at least


@dataclass
class Ours:
    """An engine that takes part in the turns.

    Attributes:
        kind: float32, bfloat16 or the name of the quantization.
        step: What its step reads.
        contestant: Its samples.
    """

    kind: str
    step: StepBytes
    contestant: Contestant

    @property
    def limits(self) -> list[float]:
        """t for the bandwidth around each sample."""
        return [around.limit_ms(self.step) for around in self.contestant.around]

    @property
    def ratios(self) -> list[float]:
        """Each sample divided by its t."""
        pairs = zip(self.contestant.samples, self.limits, strict=True)
        return [sample / limit for sample, limit in pairs]


def context_rows(engine: Path, fields: dict[str, Any]) -> int:
    """Decoder positions that a request of these fields holds before its first frame."""
    from ttsrt_rt import _core
    from ttsrt_rt.bench.facts import EngineFacts

    facts = EngineFacts.of(_core.Engine.open(str(engine)))
    if facts.takes_codes:
        return facts.context_rows(len(fields["context_codes"]))
    stored = next(t for t in inspect_folder(engine).tensors if t.name == "voices")
    return math.prod(stored.shape) // (facts.dim * facts.num_voices)


def make_ours(checkpoint: Path, size: str, folder: Path, fields: dict[str, Any]) -> list[Ours]:
    """All engines of a checkpoint; those that `folder` lacks are built."""
    found = []
    for case in ALL_CASES:
        engine = engine_of(checkpoint, size, case, folder)
        step = step_bytes(
            engine,
            context_rows=context_rows(engine, fields),
            steps=fields["max_frames"] // frames_per_step(checkpoint),
            text_len=len(fields["text_ids"]),
        )
        contestant = Contestant(f"ttsrt_rt {case.name}", native_turn(engine, fields), step.again)
        found.append(Ours(case.name, step, contestant))
    return found


def frames_per_step(checkpoint: Path) -> int:
    """Codec frames of one step."""
    return int(inspect_folder(checkpoint).description["model"]["frame_stacking"])


def fastest(ours: list[Ours]) -> dict[str, Ours]:
    """The engine that represents each class of precisions."""
    best: dict[str, Ours] = {}
    for one in ours:
        name = CLASSES[one.kind]
        if name not in best or one.contestant.median < best[name].contestant.median:
            best[name] = one
    return best


def our_cases(ours: list[Ours], targets: dict[str, float]) -> list[Case]:
    """A line for each engine; the target is for the one that represents its class."""
    best = fastest(ours)
    cases = []
    for one in ours:
        name = CLASSES[one.kind]
        ratio = statistics.median(one.ratios)
        is_judged = best[name] is one and name in targets
        verdict = Target(targets[name], is_most=True).verdict(ratio) if is_judged else ""
        figures: dict[str, Any] = {
            "step_ms": one.contestant.samples,
            "limit_ms": one.limits,
            "ratio": ratio,
            "memory_gb_per_s": [around.memory for around in one.contestant.around],
            "again_gb_per_s": [around.again for around in one.contestant.around],
            **vars(one.step),
        }
        if is_judged:
            figures["target"] = targets[name]
        cells = (
            spread(one.contestant.samples),
            f"{one.step.once / 1e6:.0f}",
            f"{one.step.passes} x {one.step.again / 1e6:.0f}" if one.step.passes else "",
            f"{statistics.median(one.limits):.1f}",
            spread(one.ratios, 2),
            f"{name} {verdict}" if is_judged else "",
        )
        cases.append(Case(one.contestant.name, cells, figures))
    return cases


def peer_cases(peers: dict[str, Contestant], ours: list[Ours]) -> list[Case]:
    """A line for each type of the peer, compared with the engine of the same precision."""
    best = fastest(ours)
    cases = []
    for kind, peer in peers.items():
        rival = best[_RIVALS[kind]]
        pairs = zip(peer.samples, rival.contestant.samples, strict=True)
        times = [theirs / mine for theirs, mine in pairs]
        verdict = Target(_TIMES_PEER[kind], is_most=False).verdict(statistics.median(times), 1, "x")
        told = f"{spread(times)}x of {rival.kind} {verdict}"
        figures = {
            "step_ms": peer.samples,
            "rival": rival.contestant.name,
            "times_rival": times,
            "target": _TIMES_PEER[kind],
        }
        cases.append(Case(peer.name, (spread(peer.samples), "", "", "", "", told), figures))
    return cases


def step_table(
    size: str,
    folder: Path,
    turns: int,
    progress: Progress,
    peer: Path | None = None,
) -> Table:
    """Measures all engines of a size, and the peer's types, in turns.

    Args:
        size: "v2607" or "2503".
        folder: Keeps checkpoint and engines.
        turns: Samples of each.
        progress: Told of each sample.
        peer: Its program, where it takes part.
    """
    checkpoint = make_checkpoint(size, folder)
    fields = request_fields(checkpoint)
    frames, text_len = fields["max_frames"], len(fields["text_ids"])
    ours = make_ours(checkpoint, size, folder, fields)
    theirs: dict[str, Contestant] = {}
    if peer is not None:
        stacking = frames_per_step(checkpoint)
        shape = {"text_len": text_len, "frames": frames, "frames_per_step": stacking}
        for kind, turn in peer_turns(peer, folder, size, **shape).items():
            theirs[kind] = Contestant(f"magpie-tts.cpp {kind}", turn, warms_up=False)
    everyone = [one.contestant for one in ours] + list(theirs.values())
    take_turns(everyone, turns, progress)
    notes = [memory_note(everyone)]
    again = {
        one.step.again: statistics.median(around.again for around in one.contestant.around)
        for one in ours
        if one.step.again
    }
    if again:
        told = ", ".join(f"{size / 1e6:.0f} MB {rate:.0f} GB/s" for size, rate in again.items())
        notes.append(f"Reading again and again: {told}.")
    return Table(
        key=f"step-{size}",
        title=f"{size}: one guided request, text {text_len}, frames 1-{frames}, ms per step; "
        f"{turns} turns",
        columns=("", "ms per step", "MB once", "MB again", "t, ms", "over t", "target"),
        cases=our_cases(ours, _TARGETS[size]) + peer_cases(theirs, ours),
        notes=notes,
    )
