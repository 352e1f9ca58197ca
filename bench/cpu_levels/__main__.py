"""Compares instruction set levels of this processor.

    python -m bench.cpu_levels --folder engines --json levels.json
    python -m bench.cpu_levels products --threads 2 --rows 1 16 --levels avx512_bf16 avx512_amx

Parts: peaks; barriers of teams of threads; products of one shape by rows; prefill, of one request
with about 512 rows; stages, the time of each stage of encoding, prefill and decoding, of one
request and of 8; crowds, of 1, 8 and 32 guided requests, and the share of the read rate that one
reaches; narrow, steps of v2607 whose weights are narrower than their inputs. Levels that the
processor lacks are left out, and "default" is what it gets by itself. Nothing else should run.
Figures are medians over turns that alternate.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

from bench.command import check_json, open_folder
from bench.cpu_levels.levels import check_levels
from bench.cpu_levels.products import KINDS, ROWS, peaks_table, products_table
from bench.cpu_levels.requests import COUNTS, crowds_table, engines, phase_table
from bench.cpu_levels.stages import stages_table
from bench.cpu_levels.steps import barriers_table, narrow_engines, narrow_table, reading_table
from bench.walls.tables import Table
from ttsrt_rt.errors import Error

__all__ = ["main"]

PARTS = ("peaks", "barriers", "products", "prefill", "stages", "crowds", "narrow")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="cpu_levels", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument(
        "--levels", nargs="+", default=["avx512_vnni", "avx512_bf16", "avx512_amx"], metavar="LEVEL"
    )
    parser.add_argument("--threads", nargs="+", type=int, default=[2, 16])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(ROWS))
    parser.add_argument("--requests", nargs="+", type=int, default=list(COUNTS))
    parser.add_argument(
        "--engines", nargs="+", choices=KINDS, default=["bfloat16", "w8a8"], help="for requests"
    )
    parser.add_argument(
        "--request_levels", nargs="+", metavar="LEVEL", help="default: the last two of --levels"
    )
    parser.add_argument("--turns", type=int, default=3, help="samples of each; default: 3")
    parser.add_argument("--folder", type=Path, help="keeps the checkpoint and the engines here")
    parser.add_argument("--prepare", action="store_true", help="only make them")
    parser.add_argument("--json", type=Path, help="all samples")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"parts: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
    if options.turns < 1:
        parser.error(f"--turns: expected at least 1, got {options.turns}")
    return options


def make_tables(options: argparse.Namespace, folder: Path) -> list[Table]:
    """Measures the parts, and prints each table when it is there."""
    begin = time.monotonic()
    tables: list[Table] = []

    def told(what: str) -> None:
        print(f"{time.monotonic() - begin:6.1f} s  {what}", file=sys.stderr, flush=True)

    def add(table: Table) -> None:
        tables.append(table)
        print(table.markdown(), end="\n\n", flush=True)
        write_json(options.json, tables)

    parts = options.parts or PARTS
    levels = check_levels(options.levels)
    request_levels = check_levels(options.request_levels or levels[-2:])
    peaks = peaks_table(list(dict.fromkeys(levels + request_levels)), options.threads, told)
    add(peaks)
    if "barriers" in parts:
        add(barriers_table(options.threads, options.turns, told))
    for threads in options.threads:
        if "crowds" in parts:
            of = engines(folder, options.engines)
            crowds = crowds_table(
                of, request_levels, threads, options.requests, options.turns, told
            )
            add(crowds)
            if 1 in options.requests:
                add(reading_table(crowds.cases, threads))
        if "narrow" in parts:
            add(narrow_table(folder, threads, options.turns, told))
        for part, table_of in (("prefill", phase_table), ("stages", stages_table)):
            if part not in parts:
                continue
            of = engines(folder, options.engines)
            rates = {
                case.name: (case.figures["bfloat16_gflop_per_s"], case.figures["int8_gop_per_s"])
                for case in peaks.cases
                if case.figures["threads"] == threads
            }
            add(table_of(of, request_levels, threads, rates, options.turns, told))
    if "products" in parts:
        add(
            products_table(
                levels, options.threads, options.kinds, options.rows, options.turns, told
            )
        )
    return tables


def write_json(path: Path | None, tables: list[Table]) -> None:
    """Writes what was measured so far."""
    if path is not None:
        values = {"tables": [table.json() for table in tables]}
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = parse(arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, "cpu-levels-") as folder:
            if options.prepare:
                engines(folder, options.engines)
                if "narrow" in (options.parts or PARTS):
                    narrow_engines(folder)
            else:
                make_tables(options, folder)
    except Error as error:
        print(f"cpu_levels: error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
