"""The tables: rates, shares of the bandwidth, and ratios to the peers with their targets.

In each class of precisions our faster one competes. The bar is the better peer of the same class:
the one with the least median time.
"""

from __future__ import annotations

import statistics
from typing import Any

from bench.peers.contest import IK_LLAMA, LLAMA, OURS, PEERS, Entry
from bench.peers.llama_cpp import GGUF_TYPES
from bench.walls.steps import CLASSES
from bench.walls.tables import Case, Table, Target, spread

__all__ = ["beside_peers", "class_of", "fastest", "ratios"]

_LLAMA_CLASSES = {kind: name for name, kind in GGUF_TYPES.items()}

Key = tuple[str, str, int]  # table, class, rows


def class_of(entry: Entry) -> str:
    """The class of precisions in which an entry competes."""
    return (_LLAMA_CLASSES if entry.program in (LLAMA, IK_LLAMA) else CLASSES)[entry.kind]


def ratios(ours: Entry, theirs: Entry) -> list[float]:
    """How many times faster than the peer each turn was."""
    pairs = zip(ours.contestant.samples, theirs.contestant.samples, strict=True)
    return [other / own for own, other in pairs]


def fastest(entries: list[Entry], programs: tuple[str, ...] = (OURS,)) -> dict[Key, Entry]:
    """The fastest entry of the programs in each table and class, for each number of rows."""
    best: dict[Key, Entry] = {}
    for one in entries:
        if one.program not in programs:
            continue
        key = (one.table, class_of(one), one.rows)
        if key not in best or one.contestant.median < best[key].contestant.median:
            best[key] = one
    return best


def beside_peers(
    entries: list[Entry], turns: int, key: str, title: str, targets: dict[str, float]
) -> Table:
    """The table of the entries with this key, with the ratios to the peers of the same class.

    Args:
        entries: All of a contest.
        turns: Samples of each.
        key: Of `Entry.table`; "prefill" has no share of the bandwidth.
        title: What it shows.
        targets: By class, times the better peer, at least.
    """
    own = [entry for entry in entries if entry.table == key]
    programs = [peer for peer in PEERS if any(entry.program == peer for entry in own)]
    best = fastest(own)
    found = {peer: fastest(own, (peer,)) for peer in programs}
    better = fastest(own, PEERS)
    cases = []
    for entry in own:
        place = (key, class_of(entry), entry.rows)
        figures: dict[str, Any] = {"ms": entry.contestant.samples, "rows": entry.rows}
        cells = [str(entry.rows), spread(entry.rates)]
        cells += [] if key == "prefill" else [_share(entry, figures)]
        if best.get(place) is entry:
            cells += [_over(entry, found[peer].get(place), figures) for peer in programs]
            cells.append(_verdict(entry, better.get(place), targets.get(place[1]), figures))
        else:
            cells += [""] * (len(programs) + 1)
        cases.append(Case(f"{entry.program} {entry.kind}", tuple(cells), figures))
    share = () if key == "prefill" else ("of bandwidth, %",)
    over = tuple(f"over {peer}" for peer in programs)
    columns = ("", "rows", "per second", *share, *over, "better peer, target")
    return Table(key, f"{title}; {turns} turns", columns, cases)


def _share(entry: Entry, figures: dict[str, Any]) -> str:
    """Bytes of weights over time, as a share of the bandwidth around each sample."""
    pairs = zip(entry.contestant.samples, entry.contestant.around, strict=True)
    shares = [entry.step_bytes / ms / 1e6 / around.memory for ms, around in pairs]
    figures["share"] = shares
    figures["memory_gb_per_s"] = [around.memory for around in entry.contestant.around]
    return spread(shares, 0, 100)


def _over(entry: Entry, peer: Entry | None, figures: dict[str, Any]) -> str:
    if peer is None:
        return ""
    figures[f"over {peer.program}"] = found = ratios(entry, peer)
    return f"{spread(found, 2)} of {peer.kind}"


def _verdict(entry: Entry, peer: Entry | None, bound: float | None, figures: dict[str, Any]) -> str:
    """The better peer, and whether the median of the ratios to it meets the target."""
    if peer is None:
        return ""
    figures["better"] = peer.program
    if bound is None:
        return peer.program
    figures["target"] = bound
    found = statistics.median(ratios(entry, peer))
    return f"{peer.program}: {found:.2f}, {Target(bound, is_most=False).verdict(found, 1, 'x')}"
