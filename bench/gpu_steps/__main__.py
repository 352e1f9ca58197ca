"""Decoder steps on a GPU beside PyTorch in one run, with the floor of each, as one table.

    python -m bench.gpu_steps --folder engines --json gpu-steps.json
    python -m bench.gpu_steps --folder engines --cases 2503-1 t3-1 --peers compile --profile

All weights are random; engines that FOLDER lacks are built first. Ours come first, then the peers,
and the table and the JSON are complete after each, so that a run that is cut off has what it
measured. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from bench.command import open_folder
from bench.gpu_steps.cases import CASES, SCALES, Case, choose
from bench.gpu_steps.measure import Measured, measure_ours
from bench.gpu_steps.peers import PEERS, measure_peer, peer_jobs
from bench.gpu_steps.results import derive, make_table
from bench.walls.tables import Table
from ttsrt_rt.errors import ConfigError, Error

__all__ = ["main"]

ATTENTIONS = ("sdpa", "explicit")


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="gpu_steps", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--cases", nargs="*", default=[], help=f"of {', '.join(CASES)}; default: all")
    add(
        "--peers",
        nargs="*",
        choices=PEERS,
        default=["compile", "generate"],
        help="default: compile generate",
    )
    add(
        "--attention",
        nargs="+",
        choices=ATTENTIONS,
        default=list(ATTENTIONS),
        help="of PyTorch's steps; the faster counts",
    )
    add("--device", default="cuda:0", help="default: %(default)s")
    add("--devices", default="cuda:0,cuda:1", help="of two GPUs; default: %(default)s")
    add("--folder", type=Path, help="keeps engines, and what PyTorch compiles")
    add("--size", choices=list(SCALES), default="true", help="default: %(default)s")
    add("--profile", action="store_true", help="also print the heaviest stages of each step")
    add("--limit_s", type=float, default=0.0, help="start nothing after so many seconds; 0: none")
    add("--json", type=Path, help="all samples")
    add("--table", type=Path, help="the table, as Markdown")
    add("--only_engines", action="store_true", help="make the engines and stop")
    return parser.parse_args(arguments)


class Run:
    """One run: what was measured so far, and where it is written."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.begin = time.monotonic()
        self.measured = Measured(
            folder=folder,
            size=options.size,
            device=options.device,
            devices=options.devices,
            is_profiled=options.profile,
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing more may be started."""
        limit: float = self.options.limit_s
        return 0.0 < limit < time.monotonic() - self.begin

    def say(self, text: str) -> None:
        """Prints progress with the time."""
        print(f"[{time.monotonic() - self.begin:6.1f} s] {text}", file=sys.stderr, flush=True)

    def attempt(self, name: str, case: Case, work: Callable[[], str]) -> None:
        """Measures one thing. What fails is noted in the line of its case, and the run goes on."""
        line = self.measured.line(case)
        if self.is_over:
            line.error += f" {name}: not started within --limit_s."
            return
        try:
            told = work()
        except (Error, RuntimeError, ImportError) as error:
            told = f"failed: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
            line.error += f" {name} {told}."
        self.say(f"{case.key}, {name}: {told}")
        self.write()

    def table(self) -> Table:
        """The table of what was measured so far."""
        derive(self.measured.lines)
        card = self.measured.card
        name = "no GPU" if card is None else card.name
        return make_table(self.measured.lines, f"Decoder steps on {name}", name)

    def write(self) -> None:
        """Writes the files that were asked for."""
        table, card = self.table(), self.measured.card
        if self.options.table is not None:
            self.options.table.write_text(table.markdown() + "\n", encoding="utf-8")
        if self.options.json is not None:
            values = {
                "card": None if card is None else asdict(card),
                "size": self.options.size,
                "lines": [line.json() for line in self.measured.lines],
            }
            self.options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def run(options: argparse.Namespace, folder: Path) -> bool:
    """Measures, prints and writes what was asked for; whether nothing failed."""
    from bench.gpu_steps.models import make_engines

    cases = choose(options.cases)
    this = Run(options, folder)
    measured = this.measured
    make_engines(folder, options.size, cases, this.say)
    if options.only_engines:
        return True
    this.say(measured.measure_card())
    for case in cases:
        if not measured.can_run(case):
            measured.line(case).error = f" This machine has no {options.devices}."
            continue
        this.attempt("ours", case, lambda case=case: measure_ours(measured, case))  # type: ignore[misc]
    for job in peer_jobs(cases, options.peers, options.attention):
        this.attempt(
            job.name,
            job.case,
            lambda job=job: measure_peer(measured, job),  # type: ignore[misc]
        )
    table = this.table()
    this.write()
    if measured.card is not None:
        print(f"\n{measured.card}\n")
    print(table.markdown())
    for note in measured.notes():
        print(f"\n{note}")
    return not any(line.error for line in measured.lines)


def check_outputs(paths: Sequence[Path | None]) -> None:
    """Refuses files whose folder does not exist, before minutes are spent."""
    for path in paths:
        if path is not None and not path.resolve().parent.is_dir():
            raise ConfigError(f"{path}: expected a file in an existing folder")


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if something could not be measured, 2 if the command is wrong."""
    options = parse(arguments)
    try:
        check_outputs((options.json, options.table))
        with open_folder(options.folder, "gpu-steps-") as folder:
            return 0 if run(options, folder) else 1
    except Error as error:
        print(f"gpu_steps: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
