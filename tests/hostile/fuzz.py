"""Fuzzes the readers and the arguments that Python takes, each for some seconds:

    python -m tests.hostile.fuzz --seconds 5                     # all targets, as in CI
    python -m tests.hostile.fuzz --target pickle --seconds 600 --seed 7

An input that ends in a way not seen before is changed further, where a way is the error's message
without its numbers and quotes: messages name the place in the code that refused, so they guide the
search as coverage would. What ended in a new way in long runs is kept in tests/hostile/corpus/. A
failure is written to the folder that `--failures` names, with the exception.
"""

from __future__ import annotations

import argparse
import faulthandler
import random
import re
import resource
import signal
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from .arguments import read_request
from .mutants import MAX_BYTES, MAX_SECONDS, TooSlow, empty, too_slow
from .mutations import mutate, mutate_text
from .readers import outcome
from .seeds import CHANGES, SEEDS

__all__ = ["TARGETS", "Fuzzer", "main"]

CORPUS = Path(__file__).parent / "corpus"
# Target -> kind of file; None has no file.
TARGETS: dict[str, str | None] = {
    "pickle": "pickle",
    "torch": "torch",
    "nemo": "nemo",
    "yaml": "yaml",
    "safetensors": "safetensors",
    "npz": "npz",
    "json": "json",
    "ssml": "ssml",
    "lexicon": "lexicon",
    "requests": None,
}
MAX_INPUT = 1 << 16
MAX_KEPT = 2000


def way_of(found: str) -> str:
    """Returns an outcome without what differs between equal places in the code."""
    return re.sub(r"'[^']*'|\"[^\"]*\"|[0-9]+", "#", found)[:300]


class Fuzzer:
    """The search of one target.

    Attributes:
        ways: outcome -> the first input that ended so.
        num_runs: inputs so far.
        last: the newest input.
    """

    def __init__(self, target: str, seed: int, folder: Path) -> None:
        self._kind = TARGETS[target]
        self._numbers = random.Random(f"{target} {seed}")
        self._folder = folder
        self.ways: dict[str, bytes] = {}
        self.num_runs = 0
        self.last = b""
        self._pool: list[bytes] = []
        if self._kind is not None:
            kept = sorted((CORPUS / target).iterdir()) if (CORPUS / target).is_dir() else []
            for data in (SEEDS[self._kind], *(path.read_bytes() for path in kept)):
                self.run(data)
                self._pool.append(data)

    def step(self) -> None:
        """Runs one new input."""
        if self._kind is None:
            self.num_runs += 1
            self.ways.setdefault(way_of(read_request(self._numbers)), b"")
            return
        self.run(self._next(self._kind)[:MAX_INPUT])

    def _next(self, kind: str) -> bytes:
        numbers = self._numbers
        if numbers.random() < 0.5:
            return numbers.choice(CHANGES[kind])(SEEDS[kind], numbers)
        change: Callable[[bytes, random.Random], bytes] = mutate
        if kind in ("yaml", "json", "ssml", "lexicon"):
            change = mutate_text
        # Later inputs are further from the seed, so they are taken more often.
        at = max(numbers.randrange(len(self._pool)), numbers.randrange(len(self._pool)))
        return change(self._pool[at], numbers)

    def run(self, data: bytes) -> None:
        """Reads one input and keeps it if it ends in a new way."""
        assert self._kind is not None
        self.num_runs += 1
        self.last = data
        way = way_of(outcome(self._kind, data, self._folder))
        if way not in self.ways:
            self.ways[way] = data
            if len(self._pool) < MAX_KEPT:
                self._pool.append(data)


def fuzz(target: str, seconds: float, seed: int, failures: Path | None) -> bool:
    """Fuzzes one target; returns whether nothing failed."""
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(target, seed, Path(folder))
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end:
                signal.setitimer(signal.ITIMER_PROF, MAX_SECONDS)
                fuzzer.step()
        except (Exception, TooSlow):
            print(f"{target}: run {fuzzer.num_runs}\n{traceback.format_exc()}")
            if failures is not None and TARGETS[target] is not None:
                failures.mkdir(parents=True, exist_ok=True)
                (failures / f"{target}-{seed}-{fuzzer.num_runs}").write_bytes(fuzzer.last)
            empty(Path(folder))
            return False
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
    print(f"{target}: {fuzzer.num_runs} runs, {len(fuzzer.ways)} ways to end", flush=True)
    return True


def main(arguments: list[str] | None = None) -> int:
    """Fuzzes one or all targets; returns the number of those that failed."""
    parser = argparse.ArgumentParser(description="Fuzz the readers of the Python package.")
    parser.add_argument("--target", choices=list(TARGETS), help="default: all")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, help="folder for inputs that failed")
    args = parser.parse_args(arguments)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_BYTES, resource.RLIM_INFINITY))
    signal.signal(signal.SIGPROF, too_slow)
    targets = [args.target] if args.target is not None else list(TARGETS)
    return sum(not fuzz(each, args.seconds, args.seed, args.failures) for each in targets)


if __name__ == "__main__":
    raise SystemExit(min(main(), 1))
