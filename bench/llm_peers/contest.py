"""Who takes part: our engines, the two of llama.cpp, and transformers."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.llm_peers.models import engine_of, make_engines, write_gguf
from bench.llm_peers.ours import OurTimes, TorchTimes, greedy_ids
from bench.llm_peers.shape import SIZES, LlmShape
from bench.peers.contest import (
    CROWD,
    OURS,
    TORCH,
    WEIGHT_BYTES,
    Contest,
    Entry,
    entries_of,
    equal_ids_note,
    gguf_files,
    kinds_of,
    left_out_of,
    llama_entries,
)
from bench.peers.results import beside_peers
from bench.walls.tables import Table

__all__ = ["TABLES", "make_files", "make_tables", "open_contest"]

TABLES = ("one", "eight", "prefill")
_TITLES = {
    "one": "one request, tokens per second",
    "eight": "eight requests at once, tokens per second of all",
    "prefill": "prompts, ids per second",
}
# Times the better peer at the same bits, at least.
_TARGETS = {
    "one": {"bfloat16": 1.0, "int8": 1.15, "int4": 1.1},
    "eight": {"bfloat16": 1.2, "int8": 1.2, "int4": 1.2},
    "prefill": {"bfloat16": 1.0, "int8": 1.0, "int4": 1.0},
}
_COMPARED = ("float32", "bfloat16", "w8a16", "w8a8", "w4a16", "w4a8")
_CHECKED = 16  # greedy ids


def make_files(
    options: argparse.Namespace, size: str, folder: Path, progress: Callable[[str], object]
) -> dict[str, str]:
    """Writes the models that `folder` lacks.

    Returns:
        The peers that can't take part, with the reason.
    """
    shape = SIZES[size]
    left_out = left_out_of(options)
    files = gguf_files(options, folder, f"llm-{size}", partial(write_gguf, shape), left_out)
    keeps_original = TORCH not in left_out
    kinds = kinds_of(_COMPARED, options)
    make_engines(shape, folder, size, kinds, progress, files, keeps_original=keeps_original)
    return left_out


def open_contest(
    options: argparse.Namespace,
    size: str,
    folder: Path,
    threads: int,
    left_out: dict[str, str],
    stack: ExitStack,
) -> Contest:
    """Checks the results, and opens everything that takes part.

    Raises:
        ConfigError: A program of llama.cpp is absent.
        InternalError: Results are not as they should be.
    """
    shape, stem = SIZES[size], f"llm-{size}"
    told = {"threads": threads, "prompt": options.prompt, "steps": options.steps}
    contest = Contest([])
    steps = min(_CHECKED, options.steps)
    greedy = {}
    for kind in kinds_of(_COMPARED, options):
        engine = engine_of(folder, size, kind)
        greedy[kind] = greedy_ids(engine, shape, threads, options.prompt, steps)
        ours = OurTimes(engine, shape, **told)
        stack.callback(ours.close)
        read = _step_bytes(shape, kind)
        crowd = partial(ours.crowd_ms, CROWD)
        contest.entries += entries_of(options, (OURS, kind), read, ours, crowd)
    contest.notes.append(
        f"Every precision of ours gives the same ids with 1 thread and with {threads}. Heads have "
        "the precision of the other matrices in all programs."
    )
    weights = shape.layer_weights + shape.head_weights
    contest.entries += llama_entries(options, folder, stem, weights, told, left_out)
    if TORCH not in left_out and "bfloat16" in greedy:
        theirs = TorchTimes(folder / f"{stem}.hf", shape, **told)
        stack.callback(theirs.close)
        contest.notes.append(equal_ids_note("ids", greedy["bfloat16"], theirs.ids(steps))[1])
        read = _step_bytes(shape, "bfloat16")
        crowd = partial(theirs.crowd_ms, CROWD)
        contest.entries += entries_of(options, (TORCH, "bfloat16"), read, theirs, crowd)
    return contest


def make_tables(entries: list[Entry], turns: int) -> list[Table]:
    """A table for everything that was measured."""
    measured = {entry.table for entry in entries}
    return [
        beside_peers(entries, turns, key, _TITLES[key], _TARGETS[key])
        for key in TABLES
        if key in measured
    ]


def _step_bytes(shape: LlmShape, kind: str) -> float:
    return (shape.layer_weights + shape.head_weights) * WEIGHT_BYTES[kind]
