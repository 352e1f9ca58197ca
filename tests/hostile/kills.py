"""Kills `convert` and `build` at random moments, and checks what they leave.

One process imports the package and forks a child for each round; the child runs the command, and a
signal ends it at a moment drawn from the command's own duration. After each round the target must
be as it was or complete; after SIGTERM nothing else may be there; and the next run on the target
must remove what a killed one left, and succeed.

    python -m tests.hostile.kills --rounds 200 --seed 1
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ttsrt_rt as rt
from ttsrt_rt.cli import main as run_command
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.synth import write_random_nemo

SIGNALS = (signal.SIGKILL, signal.SIGTERM)
PLACES = ("absent", "empty", "full", "current", "current full", "link")


@dataclass(frozen=True)
class Round:
    """One kill.

    Attributes:
        command: "convert" or "build".
        place: What is at the target before.
        number: The signal.
        moment: When it is sent, as a share of the time that the command takes.
    """

    command: str
    place: str
    number: signal.Signals
    moment: float


def draw(seed: int, count: int) -> list[Round]:
    """Rounds of all kinds in turn, at random moments."""
    random_numbers = random.Random(seed)
    kinds = [
        (command, place, number)
        for command in ("convert", "build")
        for place in PLACES
        for number in SIGNALS
    ]
    return [
        Round(*kinds[index % len(kinds)], random_numbers.uniform(0, 1.1)) for index in range(count)
    ]


class Kills:
    """Runs rounds in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        """Writes the sources, and measures how long the commands take."""
        self.folder = folder
        self.source = write_random_nemo(folder / "source.nemo", "tiny")
        self.checkpoint = rt.convert(self.source, folder / "checkpoint", progress=None)
        # The least of three: one that other work slowed would let most kills come too late.
        self.seconds = {
            command: min(self._measure(command) for _ in range(3))
            for command in ("convert", "build")
        }
        self.ended_by_signals = 0

    def run(self, asked: Round) -> None:
        """Runs one round.

        Raises:
            AssertionError: It left something that it must not leave.
        """
        room = self.folder / "room"
        room.mkdir()
        target = room / "target"
        self._prepare(asked, target)
        before = self._state(asked.command, target)
        status = self._kill(asked, target)
        is_filled = asked.place.startswith("current")  # for a moment without its description
        after = self._state(asked.command, target)
        assert after in (before, "complete") or is_filled, f"{asked}: {before} became {after}"
        if asked.number == signal.SIGTERM:
            litter = set(os.listdir(room)) - {"target", "real"}
            assert not litter, f"{asked}: left {litter}"
            assert after in (before, "complete"), f"{asked}: {before} became {after}"
        if status != 0:
            self.ended_by_signals += 1
        with _inside(target if is_filled else room):
            code = run_command(self._arguments(asked, target, overwrite=True))
        assert code == 0, f"{asked}: the next run failed"
        assert self._state(asked.command, target) == "complete", f"{asked}: not complete"
        left = set(os.listdir(room)) - {"target", "real"}
        assert not left, f"{asked}: the next run left {left}"
        shutil.rmtree(room)

    def _prepare(self, asked: Round, target: Path) -> None:
        if asked.place in ("empty", "current"):
            target.mkdir()
        if asked.place == "link":
            target.symlink_to("real")
        if asked.place in ("full", "current full"):
            assert run_command(self._arguments(asked, target)) == 0

    def _arguments(self, asked: Round, target: Path, *, overwrite: bool = False) -> list[str]:
        name = "." if asked.place.startswith("current") and target.is_dir() else str(target)
        if Path.cwd() != target:
            name = str(target)
        flags = ["--overwrite"] if overwrite or "full" in asked.place else []
        if asked.command == "convert":
            return ["convert", str(self.source), name, *flags]
        source = ["--checkpoint_dir", str(self.checkpoint)]
        return ["build", *source, "--output_dir", name, *flags]

    def _kill(self, asked: Round, target: Path) -> int:
        """Runs the command in a child and ends it; returns the wait status."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                _mute()
                if asked.place.startswith("current"):
                    os.chdir(target)
                code = run_command(self._arguments(asked, target))
            finally:
                os._exit(code)
        time.sleep(asked.moment * self.seconds[asked.command])
        os.kill(child, asked.number)
        return os.waitpid(child, 0)[1]

    def _measure(self, command: str) -> float:
        target = self.folder / "measured"
        asked = Round(command, "absent", signal.SIGKILL, 0)
        begin = time.monotonic()
        child = os.fork()
        if child == 0:
            _mute()
            os._exit(run_command(self._arguments(asked, target)))
        assert os.waitpid(child, 0)[1] == 0, f"{command} failed"
        seconds = time.monotonic() - begin
        shutil.rmtree(target)
        return seconds

    def _state(self, command: str, target: Path) -> str:
        """ "absent", "empty", "complete", or what else is there."""
        if not target.exists():
            return "absent"
        names = sorted(name for name in os.listdir(target) if not name.startswith("."))
        if not names:
            return "empty"
        try:
            if command == "convert":
                open_checkpoint(target)
            else:
                rt.Engine.open(str(target)).verify()
        except rt.Error as error:
            return f"{names}: {error}"
        return "complete"


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _mute() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs rounds and prints how many commands were ended by signals."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    out = os.dup(1)
    with tempfile.TemporaryDirectory(prefix="ttsrt-kills-") as name:
        kills = Kills(Path(os.path.realpath(name)))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        for asked in draw(args.seed, args.rounds):
            kills.run(asked)
    os.write(out, f"{args.rounds} rounds, {kills.ended_by_signals} ended by signals\n".encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
