"""Who takes part: our engines, llama.cpp and transformers, each with the samples it gives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bench.llm_peers.models import CROWD, KINDS, files_of
from bench.llm_peers.ours import OurTimes, TorchTimes, greedy_ids
from bench.llm_peers.shape import SIZES, LlmShape
from bench.t3_peers.contest import LLAMA, TORCH, Contest, Entry
from bench.t3_peers.llama_cpp import LLAMA_TYPES, LlamaCpp
from bench.t3_peers.results import beside_peers
from bench.walls.tables import Table
from bench.walls.turns import Contestant
from ttsrt_rt.bench.step_turns import ITEM_BYTES, QUANTIZED_BYTES

__all__ = ["TABLES", "make_files", "make_tables", "open_contest"]

TABLES = ("one", "eight", "prefill")
_TITLES = {
    "one": "one request, tokens per second",
    "eight": "eight requests at once, tokens per second of all",
    "prefill": "prompts, ids per second",
}
# Times llama.cpp at the same bits, at least.
_TARGETS = {
    "one": {"bfloat16": 1.0, "int8": 1.15, "int4": 1.1},
    "eight": {"bfloat16": 1.2, "int8": 1.2, "int4": 1.2},
    "prefill": {"bfloat16": 1.0, "int8": 1.0, "int4": 1.0},
}
_WEIGHT_BYTES = {**ITEM_BYTES, **QUANTIZED_BYTES, "bf16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_CHECKED = 16  # greedy ids

Measures = dict[str, Callable[[], float]]


def make_files(
    options: argparse.Namespace, folder: Path, progress: Callable[[str], object]
) -> dict[str, str]:
    """Writes the models that `folder` lacks.

    Returns:
        The peers that can't take part, with the reason.
    """
    left_out = {}
    if options.llama is None:
        left_out[LLAMA] = "--llama does not name the folder of its programs"
    absent = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if options.no_torch or absent:
        left_out[TORCH] = "--no_torch" if options.no_torch else f"{absent[0]} is not installed"
    kinds = () if LLAMA in left_out else LLAMA_TYPES
    for path, write in files_of(SIZES[options.size], folder, options.size, kinds):
        if not path.exists() and path.suffix == ".gguf" and find_spec("gguf") is None:
            left_out[LLAMA] = "the package gguf is not installed"
            continue
        if not path.exists():
            write()
        progress(path.name)
    return left_out


def open_contest(
    options: argparse.Namespace,
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
    shape, name = SIZES[options.size], f"llm-{options.size}"
    told = {"threads": threads, "prompt": options.prompt, "steps": options.steps}
    contest = Contest([], [f"Without {peer}: {reason}." for peer, reason in left_out.items()])
    steps = min(_CHECKED, options.steps)
    greedy = {}
    for kind in KINDS:
        engine = folder / f"{name}.{kind}.engine"
        greedy[kind] = greedy_ids(engine, shape, threads, options.prompt, steps)
        ours = OurTimes(engine, shape, **told)
        stack.callback(ours.close)
        measures = _measures(options, ours.step_ms, ours.crowd_ms, ours.prompt_ms)
        contest.entries += _entries("ttsrt_rt", kind, shape, measures, warms_up=True)
    if LLAMA not in left_out:
        for kind in LLAMA_TYPES:
            peer = LlamaCpp(options.llama, folder / f"{name}.{kind}.gguf", **told)
            crowd = partial(peer.crowd_ms, CROWD)
            measures = _measures(options, peer.step_ms, crowd, peer.prompt_ms)
            contest.entries += _entries(LLAMA, kind, shape, measures, warms_up=False)
    if TORCH not in left_out:
        theirs = TorchTimes(folder / f"{name}.hf", shape, **told)
        stack.callback(theirs.close)
        pairs = enumerate(zip(greedy["bfloat16"], theirs.ids(steps), strict=True))
        equal = next((at for at, (own, other) in pairs if own != other), steps)
        contest.notes.append(
            f"Greedy bfloat16 ids equal to those of {TORCH}: the first {equal} of {steps}."
        )
        measures = _measures(options, theirs.step_ms, theirs.crowd_ms, theirs.prompt_ms)
        contest.entries += _entries(TORCH, "bfloat16", shape, measures, warms_up=True)
    contest.notes.append(
        f"Every precision of ours gives the same ids with 1 thread and with {threads}. Heads have "
        "the precision of the other matrices in all programs."
    )
    return contest


def make_tables(contest: Contest, turns: int) -> list[Table]:
    """A table for everything that was measured."""
    measured = {entry.table for entry in contest.entries}
    return [
        beside_peers(contest.entries, turns, key, _TITLES[key], _TARGETS[key])
        for key in TABLES
        if key in measured
    ]


def _measures(
    options: argparse.Namespace,
    step: Callable[[], float],
    crowd: Callable[[], float],
    prompt: Callable[[int], float],
) -> dict[tuple[str, int], Callable[[], float]]:
    """What is measured: by table, and by the rows of a sample."""
    found: dict[tuple[str, int], Callable[[], float]] = {}
    if "one" in options.tables:
        found["one", 1] = step
    if "eight" in options.tables:
        found["eight", CROWD] = crowd
    if "prefill" in options.tables:
        found |= {("prefill", rows): partial(prompt, rows) for rows in options.rows}
    return found


def _entries(
    program: str,
    kind: str,
    shape: LlmShape,
    measures: dict[tuple[str, int], Callable[[], float]],
    *,
    warms_up: bool,
) -> list[Entry]:
    size = (shape.layer_weights + shape.head_weights) * _WEIGHT_BYTES[kind]
    return [
        Entry(
            table,
            program,
            kind,
            rows,
            size,
            Contestant(f"{program} {kind} {table} {rows}", measure, warms_up=warms_up),
        )
        for (table, rows), measure in measures.items()
    ]
