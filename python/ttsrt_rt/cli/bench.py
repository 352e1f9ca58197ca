"""`ttsrt bench COMMAND`: measures speed, latency, and behaviour beyond capacity."""

from __future__ import annotations

from ttsrt_rt.cli import (
    bench_distance,
    bench_llm,
    bench_priority,
    bench_run,
    bench_share,
    bench_speed,
)
from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command and its subcommands."""
    parser = commands.add_parser("bench", help="measure an engine: latency, throughput, overload")
    inner = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for add in (
        bench_run.add_prepare,
        bench_run.add_run,
        bench_speed.add_crowd,
        bench_speed.add_compare,
        bench_speed.add_overload,
        bench_priority.add_priority,
        bench_share.add_share,
        bench_distance.add_distance,
        bench_llm.add_llm,
    ):
        add(inner)
