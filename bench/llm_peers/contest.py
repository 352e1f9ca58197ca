"""Who takes part: our engines, the two of llama.cpp, and transformers."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.llm_peers.models import KINDS, build_engine, convert_model, write_gguf, write_original
from bench.llm_peers.ours import OurTimes, TorchTimes, greedy_ids
from bench.llm_peers.shape import SIZES, LlmShape
from bench.peers.contest import (
    CROWD,
    OURS,
    TORCH,
    WEIGHT_BYTES,
    Contest,
    Entry,
    Stage,
    entries_of,
    equal_ids_note,
    gguf_files,
    kinds_of,
    left_out_of,
    llama_entries,
    write_files,
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
_CHECKED = 16  # greedy ids


def make_files(
    options: argparse.Namespace, size: str, folder: Path, progress: Callable[[str], object]
) -> dict[str, str]:
    """Writes the models that `folder` lacks.

    Returns:
        The peers that can't take part, with the reason.
    """
    shape, stem = SIZES[size], f"llm-{size}"
    left_out = left_out_of(options)
    original, checkpoint = folder / f"{stem}.hf", folder / f"{stem}.checkpoint"
    paths = {kind: folder / f"{stem}.{kind}.engine" for kind in kinds_of(KINDS, options)}
    engines: Stage = {
        path: partial(build_engine, checkpoint, path, kind) for kind, path in paths.items()
    }
    first = gguf_files(options, folder, stem, partial(write_gguf, shape), left_out)
    second: Stage = {}
    needs_engines = any(not path.exists() for path in engines)
    if needs_engines or TORCH not in left_out:
        first = {original: partial(write_original, shape, original), **first}
    if needs_engines:
        second = {checkpoint: partial(convert_model, original, checkpoint)}
    write_files([first, second, engines], progress)
    if needs_engines:
        shutil.rmtree(checkpoint)  # as large as the model, and of no more use
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
    for kind in kinds_of(KINDS, options):
        engine = folder / f"{stem}.{kind}.engine"
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
