"""The tables of a GPU: times, shares of the floor, the ratio to PyTorch, the real-time factor."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from bench.f5_peers.gpu import STEPS, GpuContest, Utterance
from bench.walls.tables import Case, Table, Target, spread

if TYPE_CHECKING:
    from bench.gpu_steps.card import Card

__all__ = ["NOMINAL_TFLOP_PER_S", "PUBLISHED_RTF", "make_gpu_tables"]

NOMINAL_TFLOP_PER_S = 989.0  # dense bfloat16 of an H100 or H200
PUBLISHED_RTF = 0.039  # of the TensorRT-LLM runtime on an L20, 16 evaluations
_OVER_PYTORCH = 1.4


def make_gpu_tables(
    contest: GpuContest, card: Card | None, flops: float, frames: int
) -> list[Table]:
    """The tables of everything that was measured; `flops` are those of an evaluation."""
    return [_evaluations(contest, card, flops, frames), _utterances(contest.utterance, frames)]


def _evaluations(contest: GpuContest, card: Card | None, flops: float, frames: int) -> Table:
    peers = [entry for entry in contest.entries if not entry.is_ours]
    fastest = min(peers, key=lambda entry: statistics.median(entry.device_ms), default=None)
    cases = []
    for entry in contest.entries:
        rates = [1e-9 * flops / ms for ms in entry.device_ms]
        shares = [rate / NOMINAL_TFLOP_PER_S for rate in rates]
        figures = {"device_ms": entry.device_ms, "ms": entry.ms, "share": shares}
        cells = [spread(entry.ms, 3) if entry.ms else "", spread(entry.device_ms, 3)]
        cells += [spread(rates, 0), spread(shares, 0, 100), ""]
        if card is not None:
            measured = [rate / card.tflop_per_s for rate in rates]
            figures["share of measured peak"] = measured
            cells[-1] = spread(measured, 0, 100)
        cells.append("")
        if entry.is_ours and fastest is not None:
            pairs = zip(fastest.device_ms, entry.device_ms, strict=True)
            found = [theirs / ours for theirs, ours in pairs]
            figures["over PyTorch"] = found
            verdict = Target(_OVER_PYTORCH, is_most=False).verdict(statistics.median(found))
            cells[-1] = f"{spread(found, 2)}, {verdict}"
        cases.append(Case(entry.name, tuple(cells), figures))
    floor = 1e-9 * flops / NOMINAL_TFLOP_PER_S
    notes = [
        f"{1e-12 * flops:.3f} TFLOP, {floor:.3f} ms at the nominal {NOMINAL_TFLOP_PER_S:.0f} "
        "TFLOP/s" + ("." if card is None else _at_peak(card, flops))
    ]
    turns = len(contest.utterance.ms)
    return Table(
        key="gpu",
        title=f"an evaluation of {frames} guided frames in bfloat16; {turns} turns",
        columns=(
            *("", "ms at the client", "ms on the device", "TFLOP/s", "of nominal, %"),
            *("of the measured peak, %", "over the fastest of PyTorch"),
        ),
        cases=cases,
        notes=notes,
    )


def _at_peak(card: Card, flops: float) -> str:
    return (
        f", {1e-9 * flops / card.tflop_per_s:.3f} ms at the {card.tflop_per_s:.0f} TFLOP/s of a "
        "large product in PyTorch."
    )


def _utterances(utterance: Utterance, frames: int) -> Table:
    factors = [1e-3 * ms / utterance.seconds for ms in utterance.ms]
    figures = {
        "ms": utterance.ms,
        "device_ms": utterance.device_ms,
        "seconds": utterance.seconds,
        "rtf": factors,
    }
    ours = (
        spread(utterance.ms, 2),
        spread(utterance.device_ms, 2),
        f"{utterance.seconds:.2f}",
        spread(factors, 5),
    )
    published = ("", "", "", f"{PUBLISHED_RTF}")
    return Table(
        key="utterance",
        title=f"a guided utterance of {frames} frames, {STEPS} evaluations and the vocoder",
        columns=("", "ms at the client", "ms on the device", "seconds of sound", "RTF"),
        cases=[
            Case("ttsrt_rt", ours, figures),
            Case("published: TensorRT-LLM runtime on an L20", published, {"rtf": PUBLISHED_RTF}),
        ],
        notes=["RTF: seconds of the utterance, from request to sound, per second of new sound."],
    )
