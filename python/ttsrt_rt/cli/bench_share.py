"""`ttsrt bench share`: the throughput that remains when other work uses the same cores."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.bench_speed import (
    add_shape_flags,
    request_shape,
    title_of,
    told_shape,
    write_json,
)
from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.tables import format_markdown
from ttsrt_rt.cli.types import Subparsers

if TYPE_CHECKING:
    from ttsrt_rt.bench.company import Company
    from ttsrt_rt.executor import Executor

__all__ = ["add_share", "add_share_flags", "run_share"]


def add_share(commands: Subparsers) -> None:
    """Adds `bench share`."""
    parser = commands.add_parser(
        "share",
        help="throughput beside busy processes, and the fair share of the cores",
        description="The amounts of other work take turns in each repeat; figures are medians.",
    )
    parser.add_argument(
        "--beside",
        choices=["processes", "executors"],
        default="processes",
        help="the other work: processes that spin, or more executors in this process",
    )
    add_share_flags(parser)
    parser.set_defaults(run=_share)


def add_share_flags(parser: Parser) -> None:
    """Adds the flags that do not choose what runs beside the executor."""
    parser.add_argument("engine", help="what build wrote")
    parser.add_argument(
        "--busy", type=int, nargs="+", default=[0, 1, 2], help="amounts of other work, 0 first"
    )
    parser.add_argument("--concurrency", type=int, default=1, help="requests; default: %(default)s")
    parser.add_argument("--repeats", type=int, default=5, help="default: %(default)s")
    add_shape_flags(parser, frames=128)
    add_executor_flags(parser)
    parser.add_argument("--output_json", help="all figures")
    parser.add_argument("--output_plot", help="shares and steps: .png, .svg, .pdf")
    parser.reads("engine", "draft_engine")
    parser.writes("output_json", "output_plot")


def _share(args: argparse.Namespace) -> int:
    from ttsrt_rt.bench.company import executors, processes

    def company(executor: Executor) -> Company:
        if args.beside == "executors":
            return executors(executor.engine, request_shape(args), executor_options(args))
        return processes()

    return run_share(args, company)


def run_share(args: argparse.Namespace, company_of: Callable[[Executor], Company]) -> int:
    """Measures, prints and writes what those flags ask for."""
    from tqdm import tqdm

    from ttsrt_rt.bench.company import usable_cores
    from ttsrt_rt.bench.facts import EngineFacts
    from ttsrt_rt.bench.machine import busy_note
    from ttsrt_rt.bench.plot import check_plot, write_share_plot
    from ttsrt_rt.bench.run import describe
    from ttsrt_rt.bench.share import ShareOptions, iterations_needed, measure_shares
    from ttsrt_rt.executor import Executor

    if args.output_plot is not None:
        check_plot(args.output_plot)
    options = ShareOptions(
        busy=tuple(args.busy),
        concurrency=args.concurrency,
        repeats=args.repeats,
        shape=request_shape(args),
    )
    remembered = iterations_needed(options.shape, max(options.concurrency, 1))
    settings = {**executor_options(args), "iter_stats_max_iterations": remembered}
    with Executor(args.engine, **settings) as executor:
        company = company_of(executor)
        facts = EngineFacts.of(executor.engine)
        with tqdm(total=args.repeats * len(options.busy), unit="turn", disable=None) as bar:
            shares = measure_shares(executor, facts, options, company=company, progress=bar.update)
        told = describe(executor)
    cores = usable_cores()
    threads = args.num_threads or cores
    figures = [share.figures(shares[0], cores, threads, company.threads_each) for share in shares]
    at_once = f"{args.concurrency} at once, " if args.concurrency > 1 else ""
    print(f"{title_of(told)}, {at_once}{told_shape(args)}; {cores} cores, {threads} threads\n")
    print(_table(figures, company.name))
    note = busy_note(shares[0].others, during=f"the turns beside 0 {company.name}")
    if note:
        print("\n" + note)
    title = f"{Path(told['path']).name}, {told['description']}"
    if args.output_plot is not None:
        write_share_plot(args.output_plot, figures, company.name, title)
    values = {"cores": cores, "threads": threads, "beside": company.name, "shares": figures}
    write_json(args.output_json, {"engine": told, "shape": vars(options.shape), **values})
    return 0


def _table(figures: list[dict[str, Any]], others: str) -> str:
    """Medians over the repeats, beside the fair share of the cores."""
    rows = [
        [
            row["busy"],
            f"{row['frames_per_second']:.1f} ({row['lowest']:.1f} to {row['highest']:.1f})",
            f"{row['ratio']:.2f}",
            f"{row['fair_share']:.2f}",
            f"{row['of_fair_share']:.2f}",
            f"{row['step_ms']['p50']:.1f}",
            f"{row['step_ms']['p99']:.1f}",
        ]
        for row in figures
    ]
    header = [others, "codec frames/s", "over alone", "fair share", "over the fair share"]
    return format_markdown([*header, "ms a step, p50", "p99"], rows)
