"""Who takes part in a comparison: programs, the samples they give, and the files they need."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from bench.peers.llama_cpp import GGUF_TYPES, IkLlamaCpp, LlamaCpp
from bench.walls.steps import CLASSES
from bench.walls.turns import Contestant
from ttsrt_rt.bench.step_turns import ITEM_BYTES, QUANTIZED_BYTES

__all__ = [
    "CROWD",
    "IK_LLAMA",
    "LLAMA",
    "OURS",
    "PEERS",
    "TORCH",
    "WEIGHT_BYTES",
    "Contest",
    "Entry",
    "Job",
    "Stage",
    "entries_of",
    "equal_ids_note",
    "gguf_files",
    "kinds_of",
    "left_out_of",
    "llama_entries",
    "write_files",
]

OURS = "ttsrt_rt"
LLAMA = "llama.cpp"
IK_LLAMA = "ik_llama.cpp"
TORCH = "transformers"
PEERS = (LLAMA, IK_LLAMA, TORCH)
CROWD = 8

# Bytes of a weight in each format, with its scales.
WEIGHT_BYTES = {
    **ITEM_BYTES,
    **QUANTIZED_BYTES,
    "f32": 4.0,
    "bf16": 2.0,
    "q8_0": 34 / 32,
    "q4_0": 18 / 32,
}
_WRITERS = 2  # files at a time

Job = Callable[[], object]
Stage = dict[Path, Job]


@dataclass(frozen=True)
class Entry:
    """One line of a table.

    Attributes:
        table: Its key.
        program: `OURS`, or of `PEERS`.
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


class Program(Protocol):
    """What gives samples."""

    def step_ms(self) -> float:
        """Milliseconds of a step of one request."""

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds of a prompt."""


class CrowdProgram(Program, Protocol):
    """What also runs several requests together."""

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step of so many requests."""


def kinds_of(kinds: Iterable[str], options: argparse.Namespace) -> list[str]:
    """Our precisions of the classes that the command line names."""
    return [kind for kind in kinds if CLASSES[kind] in options.precisions]


def left_out_of(options: argparse.Namespace) -> dict[str, str]:
    """The peers that the command line or the environment leaves out, with the reason."""
    left_out = {}
    for peer, flag in ((LLAMA, "llama"), (IK_LLAMA, "ik_llama")):
        if getattr(options, flag) is None:
            left_out[peer] = f"--{flag} does not name the folder of its programs"
    absent = [name for name in ("torch", "transformers") if find_spec(name) is None]
    if options.no_torch or absent:
        left_out[TORCH] = "--no_torch" if options.no_torch else f"{absent[0]} is not installed"
    return left_out


def gguf_files(
    options: argparse.Namespace,
    folder: Path,
    stem: str,
    write: Callable[[Path, str], object],
    left_out: dict[str, str],
) -> Stage:
    """The files of llama.cpp and of ik_llama.cpp; leaves both out if nothing can write one.

    Args:
        options: Of the command line.
        folder: Where they are.
        stem: Begins their names.
        write: Called with a path and the name of a type.
        left_out: Of `left_out_of`; gets what is found.
    """
    if LLAMA in left_out and IK_LLAMA in left_out:
        return {}
    paths = {_gguf(folder, stem, each): GGUF_TYPES[each] for each in options.precisions}
    if find_spec("gguf") is None and not all(path.exists() for path in paths):
        for peer in (LLAMA, IK_LLAMA):
            left_out.setdefault(peer, "the package gguf is not installed")
        return {}
    return {path: partial(write, path, kind) for path, kind in paths.items()}


def write_files(stages: Sequence[Stage], progress: Callable[[str], object]) -> None:
    """Writes what is not there, two files or folders at a time; a stage needs the earlier ones."""
    with ThreadPoolExecutor(_WRITERS) as pool:
        for stage in stages:
            jobs = {path: pool.submit(job) for path, job in stage.items() if not path.exists()}
            for path in stage:
                if path in jobs:
                    jobs[path].result()
                progress(path.name)


def entries_of(
    options: argparse.Namespace,
    names: tuple[str, str],
    step_bytes: float,
    program: Program,
    crowd: Callable[[], float] | None = None,
    *,
    is_process: bool = False,
) -> list[Entry]:
    """What one program gives in one precision: one request, a crowd, and prompts.

    Args:
        options: Of the command line.
        names: The program's, and that of the precision.
        step_bytes: Of weights that a step reads.
        program: Gives the samples.
        crowd: Milliseconds of a step of `CROWD` requests; None if it has none.
        is_process: Whether each sample is a process of its own, which is never warm.
    """
    found: list[Entry] = []
    for table, rows, measure in _measures(options, program, crowd):
        is_cold = not found or table == "eight"  # later ones find the memory in use
        contestant = Contestant(
            f"{' '.join(names)} {table} {rows}", measure, warms_up=is_cold and not is_process
        )
        found.append(Entry(table, *names, rows, step_bytes, contestant))
    return found


def _measures(
    options: argparse.Namespace, program: Program, crowd: Callable[[], float] | None
) -> Iterator[tuple[str, int, Callable[[], float]]]:
    if "one" in options.tables:
        yield "one", 1, program.step_ms
    if "eight" in options.tables and crowd is not None:
        yield "eight", CROWD, crowd
    if "prefill" in options.tables:
        for rows in options.rows:
            yield "prefill", rows, partial(program.prompt_ms, rows)


def llama_entries(
    options: argparse.Namespace,
    folder: Path,
    stem: str,
    weights: int,
    told: dict[str, int],
    left_out: dict[str, str],
) -> Iterator[Entry]:
    """What llama.cpp and ik_llama.cpp give, each with every file.

    Args:
        options: Of the command line.
        folder, stem: As of `gguf_files`.
        weights: That a step reads.
        told: Threads, prompt and steps of `LlamaCpp`.
        left_out: Peers that do not take part.

    Raises:
        ConfigError: A program or a file is absent.
    """
    programs = ((LLAMA, LlamaCpp, options.llama), (IK_LLAMA, IkLlamaCpp, options.ik_llama))
    for name, kind_of_program, binaries in programs:
        if name in left_out:
            continue
        for each in options.precisions:
            kind = GGUF_TYPES[each]
            peer: CrowdProgram = kind_of_program(binaries, _gguf(folder, stem, each), **told)
            crowd = partial(peer.crowd_ms, CROWD)
            size = weights * WEIGHT_BYTES[kind]
            yield from entries_of(options, (name, kind), size, peer, crowd, is_process=True)


def _gguf(folder: Path, stem: str, precision: str) -> Path:
    return folder / f"{stem}.{GGUF_TYPES[precision]}.gguf"


def equal_ids_note(what: str, own: Sequence[int], theirs: Sequence[int]) -> tuple[int, str]:
    """How many of the first greedy ids are those of transformers, and the note about it."""
    pairs = enumerate(zip(own, theirs, strict=True))
    equal = next((at for at, (left, right) in pairs if left != right), len(own))
    return (
        equal,
        f"Greedy bfloat16 {what} equal to those of {TORCH}: the first {equal} of {len(own)}.",
    )
