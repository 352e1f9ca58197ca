"""Language models beside llama.cpp, ik_llama.cpp and transformers, in one interleaved run.

    python -m bench.llm_peers --size tinyllama t3 --folder engines --json llm-peers.json \\
        --llama llama/bin --ik_llama ik/bin

All programs get the same random weights, of TinyLlama's shape by default. Files that FOLDER lacks
are written first. Before anything is timed, greedy ids are compared: between 1 thread and all, and
with transformers. A peer that is not installed is left out, and a note names it. Nothing else
should run on the machine.
"""

from __future__ import annotations

from bench.llm_peers.contest import TABLES, make_files, make_tables, open_contest
from bench.llm_peers.shape import SIZES
from bench.peers import command

__all__ = ["main"]

COMPARISON = command.Comparison(
    name="llm_peers",
    about=__doc__,
    tables=TABLES,
    sizes=tuple(SIZES),
    size="tinyllama",
    least_rows=1,
    make_files=make_files,
    open_contest=open_contest,
    make_tables=make_tables,
)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    return command.main(COMPARISON, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
