"""Who takes part: our engines and the peers, each with the samples it gives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from bench.peers.contest import (
    CROWD,
    LLAMA,
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
from bench.t3_peers.models import made_at_once, write_checkpoint, write_hugging_face
from bench.t3_peers.ours import KINDS, Ours, build_engine, check_threads
from bench.t3_peers.shape import OWN, SIZES, Shape, tensor_shapes
from bench.walls.turns import Contestant
from ttsrt_rt.errors import InternalError

__all__ = ["LLAMA", "TABLES", "TORCH", "make_files", "open_contest"]

TABLES = ("one", "guided", "eight", "prefill")

_CHECKED = 16  # greedy tokens


def make_files(
    options: argparse.Namespace, size: str, folder: Path, progress: Callable[[str], object]
) -> dict[str, str]:
    """Writes the models that `folder` lacks.

    Returns:
        The peers that can't take part, with the reason.
    """
    shape, stem = SIZES[size], f"t3-{size}"
    left_out = left_out_of(options)
    checkpoint = folder / f"{stem}.checkpoint"
    first: Stage = {checkpoint: partial(_write_folder, write_checkpoint, shape, checkpoint)}
    if TORCH not in left_out:
        path = folder / f"{stem}.hf"
        first[path] = partial(_write_folder, write_hugging_face, shape, path)
    first |= gguf_files(options, folder, stem, partial(_write_gguf, shape), left_out)
    paths = {kind: folder / f"{stem}.{kind}.engine" for kind in kinds_of(KINDS, options)}
    engines: Stage = {
        path: partial(build_engine, checkpoint, path, kind) for kind, path in paths.items()
    }
    write_files([first, engines], progress)
    return left_out


def _write_folder(write: Callable[[Shape, Path], None], shape: Shape, path: Path) -> None:
    with made_at_once(path) as made:
        write(shape, made)


def _write_gguf(shape: Shape, path: Path, kind: str) -> None:
    from bench.peers.gguf_model import write_llama

    tensors = [each for each in tensor_shapes(shape) if each[0] not in OWN]
    write_llama(shape, tensors, path, kind)


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
    shape, stem = SIZES[size], f"t3-{size}"
    told = {"threads": threads, "prompt": options.prompt, "steps": options.steps}
    contest = Contest([])
    greedy = {}
    for kind in kinds_of(KINDS, options):
        engine = folder / f"{stem}.{kind}.engine"
        steps = min(_CHECKED, options.steps)
        greedy[kind] = check_threads(engine, shape, threads, options.prompt, steps)
        ours = stack.enter_context(Ours(engine, shape, **told))
        contest.entries += _our_entries(ours, kind, shape, options)
    contest.notes.append(
        f"Every precision of ours gives the same tokens with 1 thread and with {threads}."
    )
    weights = shape.layer_weights + shape.head_weights
    contest.entries += llama_entries(options, folder, stem, weights, told, left_out)
    if TORCH not in left_out and "bfloat16" in greedy:
        from bench.t3_peers.torch_llama import TorchLlama

        peer = TorchLlama(folder / f"{stem}.hf", shape, **told)
        own = greedy["bfloat16"]
        theirs = peer.tokens(len(own), seed=0)
        equal, note = equal_ids_note("tokens", own, theirs)
        if equal == 0:
            raise InternalError(f"the first greedy token is {own[0]}, of {TORCH} {theirs[0]}")
        contest.notes.append(note)
        read = weights * WEIGHT_BYTES["bfloat16"]
        contest.entries += entries_of(options, (TORCH, "bfloat16"), read, peer)
    return contest


def _our_entries(ours: Ours, kind: str, shape: Shape, options: argparse.Namespace) -> list[Entry]:
    """The usual ones, and a guided request behind the unguided one, which it is compared with."""
    names = (OURS, kind)
    head = shape.head_weights * WEIGHT_BYTES["float32" if kind == "float32" else "bfloat16"]
    size = shape.layer_weights * WEIGHT_BYTES[kind] + head
    tables = {*options.tables, *(["one"] if "guided" in options.tables else [])}
    asked = argparse.Namespace(**{**vars(options), "tables": tables})
    found = entries_of(asked, names, size, ours, partial(ours.crowd_ms, CROWD))
    if "guided" in options.tables:
        measure = partial(ours.step_ms, is_guided=True)
        guided = Contestant(f"{OURS} {kind} guided", measure, warms_up=False)
        found.insert(1, Entry("guided", *names, 1, size, guided))
    return found
