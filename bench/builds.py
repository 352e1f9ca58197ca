"""Two builds in turns on this machine's processor: what is slower or faster than before.

    python -m bench.builds --before build-old --after build-new --folder engines --json builds.json
    python -m bench.builds products steps --before /old/prefix --after /new/prefix --turns 5

A build is a folder with the extension module `_core` and its library (this tree's Python runs with
it), a folder with both somewhere below it (a build folder), or one with the package `ttsrt_rt`
(what `pip install --target` makes). Each runs in a process of its own, and both take turns, in the
other order every second time. The cases are those of the CPU's tables in docs/performance.md:
products of one row to 512, steps of one guided request, crowds, the first frames (their median) of
8 requests that come at once, and encoding and prefill. Engines
are made by the first build where they are not there yet. A ratio is the time after over the time
before, of samples that follow each other; "slower" is a median above --most.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from bench.command import check_json, open_folder
from bench.walls.tables import Case, Table, Target, spread
from ttsrt_rt.errors import ConfigError, Error, InternalError

__all__ = ["Build", "Sample", "build_at", "cases_of", "main", "slower"]

PARTS = ("products", "steps", "crowds", "first", "phase")
KINDS = ("float32", "bfloat16", "w8a16", "w8a8", "w4a16", "w4a8")
_ROWS = (1, 2, 16, 64, 512)
_CROWD_KINDS = ("bfloat16", "w8a16", "w8a8")
_COUNTS = (1, 8, 32)
_PHASE_KINDS = ("float32", "bfloat16", "w8a16", "w8a8")


@dataclass(frozen=True)
class Build:
    """Where a build is.

    Attributes:
        core: Its extension module; None if `packages` has all of it.
        libraries: The folder of its library; None where the module finds it.
        packages: The folder that has its package.
    """

    core: Path | None
    libraries: Path | None
    packages: Path

    def environment(self) -> dict[str, str]:
        """That of a process that runs it."""
        tree = Path(__file__).resolve().parents[1]
        found = dict(os.environ)
        found["PYTHONPATH"] = os.pathsep.join([str(self.packages), str(tree)])
        if self.libraries is not None:
            before = found.get("LD_LIBRARY_PATH", "")
            found["LD_LIBRARY_PATH"] = os.pathsep.join(filter(None, [str(self.libraries), before]))
        return found


def build_at(path: Path) -> Build:
    """The build that is in a folder.

    Raises:
        ConfigError: None is there, or more than one.
    """
    if (path / "ttsrt_rt" / "__init__.py").exists():
        return Build(None, None, path)
    cores = sorted(path.rglob("_core*.so"))
    if len(cores) != 1:
        raise ConfigError(
            f"builds: expected one _core*.so or a package ttsrt_rt in {path}, found {len(cores)}"
        )
    libraries = sorted({library.parent for library in path.rglob("libttsrt.so*")})
    if len(libraries) > 1:
        told = ", ".join(str(folder) for folder in libraries)
        raise ConfigError(f"builds: expected one libttsrt.so in {path}, found some in {told}")
    tree = Path(__file__).resolve().parents[1] / "python"
    return Build(cores[0], libraries[0] if libraries else None, tree)


@dataclass(frozen=True)
class Sample:
    """A case: one number is measured again and again, and smaller is better.

    Attributes:
        part: Of the tables.
        kind: Of the weights.
        count: Rows of a product, or requests of a crowd.
        size: Of the model: "2503" or "v2607"; empty for products.
    """

    part: str
    kind: str
    count: int
    size: str = ""

    @property
    def name(self) -> str:
        """For the table."""
        if self.part == "products":
            return f"{self.kind}, product of {self.count} rows"
        if self.part == "steps":
            return f"{self.size} {self.kind}, a step of one request"
        if self.part == "crowds":
            return f"{self.size} {self.kind}, a frame of {self.count} requests"
        if self.part == "first":
            return f"{self.size} {self.kind}, first frames of {self.count} arrivals"
        return f"{self.size} {self.kind}, encoding and prefill"


def cases_of(parts: Sequence[str], kinds: Sequence[str], rows: Sequence[int]) -> list[Sample]:
    """The cases of some parts, in the order of the tables."""
    found = []
    if "products" in parts:
        found += [Sample("products", kind, count) for kind in kinds for count in rows]
    if "steps" in parts:
        sizes = ("v2607", "2503")
        found += [Sample("steps", kind, 1, size) for size in sizes for kind in kinds]
    if "crowds" in parts:
        chosen = [kind for kind in _CROWD_KINDS if kind in kinds]
        found += [Sample("crowds", kind, count, "2503") for kind in chosen for count in _COUNTS]
    if "first" in parts:
        found += [Sample("first", kind, 8, "2503") for kind in _CROWD_KINDS if kind in kinds]
    if "phase" in parts:
        found += [Sample("phase", kind, 1, "2503") for kind in _PHASE_KINDS if kind in kinds]
    return found


@dataclass
class Worker:
    """A process that measures with one build; lines of JSON go in and out."""

    build: Build
    folder: Path
    threads: int
    process: subprocess.Popen[str] = field(init=False)

    def __enter__(self) -> Worker:
        core = "" if self.build.core is None else str(self.build.core.resolve())
        command = [sys.executable, "-m", "bench.builds_worker", core]
        self.process = subprocess.Popen(
            [*command, str(self.folder), str(self.threads)],
            env=self.build.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        with suppress(BrokenPipeError):  # of a process that has ended before it read all
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        """Sends one line and returns what comes back.

        Raises:
            InternalError: The process has ended, or it could not measure.
        """
        assert self.process.stdin is not None and self.process.stdout is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise InternalError(f"builds: the process of {self.build} has ended")
        answer = cast("dict[str, Any]", json.loads(line))
        if "error" in answer:
            raise InternalError(f"builds: {self.build}: {answer['error']}")
        return answer


def measure(sample: Sample, before: Worker, after: Worker, turns: int, most: Target) -> Case:
    """Opens a case in both processes, and lets them take turns."""
    for worker in (before, after):
        worker.ask({"open": vars(sample)})
    times: dict[str, list[float]] = {"before": [], "after": []}
    for turn in range(turns):
        order = [("before", before), ("after", after)]
        for name, worker in order if turn % 2 == 0 else reversed(order):
            times[name].append(worker.ask({"run": True})["ms"])
    for worker in (before, after):
        worker.ask({"close": True})
    ratios = [new / old for new, old in zip(times["after"], times["before"], strict=True)]
    ratio = statistics.median(ratios)
    cells = (spread(times["before"], 3), spread(times["after"], 3), spread(ratios, 2))
    figures = {**vars(sample), **times, "ratio": ratio}
    return Case(sample.name, (*cells, "" if most.is_met(ratio) else "slower"), figures)


def slower(cases: Sequence[Case], most: float) -> list[str]:
    """The names of cases whose ratio is above `most`."""
    return [case.name for case in cases if case.figures["ratio"] > most]


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="builds", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--before", type=Path, required=True, help="a build")
    parser.add_argument("--after", type=Path, required=True, help="another one")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rows", nargs="+", type=int, default=list(_ROWS))
    parser.add_argument("--threads", type=int, default=0, help="default: one per core")
    parser.add_argument("--turns", type=int, default=5, help="samples of each; default: 5")
    parser.add_argument("--most", type=float, default=1.03, help="ratio that is not slower")
    parser.add_argument("--folder", type=Path, help="keeps checkpoints and engines here")
    parser.add_argument("--json", type=Path, help="all samples")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"parts: expected some of {', '.join(PARTS)}, got {', '.join(unknown)}")
    if options.turns < 1:
        parser.error(f"--turns: expected at least 1, got {options.turns}")
    return options


def compare(options: argparse.Namespace, folder: Path) -> Table:
    """Measures all cases; each is told when it is there."""
    most = Target(options.most, is_most=True)
    cases = []
    with ExitStack() as stack:
        before, after = (
            stack.enter_context(Worker(build_at(path), folder, options.threads))
            for path in (options.before, options.after)
        )
        for sample in cases_of(options.parts or PARTS, options.kinds, options.rows):
            case = measure(sample, before, after, options.turns, most)
            cases.append(case)
            print(f"{case.name}: {', '.join(case.cells)}", file=sys.stderr, flush=True)
    late = slower(cases, options.most)
    return Table(
        key="builds",
        title=f"two builds; {options.turns} turns",
        columns=("case", "before, ms", "after, ms", "after over before", f"above {options.most:g}"),
        cases=cases,
        notes=[f"{len(late)} of {len(cases)} are slower."],
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 1 if a case is slower, 2 if something is wrong."""
    options = parse(arguments)
    try:
        check_json(options.json)
        with open_folder(options.folder, "builds-") as folder:
            table = compare(options, folder)
    except Error as error:
        print(f"builds: error: {error}", file=sys.stderr)
        return 2
    print(table.markdown())
    if options.json is not None:
        options.json.write_text(json.dumps(table.json(), indent=1) + "\n", encoding="utf-8")
    return 1 if slower(table.cases, options.most) else 0


if __name__ == "__main__":
    raise SystemExit(main())
