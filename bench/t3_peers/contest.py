"""Who takes part: our engines and the peers, each with the samples it gives."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from bench.t3_peers.llama_cpp import LLAMA_TYPES, LlamaCpp
from bench.t3_peers.models import made_at_once, write_checkpoint, write_hugging_face
from bench.t3_peers.ours import CROWD, KINDS, Ours, build_engine, check_threads
from bench.t3_peers.shape import SIZES, Shape
from bench.walls.turns import Contestant
from ttsrt_rt.bench.step_turns import ITEM_BYTES, QUANTIZED_BYTES
from ttsrt_rt.errors import InternalError

__all__ = ["LLAMA", "TABLES", "TORCH", "Contest", "Entry", "make_files", "open_contest"]

TABLES = ("one", "guided", "eight", "prefill")
TORCH = "transformers"
LLAMA = "llama.cpp"

# Bytes of a weight in each format, with its scales.
_WEIGHT_BYTES = {**ITEM_BYTES, **QUANTIZED_BYTES, "bf16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_CHECKED = 16  # greedy tokens
_WRITERS = 4  # files at a time


@dataclass(frozen=True)
class Entry:
    """One line of a table.

    Attributes:
        table: Of TABLES.
        program: "ttsrt_rt", "llama.cpp" or "transformers".
        kind: The precision, in the program's words.
        rows: Of one sample: requests decoding together, or rows of a prompt.
        step_bytes: Of weights that a step reads.
        contestant: Its samples are milliseconds.
    """

    table: str
    program: str
    kind: str
    rows: int
    step_bytes: float
    contestant: Contestant

    @property
    def rates(self) -> list[float]:
        """Tokens or rows per second, one per turn."""
        return [1e3 * self.rows / sample for sample in self.contestant.samples]


@dataclass
class Contest:
    """Everything that is measured in turns, and what is to be said about it."""

    entries: list[Entry]
    notes: list[str] = field(default_factory=list)


def make_files(
    options: argparse.Namespace, folder: Path, progress: Callable[[str], object]
) -> dict[str, str]:
    """Writes the models that `folder` lacks, several at a time.

    Returns:
        The peers that can't take part, with the reason.
    """
    shape, size = SIZES[options.size], options.size
    left_out = _without(options)
    checkpoint = folder / f"t3-{size}.checkpoint"
    first = {checkpoint: partial(_write_folder, write_checkpoint, shape)}
    if TORCH not in left_out:
        first[folder / f"t3-{size}.hf"] = partial(_write_folder, write_hugging_face, shape)
    if LLAMA not in left_out:
        files = {folder / f"t3-{size}.{kind}.gguf": kind for kind in LLAMA_TYPES}
        if find_spec("gguf") is not None:
            first |= {path: partial(_write_gguf, shape, kind) for path, kind in files.items()}
        elif not all(path.exists() for path in files):
            left_out[LLAMA] = "the package gguf is not installed"
    engines = {
        folder / f"t3-{size}.{kind}.engine": partial(_build, checkpoint, kind) for kind in KINDS
    }
    with ThreadPoolExecutor(_WRITERS) as pool:
        for stage in (first, engines):
            jobs = {
                path: pool.submit(job, path) for path, job in stage.items() if not path.exists()
            }
            for path in stage:
                if path in jobs:
                    jobs[path].result()
                progress(path.name)
    return left_out


def _write_folder(write: Callable[[Shape, Path], None], shape: Shape, path: Path) -> None:
    with made_at_once(path) as made:
        write(shape, made)


def _write_gguf(shape: Shape, kind: str, path: Path) -> None:
    from bench.t3_peers.gguf_model import write_gguf

    write_gguf(shape, path, kind)


def _build(checkpoint: Path, kind: str, path: Path) -> None:
    build_engine(checkpoint, path, kind)


def _without(options: argparse.Namespace) -> dict[str, str]:
    """The peers that the command line or the environment leaves out."""
    left_out = {}
    if options.llama is None:
        left_out[LLAMA] = "--llama does not name the folder of its programs"
    absent = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if options.no_torch or absent:
        left_out[TORCH] = "--no_torch" if options.no_torch else f"{absent[0]} is not installed"
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
    shape, size = SIZES[options.size], options.size
    told = {"threads": threads, "prompt": options.prompt, "steps": options.steps}
    contest = Contest([], [f"Without {name}: {reason}." for name, reason in left_out.items()])
    greedy = {}
    for kind in KINDS:
        engine = folder / f"t3-{size}.{kind}.engine"
        steps = min(_CHECKED, options.steps)
        greedy[kind] = check_threads(engine, shape, threads, options.prompt, steps)
        ours = stack.enter_context(Ours(engine, shape, **told))
        contest.entries += _our_entries(ours, kind, shape, options)
    if LLAMA not in left_out:
        for kind in LLAMA_TYPES:
            model = folder / f"t3-{size}.{kind}.gguf"
            peer = LlamaCpp(options.llama, model, **told)
            contest.entries += _llama_entries(peer, kind, shape, options)
    if TORCH not in left_out:
        contest.entries += _torch_entries(folder, shape, options, told, greedy["bfloat16"], contest)
    return contest


def _our_entries(ours: Ours, kind: str, shape: Shape, options: argparse.Namespace) -> list[Entry]:
    size = shape.layer_weights * _WEIGHT_BYTES[kind] + shape.head_weights * ITEM_BYTES["bfloat16"]
    found: list[Entry] = []

    def entry(table: str, rows: int, name: str, measure: Callable[[], float]) -> Entry:
        is_cold = not found or table == "eight"  # later ones find the memory in use
        contestant = Contestant(f"{kind} {name}", measure, warms_up=is_cold)
        return Entry(table, "ttsrt_rt", kind, rows, size, contestant)

    if "one" in options.tables or "guided" in options.tables:
        found.append(entry("one", 1, "one", ours.step_ms))
    if "guided" in options.tables:
        found.append(entry("guided", 1, "guided", partial(ours.step_ms, is_guided=True)))
    if "eight" in options.tables:
        found.append(entry("eight", CROWD, "eight", ours.crowd_ms))
    if "prefill" in options.tables:
        found += [
            entry("prefill", rows, f"prefill {rows}", partial(ours.prompt_ms, rows))
            for rows in options.rows
        ]
    return found


def _llama_entries(
    peer: LlamaCpp, kind: str, shape: Shape, options: argparse.Namespace
) -> list[Entry]:
    size = (shape.layer_weights + shape.head_weights) * _WEIGHT_BYTES[kind]

    def entry(table: str, rows: int, measure: Callable[[], float]) -> Entry:
        contestant = Contestant(f"{LLAMA} {kind} {table}", measure, warms_up=False)
        return Entry(table, LLAMA, kind, rows, size, contestant)

    found = []
    if "one" in options.tables:
        found.append(entry("one", 1, peer.step_ms))
    if "eight" in options.tables:
        found.append(entry("eight", CROWD, partial(peer.crowd_ms, CROWD)))
    if "prefill" in options.tables:
        found += [entry("prefill", rows, partial(peer.prompt_ms, rows)) for rows in options.rows]
    return found


def _torch_entries(
    folder: Path,
    shape: Shape,
    options: argparse.Namespace,
    told: dict[str, int],
    greedy: list[int],
    contest: Contest,
) -> list[Entry]:
    from bench.t3_peers.torch_llama import TorchLlama

    peer = TorchLlama(folder / f"t3-{options.size}.hf", shape, **told)
    theirs = peer.tokens(len(greedy), seed=0)
    pairs = enumerate(zip(greedy, theirs, strict=True))
    equal = next((i for i, (own, other) in pairs if own != other), len(greedy))
    if equal == 0:
        raise InternalError(f"the first greedy token is {greedy[0]}, of {TORCH} {theirs[0]}")
    contest.notes.append(
        f"Greedy bfloat16 tokens equal to those of {TORCH}: the first {equal} of {len(greedy)}; "
        f"every precision gives the same tokens with 1 thread and with {told['threads']}."
    )
    size = (shape.layer_weights + shape.head_weights) * ITEM_BYTES["bfloat16"]

    def entry(table: str, rows: int, measure: Callable[[], float]) -> Entry:
        return Entry(table, TORCH, "bfloat16", rows, size, Contestant(f"{TORCH} {table}", measure))

    found = []
    if "one" in options.tables:
        found.append(entry("one", 1, peer.step_ms))
    if "prefill" in options.tables:
        found += [entry("prefill", rows, partial(peer.prompt_ms, rows)) for rows in options.rows]
    return found
