"""The tables of T3's shape, with their targets."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.peers.contest import OURS, Entry
from bench.peers.results import beside_peers
from bench.t3_peers.contest import TABLES
from bench.walls.tables import Case, Table, Target, spread

__all__ = ["make_tables"]

_ONE_TARGETS = {"bfloat16": 1.0, "int8": 1.2, "int4": 1.35}  # times the better peer, at least
_EIGHT_TARGET = 1.8
_PREFILL_TARGET = 1.0
_GUIDED_TARGET = 1.1  # times an unguided step, at most


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


def _guided(entries: list[Entry], turns: int) -> Table:
    plain = {one.kind: one for one in entries if one.program == OURS and one.table == "one"}
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
