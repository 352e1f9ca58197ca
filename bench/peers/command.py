"""The command of a comparison: its flags, and a run that writes files, takes turns, and prints."""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.command import check_json, open_folder
from bench.peers.contest import Contest, Entry
from bench.peers.llama_cpp import GGUF_TYPES
from bench.walls.tables import Table
from bench.walls.turns import memory_note, take_turns
from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.bench.ops import measure_peaks
from ttsrt_rt.errors import Error

__all__ = ["Comparison", "main"]

MakeFiles = Callable[[argparse.Namespace, str, Path, Callable[[str], object]], dict[str, str]]
OpenContest = Callable[[argparse.Namespace, str, Path, int, dict[str, str], ExitStack], Contest]


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Attributes:
        name: Of its command.
        about: What it does, for --help.
        tables: Their keys.
        sizes: Models that it can measure.
        size: The one that it measures unless others are named.
        least_rows: The shortest prompt.
        make_files: Writes the models of a size that a folder lacks: with the options, the size, the
            folder, and what is called with each name. Returns the peers that can't take part, with
            the reason.
        open_contest: Checks results and opens what takes part: with the options, the size, the
            folder, the threads, the peers that are left out, and what closes everything.
        make_tables: With all entries and the number of turns.
    """

    name: str
    about: str
    tables: tuple[str, ...]
    sizes: tuple[str, ...]
    size: str
    least_rows: int
    make_files: MakeFiles
    open_contest: OpenContest
    make_tables: Callable[[list[Entry], int], list[Table]]


def main(comparison: Comparison, arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = _parse(comparison, arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, f"{comparison.name.replace('_', '-')}-") as folder:
            _run(comparison, options, folder)
    except Error as error:
        print(f"{comparison.name}: {error}")
        return 2
    return 0


def _parse(comparison: Comparison, arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=comparison.name,
        description=comparison.about,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    usual = [each for each in GGUF_TYPES if each != "float32"]
    tables = ", ".join(comparison.tables)
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"of {tables}; default: all")
    parser.add_argument("--folder", type=Path, help="keeps the models here")
    programs = "has llama-bench and llama-batched-bench of"
    parser.add_argument("--llama", type=Path, help=f"{programs} llama.cpp")
    parser.add_argument("--ik_llama", type=Path, help=f"{programs} ik_llama.cpp")
    parser.add_argument("--no_torch", action="store_true", help="measure without transformers")
    parser.add_argument(
        "--size",
        nargs="+",
        choices=comparison.sizes,
        default=[comparison.size],
        help=f"models, one after the other; default: {comparison.size}",
    )
    parser.add_argument(
        "--precisions",
        nargs="+",
        choices=list(GGUF_TYPES),
        default=usual,
        help=f"default: {' '.join(usual)}",
    )
    parser.add_argument("--threads", type=int, default=0, help="default: one per usable core")
    parser.add_argument("--turns", type=int, default=3, help="samples of each; default: 3")
    parser.add_argument(
        "--minutes",
        type=float,
        default=12.0,
        help="begins no turn that would end later, for each size; default: 12",
    )
    parser.add_argument("--prompt", type=int, default=64, help="rows; default: %(default)s")
    parser.add_argument("--steps", type=int, default=48, help="tokens; default: %(default)s")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[128, 512], help="of prompts; default: 128 512"
    )
    parser.add_argument("--json", type=Path, help="all samples")
    parser.add_argument("--only_files", action="store_true", help="write the models and stop")
    options = parser.parse_args(arguments)
    _check(comparison, options, parser)
    options.tables = options.tables or list(comparison.tables)
    return options


def _check(
    comparison: Comparison, options: argparse.Namespace, parser: argparse.ArgumentParser
) -> None:
    unknown = [name for name in options.tables if name not in comparison.tables]
    if unknown:
        known = ", ".join(comparison.tables)
        parser.error(f"TABLE: expected some of {known}, got {', '.join(unknown)}")
    least = comparison.least_rows
    bounds = {
        "turns": (1, 1000),
        "minutes": (0, 1 << 16),
        "prompt": (least, 512),
        "steps": (4, 448),
        "threads": (0, 1024),
    }
    for name, (low, high) in bounds.items():
        value = getattr(options, name)
        if not low <= value <= high:
            parser.error(f"--{name}: expected {low} to {high}, got {value}")
    low = max(2, least)
    if not all(low <= rows <= 512 for rows in options.rows):
        parser.error(f"--rows: expected {low} to 512, got {options.rows}")


def _run(comparison: Comparison, options: argparse.Namespace, folder: Path) -> None:
    """Measures, prints and writes what was asked for."""
    from tqdm import tqdm

    threads = options.threads or usable_cores()
    left_out = {}
    with tqdm(unit="file", desc="models", disable=None) as bar:
        for size in options.size:
            progress = _Bar(bar)
            left_out[size] = comparison.make_files(options, size, folder, progress)
    if options.only_files:
        return
    machine = f"{platform.machine()}, {measure_peaks(num_threads=threads, seconds=1.0)}"
    print(f"Machine: {machine}\n", flush=True)
    sizes = []
    for size in options.size:
        sizes.append(_measure(comparison, options, size, folder, threads, left_out[size]))
        if options.json is not None:  # after each size, as the next may fail
            values = {
                "machine": machine,
                "threads": threads,
                "prompt": options.prompt,
                "steps": options.steps,
                "sizes": sizes,
            }
            options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _measure(
    comparison: Comparison,
    options: argparse.Namespace,
    size: str,
    folder: Path,
    threads: int,
    left_out: dict[str, str],
) -> dict[str, Any]:
    """One size: prints its tables, and returns them as plain values."""
    from tqdm import tqdm

    with ExitStack() as stack:
        contest = comparison.open_contest(options, size, folder, threads, left_out, stack)
        everyone = [one.contestant for one in contest.entries]
        total = (options.turns + 1) * len(everyone)
        with tqdm(total=total, unit="sample", desc=size, disable=None) as bar:
            turns = take_turns(everyone, options.turns, _Bar(bar), 60 * options.minutes)
    absent = [f"Without {peer}: {reason}." for peer, reason in left_out.items()]
    notes = [*absent, *contest.notes, memory_note(everyone)]
    if turns < options.turns:
        notes.append(f"{turns} of {options.turns} turns fit into {options.minutes:g} minutes.")
    tables = comparison.make_tables(contest.entries, turns)
    print(f"## {size}\n")
    for table in tables:
        print(table.markdown(), end="\n\n", flush=True)
    print("\n\n".join(notes), end="\n\n", flush=True)
    return {
        "size": size,
        "turns": turns,
        "tables": [table.json() for table in tables],
        "notes": notes,
    }


class _Bar:
    """Shows the name of what was done on a progress bar."""

    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def __call__(self, name: str) -> None:
        self._bar.set_postfix_str(name, refresh=False)
        self._bar.update()
