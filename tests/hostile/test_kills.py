"""`convert` and `build` killed at random moments leave the target as it was, or complete."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.hostile.kills import PLACES, SIGNALS, draw
from tests.house import ROOT


def test_rounds_are_of_all_kinds() -> None:
    rounds = draw(1, 2 * len(PLACES) * len(SIGNALS))
    assert len({(each.command, each.place, each.number) for each in rounds}) == len(rounds)
    assert draw(1, 5) == draw(1, 5) != draw(2, 5)


def test_kills_leave_no_half_folders() -> None:
    """In a process of its own: a fork of this one would have the threads of other tests."""
    rounds = os.environ.get("TTSRT_KILLS", "24")
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.kills", "--rounds", rounds, "--seed", "1"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    ended = int(done.stdout.split()[2])
    assert ended > int(rounds) // 4, done.stdout
