"""Measures the tables of docs/performance.md, each in one interleaved run.

    scripts/walls --folder engines
    scripts/walls step-v2607 --folder engines --peer magpie-tts.cpp/build/examples/cli/magpie-cli

Nothing else should run on the machine. Its bandwidth, or its arithmetic peaks, are measured before
and after each sample. Figures are medians over the turns, with the lowest and the highest.
"""

from __future__ import annotations

import argparse
import json
import platform
from pathlib import Path

from bench.command import open_folder
from bench.walls.crowds import crowd_table
from bench.walls.phases import outside_table, phase_table
from bench.walls.plot import write_walls
from bench.walls.products import few_rows_table, many_rows_tables
from bench.walls.steps import step_table
from bench.walls.tables import Table
from bench.walls.turns import Progress
from ttsrt_rt.bench.ops import measure_peaks
from ttsrt_rt.bench.plot import check_plot
from ttsrt_rt.errors import Error

__all__ = ["main"]

TABLES = ("step-v2607", "step-2503", "products", "many-rows", "crowd", "phase", "outside")


def make_tables(
    name: str, options: argparse.Namespace, folder: Path, progress: Progress
) -> list[Table]:
    """The tables of one name on the command line."""
    turns = options.turns
    if name == "products":
        return [few_rows_table(folder, turns, progress)]
    if name == "many-rows":
        return many_rows_tables(folder, turns, progress)
    single = {"crowd": crowd_table, "phase": phase_table, "outside": outside_table}
    if name in single:
        return [single[name](folder, turns, progress)]
    size = name.removeprefix("step-")
    return [step_table(size, folder, turns, progress, options.peer if size == "v2607" else None)]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="walls", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; default: all")
    parser.add_argument("--turns", type=int, default=5, help="samples of each; default: 5")
    parser.add_argument("--folder", type=Path, help="keeps checkpoints and engines here")
    parser.add_argument(
        "--peer",
        type=Path,
        help="magpie-cli; FOLDER has v2607.f32.gguf, v2607.f16.gguf and v2607.q8_0.gguf",
    )
    parser.add_argument("--json", type=Path, help="all samples")
    parser.add_argument("--plot", type=Path, help="a picture: .png, .svg, .pdf")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.tables if name not in TABLES]
    if unknown:
        parser.error(f"tables: expected some of {', '.join(TABLES)}, got {', '.join(unknown)}")
    if options.turns < 1:
        parser.error(f"--turns: expected at least 1, got {options.turns}")
    return options


def run(options: argparse.Namespace, folder: Path) -> None:
    """Measures, prints and writes what was asked for."""
    from tqdm import tqdm

    machine = f"{platform.machine()}, {measure_peaks(seconds=1.0)}"
    print(f"Machine: {machine}\n", flush=True)
    tables: list[Table] = []
    for name in options.tables or TABLES:
        with tqdm(unit="sample", desc=name) as bar:

            def told(what: str, bar: tqdm = bar) -> None:  # type: ignore[type-arg]
                bar.set_postfix_str(what, refresh=False)
                bar.update()

            found = make_tables(name, options, folder, told)
        tables += found
        for table in found:
            print(table.markdown(), end="\n\n", flush=True)
        if options.json is not None:
            values = {"machine": machine, "tables": [table.json() for table in tables]}
            options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    if options.plot is not None:
        write_walls(options.plot, [table.json() for table in tables])


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = parse(arguments)
    try:
        if options.plot is not None:
            check_plot(options.plot)
        with open_folder(options.folder, "walls-") as folder:
            run(options, folder)
    except Error as error:
        print(f"walls: {error}")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
