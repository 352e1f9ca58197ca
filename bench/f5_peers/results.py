"""The tables: times, shares of the peak, and ratios with their targets."""

from __future__ import annotations

import statistics
from typing import Any

from bench.f5_peers.contest import ORIGINAL, Entry
from bench.walls.tables import Case, Table, Target, spread

__all__ = ["make_tables"]

_OVER_ORIGINAL = 1.5
_PEAK_SHARE = 0.6
_PACKED = 1.0  # of one utterance's time per frame, at most


def ratios(slow: Entry, fast: Entry) -> list[float]:
    """How many times faster one was than the other in each turn."""
    return [a / b for a, b in zip(slow.samples, fast.samples, strict=True)]


def make_tables(entries: list[Entry], flops: float, frames: int, turns: int) -> list[Table]:
    """The tables of everything that was measured; `flops` are those of one utterance."""
    return [_one(entries, flops, frames, turns), _packed(entries, frames, turns)]


def _one(entries: list[Entry], flops: float, frames: int, turns: int) -> Table:
    cases = []
    peers = {entry.kind: entry for entry in entries if entry.program == ORIGINAL}
    for entry in entries:
        if entry.table != "one":
            continue
        pairs = zip(entry.samples, entry.peaks, strict=True)
        shares = [flops / ms / 1e6 / peak for ms, peak in pairs]
        rates = [flops / ms / 1e6 for ms in entry.samples]
        figures: dict[str, Any] = {"ms": entry.samples, "share": shares}
        cells = [spread(entry.samples, 0), spread(rates, 0), spread(entry.peaks, 0)]
        cells.append(spread(shares, 0, 100))
        is_ours = entry.program != ORIGINAL
        target = Target(_PEAK_SHARE, is_most=False)
        has_target = is_ours and entry.kind in ("float32", "bfloat16")
        cells.append(target.verdict(statistics.median(shares), 100, " %") if has_target else "")
        peer = peers.get(entry.kind)
        cells.append("")
        if is_ours and peer is not None:
            found = ratios(peer, entry)
            figures["over original"] = found
            verdict = Target(_OVER_ORIGINAL, is_most=False).verdict(statistics.median(found))
            cells[-1] = f"{spread(found, 2)}, {verdict}"
        cases.append(Case(f"{entry.program} {entry.kind}", tuple(cells), figures))
    return Table(
        key="one",
        title=f"an evaluation of {frames} guided frames; {turns} turns",
        columns=("", "ms", "GFLOP/s", "peak", "of the peak, %", "target", f"over {ORIGINAL}"),
        cases=cases,
    )


def _packed(entries: list[Entry], frames: int, turns: int) -> Table:
    alone = {
        entry.kind: entry for entry in entries if entry.table == "one" and entry.program != ORIGINAL
    }
    cases = []
    for entry in entries:
        if entry.table != "packed":
            continue
        found = [ratio / entry.count for ratio in ratios(entry, alone[entry.kind])]
        verdict = Target(_PACKED, is_most=True).verdict(statistics.median(found))
        cells = (str(entry.count), spread(entry.samples, 0), spread(found, 2), verdict)
        figures = {"ms": entry.samples, "ratio": found, "target": _PACKED}
        cases.append(Case(f"{entry.program} {entry.kind}", cells, figures))
    return Table(
        key="packed",
        title=f"utterances of {frames} guided frames at once, ms per evaluation; {turns} turns",
        columns=("", "utterances", "ms", "per frame, over one alone", "target"),
        cases=cases,
    )
