"""Language models beside llama.cpp and transformers, in one interleaved run.

    python -m bench.llm_peers --folder engines --llama llama/bin --json llm-peers.json

All programs get the same random weights, of TinyLlama's shape by default. Files that FOLDER lacks
are written first. Before anything is timed, greedy ids are compared: between 1 thread and all, and
with transformers. A peer that is not installed is left out, and a note names it. Nothing else
should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.command import check_json, open_folder
from bench.llm_peers.contest import TABLES, make_files, make_tables, open_contest
from bench.llm_peers.shape import SIZES
from bench.walls.turns import memory_note, take_turns
from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.bench.ops import measure_peaks
from ttsrt_rt.errors import Error

__all__ = ["main"]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="llm_peers", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE", help=f"of {', '.join(TABLES)}; default: all"
    )
    parser.add_argument("--folder", type=Path, help="keeps the models here")
    parser.add_argument("--llama", type=Path, help="has llama-bench and llama-batched-bench")
    parser.add_argument("--no_torch", action="store_true", help="measure without transformers")
    parser.add_argument(
        "--size", choices=list(SIZES), default="tinyllama", help="default: %(default)s"
    )
    parser.add_argument("--threads", type=int, default=0, help="default: one per usable core")
    parser.add_argument("--turns", type=int, default=3, help="samples of each; default: 3")
    parser.add_argument("--prompt", type=int, default=64, help="ids; default: %(default)s")
    parser.add_argument("--steps", type=int, default=48, help="tokens; default: %(default)s")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=[128, 512], help="of prompts; default: 128 512"
    )
    parser.add_argument("--json", type=Path, help="all samples")
    parser.add_argument("--only_files", action="store_true", help="write the models and stop")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.tables if name not in TABLES]
    if unknown:
        parser.error(f"TABLE: expected some of {', '.join(TABLES)}, got {', '.join(unknown)}")
    options.tables = options.tables or list(TABLES)
    bounds = {"turns": (1, 1000), "prompt": (1, 512), "steps": (4, 448), "threads": (0, 1024)}
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if not least <= value <= most:
            parser.error(f"--{name}: expected {least} to {most}, got {value}")
    if not all(2 <= rows <= 512 for rows in options.rows):
        parser.error(f"--rows: expected 2 to 512, got {options.rows}")
    return options


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measures, prints and writes what was asked for."""
    from tqdm import tqdm

    threads = options.threads or usable_cores()
    with tqdm(unit="file", desc="models", disable=None) as bar:
        left_out = make_files(options, folder, lambda name: _told(bar, name))
    if options.only_files:
        return
    machine = f"{platform.machine()}, {measure_peaks(num_threads=threads, seconds=1.0)}"
    print(f"Machine: {machine}\n", flush=True)
    with ExitStack() as stack:
        contest = open_contest(options, folder, threads, left_out, stack)
        everyone = [one.contestant for one in contest.entries]
        with tqdm(total=(options.turns + 1) * len(everyone), unit="sample", disable=None) as bar:
            take_turns(everyone, options.turns, lambda name: _told(bar, name))
    tables = make_tables(contest, options.turns)
    notes = [*contest.notes, memory_note(everyone)]
    for table in tables:
        print(table.markdown(), end="\n\n", flush=True)
    print("\n\n".join(notes), flush=True)
    if options.json is not None:
        values = {
            "machine": machine,
            "size": options.size,
            "threads": threads,
            "prompt": options.prompt,
            "steps": options.steps,
            "tables": [table.json() for table in tables],
            "notes": notes,
        }
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _told(bar: Any, name: str) -> None:
    bar.set_postfix_str(name, refresh=False)
    bar.update()


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = parse(arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, "llm-peers-") as folder:
            run(options, folder)
    except Error as error:
        print(f"llm_peers: {error}")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
