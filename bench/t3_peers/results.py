"""The tables: rates, shares of the bandwidth, and ratios to the peers with their targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from bench.t3_peers.contest import LLAMA, TABLES, TORCH, Entry
from bench.walls.steps import CLASSES
from bench.walls.tables import Case, Table, Target, spread

__all__ = ["beside_peers", "make_tables"]

_LLAMA_CLASSES = {"bf16": "bfloat16", "q8_0": "int8", "q4_0": "int4"}
_ONE_TARGETS = {"bfloat16": 1.0, "int8": 1.2, "int4": 1.35}  # times llama.cpp, at least
_EIGHT_TARGET = 1.8
_PREFILL_TARGET = 1.0
_GUIDED_TARGET = 1.1  # times an unguided step, at most

Key = tuple[str, str, int]  # table, class, rows


def class_of(entry: Entry) -> str:
    """The class of precisions in which an entry competes."""
    return (_LLAMA_CLASSES if entry.program == LLAMA else CLASSES)[entry.kind]


def ratios(ours: Entry, theirs: Entry) -> list[float]:
    """How many times faster than the peer each turn was."""
    pairs = zip(ours.contestant.samples, theirs.contestant.samples, strict=True)
    return [other / own for own, other in pairs]


def fastest(entries: list[Entry]) -> dict[Key, Entry]:
    """Our entry that represents each class, in each table and for each number of rows."""
    best: dict[Key, Entry] = {}
    for one in entries:
        if one.program in (LLAMA, TORCH):
            continue
        key = (one.table, class_of(one), one.rows)
        if key not in best or one.contestant.median < best[key].contestant.median:
            best[key] = one
    return best


def make_tables(entries: list[Entry], turns: int) -> list[Table]:
    """A table for everything that was measured."""
    makers: dict[str, Callable[[list[Entry], int], Table]] = {
        "one": _one,
        "guided": _guided,
        "eight": _eight,
        "prefill": _prefill,
    }
    measured = {entry.table for entry in entries}
    return [makers[name](entries, turns) for name in TABLES if name in measured]


def _one(entries: list[Entry], turns: int) -> Table:
    return beside_peers(
        entries, turns, "one", "one unguided request, tokens per second", _ONE_TARGETS
    )


def _eight(entries: list[Entry], turns: int) -> Table:
    targets = dict.fromkeys(_ONE_TARGETS, _EIGHT_TARGET)
    title = "eight unguided requests at once, tokens per second of all"
    return beside_peers(entries, turns, "eight", title, targets)


def _prefill(entries: list[Entry], turns: int) -> Table:
    targets = dict.fromkeys(_ONE_TARGETS, _PREFILL_TARGET)
    return beside_peers(entries, turns, "prefill", "prefill, rows per second", targets)


def beside_peers(
    entries: list[Entry], turns: int, key: str, title: str, targets: dict[str, float]
) -> Table:
    """The table of the entries with this key, with the ratios to the peers of the same class.

    Args:
        entries: All of a contest.
        turns: Samples of each.
        key: Of `Entry.table`; "prefill" has no share of the bandwidth.
        title: What it shows.
        targets: By class, times llama.cpp, at least.
    """
    own = [entry for entry in entries if entry.table == key]
    best = fastest(own)
    peers = {
        (entry.program, class_of(entry), entry.rows): entry
        for entry in own
        if entry.program in (LLAMA, TORCH)
    }
    cases = []
    for entry in own:
        name, rows = class_of(entry), entry.rows
        figures: dict[str, Any] = {"ms": entry.contestant.samples, "rows": rows}
        cells = [str(rows), spread(entry.rates)]
        cells += [] if key == "prefill" else [_share(entry, figures)]
        is_best = best.get((key, name, rows)) is entry
        for program in (LLAMA, TORCH):
            peer = peers.get((program, name, rows)) if is_best else None
            target = targets[name] if program == LLAMA else None
            cells.append("" if peer is None else _verdict(entry, peer, target, figures))
        label = f"{entry.program} {entry.kind}"
        cases.append(Case(label, tuple(cells), figures))
    share = () if key == "prefill" else ("of bandwidth, %",)
    return Table(
        key=key,
        title=f"{title}; {turns} turns",
        columns=("", "rows", "per second", *share, f"over {LLAMA}", f"over {TORCH}"),
        cases=cases,
    )


def _share(entry: Entry, figures: dict[str, Any]) -> str:
    """Bytes of weights over time, as a share of the bandwidth around each sample."""
    pairs = zip(entry.contestant.samples, entry.contestant.around, strict=True)
    shares = [entry.step_bytes / ms / 1e6 / around.memory for ms, around in pairs]
    figures["share"] = shares
    figures["memory_gb_per_s"] = [around.memory for around in entry.contestant.around]
    return spread(shares, 0, 100)


def _verdict(entry: Entry, peer: Entry, bound: float | None, figures: dict[str, Any]) -> str:
    found = ratios(entry, peer)
    figures[f"over {peer.program}"] = found
    told = f"{spread(found, 2)} of {peer.kind}"
    if bound is None:
        return told
    figures["target"] = bound
    verdict = Target(bound, is_most=False).verdict(statistics.median(found), 1, "x")
    return f"{told}, {verdict}"


def _guided(entries: list[Entry], turns: int) -> Table:
    own = [entry for entry in entries if entry.program not in (LLAMA, TORCH)]
    plain = {entry.kind: entry for entry in own if entry.table == "one"}
    cases = []
    for entry in entries:
        if entry.table != "guided":
            continue
        alone = plain[entry.kind]
        pairs = zip(entry.contestant.samples, alone.contestant.samples, strict=True)
        over = [guided / unguided for guided, unguided in pairs]
        verdict = Target(_GUIDED_TARGET, is_most=True).verdict(statistics.median(over), 1, "x")
        figures = {
            "ms": entry.contestant.samples,
            "unguided_ms": alone.contestant.samples,
            "ratio": over,
            "target": _GUIDED_TARGET,
        }
        times = (spread(alone.contestant.samples, 2), spread(entry.contestant.samples, 2))
        cells = (*times, spread(over, 2), verdict)
        cases.append(Case(f"{entry.program} {entry.kind}", cells, figures))
    return Table(
        key="guided",
        title=f"one guided request (two rows), ms per step; {turns} turns",
        columns=("", "unguided", "guided", "guided over unguided", "target"),
        cases=cases,
    )
