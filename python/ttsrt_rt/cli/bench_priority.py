"""`ttsrt bench priority`: how long a high priority waits while low ones take every place."""

from __future__ import annotations

import argparse

from ttsrt_rt.cli.bench_speed import (
    add_shape_flags,
    request_shape,
    title_of,
    told_shape,
    write_json,
)
from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options
from ttsrt_rt.cli.tables import format_markdown
from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_priority"]

_PERCENTS = (50, 90, 95, 99)


def add_priority(commands: Subparsers) -> None:
    """Adds `bench priority`."""
    parser = commands.add_parser(
        "priority",
        help="measure first frames of a high priority under load",
        description="Measures the time to the first frame of requests of high priority: alone, and "
        "while requests of low priority decode in all places. --preempt none shows what they wait "
        "without preemption.",
    )
    parser.add_argument("engine", help="what build wrote")
    for name, text in (("rounds", "idle and loaded in turns"), ("requests", "of one measurement")):
        default = {"rounds": 10, "requests": 20}[name]
        parser.add_argument(
            f"--{name}", type=int, default=default, help=f"{text}; default: {default}"
        )
    parser.add_argument(
        "--high_frames", type=int, default=8, help="of a high request; default: %(default)s"
    )
    parser.add_argument(
        "--pause_ms", type=float, default=5.0, help="between two, at most; default: %(default)s"
    )
    add_shape_flags(parser, frames=256)
    add_executor_flags(parser)
    parser.add_argument("--output_json", help="all times")
    parser.reads("engine", "draft_engine")
    parser.writes("output_json")
    parser.set_defaults(run=_priority)


def _priority(args: argparse.Namespace) -> int:
    from ttsrt_rt.bench.priority import PriorityOptions, measure_priority
    from ttsrt_rt.bench.run import describe
    from ttsrt_rt.executor import Executor

    options = PriorityOptions(
        rounds=args.rounds,
        requests=args.requests,
        pause_ms=args.pause_ms,
        high_frames=args.high_frames,
        shape=request_shape(args),
    )
    with Executor(args.engine, **{"preempt": "priority", **executor_options(args)}) as executor:
        report = measure_priority(executor, options)
        told = describe(executor)
    print(f"{title_of(told)}, {told_shape(args)}, {report.num_low} low requests\n")
    rows = [[name] for name in ("idle", "loaded")]
    for percent in _PERCENTS:
        for row, value in zip(rows, report.percentile(percent), strict=True):
            row.append(f"{value:.3f}")
    print(format_markdown(["ms to the first frame", *(f"p{at}" for at in _PERCENTS)], rows))
    print(f"\np95 loaded / idle: {report.ratio:.2f}; {report.num_preemptions} preemptions")
    write_json(args.output_json, {"engine": told, **vars(report)})
    return 0
