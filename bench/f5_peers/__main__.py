"""F5-TTS v1 beside PyTorch in one interleaved run: on the CPU the original, on a GPU its network.

    python -m bench.f5_peers --folder engines --json f5-peers.json
    python -m bench.f5_peers --device cuda --folder engines --json f5-gpu.json

All get the same random weights of full size. Files that FOLDER lacks are written first (7 GB).
Before anything is timed, the velocities of the first evaluation are compared. On the CPU without
the package f5-tts, only ttsrt_rt is measured. On a GPU, the network is compiled and replayed in a
CUDA graph, and whole utterances are timed, too. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
from contextlib import ExitStack
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from bench.command import check_json, open_folder
from bench.f5_peers.contest import flops, make_files, open_contest, peak_of
from bench.f5_peers.ours import KINDS
from bench.f5_peers.results import make_tables
from bench.walls.tables import Table
from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.bench.ops import measure_peaks
from ttsrt_rt.errors import Error
from ttsrt_rt.synth.f5_layout import f5_size

__all__ = ["main"]

_COMPILES = ("default", "max-autotune")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="f5_peers", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keeps the models here")
    parser.add_argument("--no_torch", action="store_true", help="measure without the original")
    parser.add_argument("--size", choices=["tiny", "small", "base"], default="base")
    parser.add_argument("--device", default="cpu", help='"cpu", or "cuda" for the first GPU')
    parser.add_argument("--compile", choices=list(_COMPILES), default="default", help="on a GPU")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), help="on the CPU; default: all")
    parser.add_argument("--frames", type=int, help="prompt included; default: 600, GPU: 1200")
    parser.add_argument("--threads", type=int, default=0, help="default: one per usable core")
    parser.add_argument("--turns", type=int, help="samples of each; default: 3, GPU: 15")
    parser.add_argument("--json", type=Path, help="all samples")
    parser.add_argument("--only_files", action="store_true", help="write the models and stop")
    options = parser.parse_args(arguments)
    if re.fullmatch(r"cpu|cuda(:\d+)?", options.device) is None:
        parser.error(f'--device: expected "cpu" or "cuda", got {options.device!r}')
    is_cpu = options.device == "cpu"
    options.has_sound = not is_cpu
    if options.device == "cuda":
        options.device = "cuda:0"
    if options.frames is None:
        options.frames = 600 if is_cpu else 1200
    if options.turns is None:
        options.turns = 3 if is_cpu else 15
    if options.kinds is not None and not is_cpu:
        parser.error("--kinds: expected none on a GPU, where float32 and bfloat16 are compared")
    bounds = {"turns": (1, 1000), "frames": (30, 4096), "threads": (0, 1024)}
    for name, (least, most) in bounds.items():
        value = getattr(options, name)
        if not least <= value <= most:
            parser.error(f"--{name}: expected {least} to {most}, got {value}")
    return options


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measures, prints and writes what was asked for."""
    from tqdm import tqdm

    threads = options.threads or usable_cores()
    source = make_files(options, folder)
    if options.only_files:
        return
    machine = f"{platform.machine()}, {measure_peaks(num_threads=threads, seconds=1.0)}"
    print(f"Machine: {machine}\n", flush=True)
    with ExitStack() as stack:
        contest = open_contest(options, folder, source, threads, stack)
        peak = partial(peak_of, threads=threads, gemm=contest.gemm)
        total = (options.turns + 1) * len(contest.entries)
        bar = stack.enter_context(tqdm(total=total, unit="sample", disable=None))
        for turn in range(options.turns + 1):
            for entry in contest.entries:
                entry.take(peak, is_kept=turn > 0)
                bar.update()
    work = flops(f5_size(options.size), options.frames)
    tables = make_tables(contest.entries, work, options.frames, options.turns)
    values = {
        "machine": machine,
        "threads": threads,
        "frames": options.frames,
        "notes": contest.notes,
    }
    tell(options, tables, values)


def run_gpu(options: argparse.Namespace, folder: Path) -> None:
    """Measures a GPU, prints and writes what was asked for."""
    from bench.f5_peers import gpu
    from bench.f5_peers.gpu_results import make_gpu_tables

    measures = not options.no_torch and not options.only_files
    card = gpu.find_card(options.device) if measures else None
    source = make_files(options, folder)
    if options.only_files:
        return
    print(f"{card or options.device}\n", flush=True)
    with ExitStack() as stack:
        contest = gpu.open_gpu_contest(options, folder, source, stack)
        for turn in range(options.turns + 1):
            for entry in contest.entries:
                entry.take(is_kept=turn > 0)
            contest.utterance.take(is_kept=turn > 0)
    tables = make_gpu_tables(
        contest, card, flops(f5_size(options.size), options.frames), options.frames
    )
    values = {
        "card": None if card is None else asdict(card),
        "frames": options.frames,
        "notes": contest.notes,
    }
    tell(options, tables, values)


def tell(options: argparse.Namespace, tables: list[Table], values: dict[str, Any]) -> None:
    """Prints the tables and the notes, and writes them with all samples to --json."""
    for table in tables:
        print(table.markdown(), end="\n\n", flush=True)
    print("\n\n".join(values["notes"]), flush=True)
    if options.json is not None:
        values = {**values, "tables": [table.json() for table in tables]}
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = parse(arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, "f5-peers-") as folder:
            (run if options.device == "cpu" else run_gpu)(options, folder)
    except Error as error:
        print(f"f5_peers: {error}")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
