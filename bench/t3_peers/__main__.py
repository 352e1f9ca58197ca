"""A decoder of T3's shape beside transformers and llama.cpp, in one interleaved run.

    python -m bench.t3_peers --folder engines --llama llama/bin --ik_llama ik/bin --json t3.json

All programs get the same random weights. Files that FOLDER lacks are written first (6 GB). Before
anything is timed, greedy tokens are compared: between 1 thread and all, and with transformers. A
peer that is not installed is left out, and a note names it. Nothing else should run on the machine.
"""

from __future__ import annotations

from bench.peers import command
from bench.t3_peers.contest import TABLES, make_files, open_contest
from bench.t3_peers.results import make_tables
from bench.t3_peers.shape import SIZES

__all__ = ["main"]

COMPARISON = command.Comparison(
    name="t3_peers",
    about=__doc__,
    tables=TABLES,
    sizes=tuple(SIZES),
    size="true",
    least_rows=40,
    make_files=make_files,
    open_contest=open_contest,
    make_tables=make_tables,
)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    return command.main(COMPARISON, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
