"""Mutated files: each must be read, or be refused with one of the package's errors.

A mutant is a function of its number, so a failure is repeated by its number:

    python -m tests.hostile.mutants --begin 17 --count 1
    python -m tests.hostile.mutants --count 29800        # scripts/slow_checks

Limits on time and memory apply to the whole process; the number of the mutant that is being read is
in the file that `--progress` names, so that the death of the process has one.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import random
import resource
import shutil
import signal
import tempfile
import traceback
from pathlib import Path
from typing import Any, NoReturn

from .folders import Folders
from .readers import outcome
from .seeds import CHANGES, SEEDS

__all__ = ["main", "mutant"]

KINDS = tuple(SEEDS)
FOLDERS_EVERY = 20  # one of so many mutants is a folder, which takes longer to read
MAX_SECONDS = 10.0
MAX_BYTES = 3 << 30  # of address space; libraries alone take a part of it


def mutant(number: int) -> tuple[str, bytes]:
    """Returns kind and bytes of one mutant."""
    numbers = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    data = numbers.choice(CHANGES[kind])(SEEDS[kind], numbers)
    return kind, data


def main(arguments: list[str] | None = None) -> int:
    """Reads mutants and prints how they ended; returns the number of those that ended wrongly."""
    parser = argparse.ArgumentParser(description="Read mutated files.")
    parser.add_argument("--begin", type=int, default=0, help="number of the first mutant")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--progress", type=Path, help="file for the number of the current mutant")
    args = parser.parse_args(arguments)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, too_slow)
    ends: collections.Counter[str] = collections.Counter()
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as base:
        folders = Folders(Path(base))
        for number in range(args.begin, args.begin + args.count):
            if args.progress is not None:
                args.progress.write_text(str(number))
            try:
                signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
                if number % FOLDERS_EVERY == 0:
                    found = folders.outcome(number, Path(folder))
                else:
                    found = outcome(*mutant(number), Path(folder))
                ends[found.partition(":")[0]] += 1
            except (Exception, TooSlow):
                wrong += 1
                print(f"mutant {number}\n{traceback.format_exc()}")
                empty(Path(folder))
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    print(", ".join(f"{name} {count}" for name, count in sorted(ends.items())), f"wrong {wrong}")
    return wrong


def empty(folder: Path) -> None:
    """Removes what a failed reader left."""
    for left in folder.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()


class TooSlow(BaseException):
    """No `Exception`, because readers name those of the system."""


def too_slow(*_: Any) -> NoReturn:
    """Ends the reading of a mutant that takes too long."""
    raise TooSlow(f"took more than {MAX_SECONDS} s of CPU time")


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
