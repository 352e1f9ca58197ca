"""Mutated checkpoints and engines: folders, and a whole `.nemo` that is converted.

The library reads these too, so that a fault there ends the process; mutants.py then has the number.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import ttsrt_rt as rt
from ttsrt_rt import _core
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.errors import CapacityError, ConfigError, FormatError

from .mutations import mutate, mutate_text

__all__ = ["KINDS", "Folders"]

SOURCE = Path(__file__).parents[1] / "data" / "magpie" / "tiny2512.nemo"
KINDS = ("convert", "checkpoint", "build", "engine")
HEAD = 16 << 10  # the headers of weights are there; most changes of values only change codes


class Folders:
    """Makes the valid checkpoint and engine once, and reads changed copies of them."""

    def __init__(self, base: Path) -> None:
        self._checkpoint, self._engine = base / "checkpoint", base / "engine"
        rt.convert(SOURCE, self._checkpoint, progress=False)
        rt.build(self._checkpoint, self._engine)

    def outcome(self, number: int, folder: Path) -> str:
        """Reads the changed folder of this number inside an empty folder, which is empty again
        afterwards; returns "read" or the error.

        Raises:
            AssertionError: a failed call left something behind, or its message is too long. Other
                exceptions are passed on.
        """
        numbers = random.Random(number)
        kind = KINDS[numbers.randrange(len(KINDS))]
        made = self._make(kind, folder, numbers)
        result = folder / "result"
        try:
            if kind == "convert":
                rt.convert(made, result, progress=False)
            elif kind == "checkpoint":
                open_checkpoint(made)
            elif kind == "build":
                rt.build(made, result)
                _core.Engine.open(os.fspath(result)).verify()
            else:
                _core.Engine.open(os.fspath(made)).verify()
            found = "read"
        except (ConfigError, FormatError, CapacityError) as error:
            found = f"{type(error).__name__}: {error}"
            assert len(found) < 1500, found
            assert not result.exists()
        left = set(os.listdir(folder)) - {made.name, "result"}
        assert not left, left
        for each in folder.iterdir():
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        return found

    def _make(self, kind: str, folder: Path, numbers: random.Random) -> Path:
        if kind == "convert":
            path = folder / "x.nemo"
            path.write_bytes(mutate_head(SOURCE.read_bytes(), numbers))
            return path
        path = folder / "x"
        shutil.copytree(self._engine if kind == "engine" else self._checkpoint, path)
        changed = path / numbers.choice(sorted(os.listdir(path)))
        data = changed.read_bytes()
        is_text = changed.suffix == ".json"
        changed.write_bytes(mutate_text(data, numbers) if is_text else mutate_head(data, numbers))
        return path


def mutate_head(data: bytes, numbers: random.Random) -> bytes:
    """Changes the beginning or, sometimes, anything."""
    if numbers.random() < 0.2:
        return mutate(data, numbers)
    return mutate(data[:HEAD], numbers) + data[HEAD:]
