"""`ttsrt bench crowd`, `compare`, `overload`: batching, time per step, and beyond capacity."""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options
from ttsrt_rt.cli.outputs import make_folder
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.tables import format_markdown, format_size
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import write_text

if TYPE_CHECKING:
    from ttsrt_rt.bench.compare import Comparison
    from ttsrt_rt.bench.overload import OverloadReport
    from ttsrt_rt.bench.requests import RequestShape
    from ttsrt_rt.bench.step_turns import Peer

__all__ = [
    "add_compare",
    "add_compare_flags",
    "add_crowd",
    "add_overload",
    "add_shape_flags",
    "request_shape",
    "run_compare",
    "title_of",
    "told_shape",
    "write_json",
]

_SIZES = ("2503", "v2607")


def add_crowd(commands: Subparsers) -> None:
    """Adds `bench crowd`."""
    parser = commands.add_parser(
        "crowd",
        help="throughput of N guided requests at once, and its ratio to one",
        description="The numbers of requests take turns in each repeat; figures are medians.",
    )
    parser.add_argument("engine", nargs="?", help="what build wrote")
    parser.add_argument("--size", choices=_SIZES, help="use a random engine of full size")
    parser.add_argument("--dtype", default="bfloat16", help="of --size; default: %(default)s")
    parser.add_argument("--folder", help="keeps checkpoint and engine of --size here")
    parser.add_argument(
        "--concurrency",
        type=int,
        nargs="+",
        default=[1, 2, 4, 8, 16, 32],
        help="requests at a time, measured one after the other; default: %(default)s",
    )
    parser.add_argument("--repeats", type=int, default=3, help="default: %(default)s")
    add_shape_flags(parser, frames=128)
    add_executor_flags(parser)
    parser.add_argument("--output_json", help="all figures")
    parser.reads("engine", "draft_engine")
    parser.writes("output_json")
    parser.set_defaults(run=_crowd)


def _crowd(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.bench.crowd import measure_crowds
    from ttsrt_rt.bench.run import describe
    from ttsrt_rt.executor import Executor

    counts = list(args.concurrency)
    with _engine(args, max(counts)) as engine, Executor(engine, **executor_options(args)) as opened:
        with tqdm(total=args.repeats * len(counts), unit="crowd", disable=None) as bar:
            crowds = measure_crowds(
                opened, counts, args.repeats, request_shape(args), progress=bar.update
            )
        told, frame_rate = describe(opened), opened.engine.info.frame_rate
    figures = [crowd.figures(crowds[0], frame_rate) for crowd in crowds]
    rows = [
        [
            row["requests"],
            f"{row['frames_per_second']:.1f} ({row['lowest']:.1f} to {row['highest']:.1f})",
            f"{row['ratio']:.2f}",
            f"{row['x_real_time']:.2f}",
            f"{row['rtf']:.3f}",
            f"{row['step_ms']:.1f}",
            f"{row['first_frame_ms']:.0f}",
            *([] if row["first_audio_ms"] is None else [f"{row['first_audio_ms']:.0f}"]),
        ]
        for row in figures
    ]
    header = ["requests at once", "codec frames/s", f"over {counts[0]}", "x real time", "RTF"]
    header += ["ms a step", "ms to the first frame"]
    header += [] if figures[0]["first_audio_ms"] is None else ["ms to the first sound"]
    print(f"{title_of(told)}, {told_shape(args)}; medians of {args.repeats}\n")
    print(format_markdown(header, rows))
    write_json(
        args.output_json, {"engine": told, "shape": vars(request_shape(args)), "crowds": figures}
    )
    return 0


def add_compare(commands: Subparsers) -> None:
    """Adds `bench compare`."""
    parser = commands.add_parser(
        "compare",
        help="time per step of a checkpoint's engines",
        description="One guided request; engines of several dtypes and quantizations take turns, "
        "and memory bandwidth is measured around every turn. For PyTorch beside them, run "
        "`python -m bench.step_time` in a checkout of the source code.",
    )
    add_compare_flags(parser)
    parser.set_defaults(run=run_compare)


def add_compare_flags(parser: Parser) -> None:
    """Adds the flags of `bench compare`, which another command may share."""
    parser.add_argument("checkpoint", nargs="?", help="what convert wrote")
    parser.add_argument(
        "--size", nargs="+", choices=_SIZES, default=[], help="use random models of full size"
    )
    parser.add_argument(
        "--dtype", nargs="+", default=["float32", "bfloat16"], help="default: float32 bfloat16"
    )
    parser.add_argument(
        "--quantization",
        nargs="+",
        default=["none"],
        help="none (the engines of --dtype), w8a16, w4a16, w8a8, w4a8; default: none",
    )
    parser.add_argument("--turns", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--folder", help="keeps checkpoints and engines of --size here")
    parser.add_argument("--output_json", help="all figures")
    parser.reads("checkpoint")
    parser.writes("output_json")


def run_compare(args: argparse.Namespace, peer: Peer | None = None) -> int:
    """Measures, prints and writes what those flags ask for, beside `peer` if there is one."""
    from tqdm import tqdm

    from ttsrt_rt.bench.compare import CompareOptions, compare
    from ttsrt_rt.bench.step_turns import make_checkpoint, step_table
    from ttsrt_rt.convert.checkpoint import check_checkpoint

    _check_one_model(args, "checkpoint")
    if args.checkpoint is not None:
        check_checkpoint(args.checkpoint)
    options = CompareOptions(
        dtypes=tuple(args.dtype), quantizations=tuple(args.quantization), turns=args.turns
    )
    results: list[Comparison] = []
    with _folder(args.folder) as folder:
        for source in args.size or [args.checkpoint]:
            checkpoint = Path(source) if args.checkpoint else make_checkpoint(source, folder)
            with tqdm(unit="turn", desc=str(source), disable=None) as bar:
                result = compare(checkpoint, folder, options, peer=peer, progress=bar.update)
            print("\n" + step_table(result.name, result.turns))
            if result.equal_frames is not None:
                print(f"greedy float32 frames equal: {result.equal_frames} of {result.of}")
            results.append(result)
    write_json(args.output_json, [result.json() for result in results])
    return 0


def add_overload(commands: Subparsers) -> None:
    """Adds `bench overload`."""
    parser = commands.add_parser(
        "overload",
        help="offer a multiple of the measured capacity",
        description="Measures capacity with every slot full, then submits --factor times as many "
        "requests, however many are refused. The exit code is 1 if an accepted request did not "
        "end whole.",
    )
    parser.add_argument("engine", help="what build wrote")
    parser.add_argument("--seconds", type=float, default=60.0, help="default: %(default)s")
    parser.add_argument("--factor", type=float, default=10.0, help="default: %(default)s")
    parser.add_argument(
        "--capacity_seconds",
        type=float,
        default=10.0,
        help="of the preceding measurement; default: %(default)s",
    )
    add_shape_flags(parser, frames=32)
    add_executor_flags(parser)
    parser.add_argument("--output_json", help="all figures")
    parser.reads("engine", "draft_engine")
    parser.writes("output_json")
    parser.set_defaults(run=_overload)


def _overload(args: argparse.Namespace) -> int:
    from ttsrt_rt.bench.facts import EngineFacts
    from ttsrt_rt.bench.overload import OverloadOptions, measure_overload
    from ttsrt_rt.bench.run import describe
    from ttsrt_rt.executor import Executor

    options = OverloadOptions(
        seconds=args.seconds,
        factor=args.factor,
        capacity_seconds=args.capacity_seconds,
        shape=request_shape(args),
    )
    with Executor(args.engine, **executor_options(args)) as executor:
        report = measure_overload(executor, EngineFacts.of(executor.engine), options)
        told = describe(executor)
    print(f"{title_of(told)}, {told_shape(args)}\n")
    print(format_markdown(["", "measured"], _overload_rows(report)))
    write_json(args.output_json, {"engine": told, **dataclasses.asdict(report)})
    return 0 if report.is_ok else 1


def _overload_rows(report: OverloadReport) -> list[list[Any]]:
    def times(figures: dict[str, float]) -> str:
        return " / ".join(f"{figures[name]:.3f}" for name in ("p50", "p99", "max"))

    offered_rate = report.offered / max(report.seconds, 1e-9)
    return [
        ["capacity, codec frames/s", f"{report.capacity_frames_per_second:.1f}"],
        ["capacity, requests/s", f"{report.capacity_requests_per_second:.2f}"],
        ["offered, requests/s", f"{offered_rate:.2f} of {report.asked_requests_per_second:.2f}"],
        ["codec frames/s under overload", f"{report.frames_per_second:.1f}"],
        ["over capacity", f"{report.ratio:.3f}"],
        ["offered", report.offered],
        ["accepted", report.accepted],
        ["refused", report.refused],
        ["accepted and ended whole", report.completed],
        ["accepted, ended otherwise", f"{report.incomplete} {'; '.join(report.errors)}".strip()],
        ["accepted and lost", report.lost],
        ["ms to refuse, p50 / p99 / max", times(report.refuse_ms)],
        ["ms to accept, p50 / p99 / max", times(report.submit_ms)],
        ["ms in the queue, p50 / p99 / max", times(report.queue_ms)],
        ["resident memory before", format_size(report.memory_before)],
        ["resident memory, highest", format_size(report.memory_highest)],
        ["resident memory after", format_size(report.memory_after)],
    ]


def add_shape_flags(parser: argparse.ArgumentParser, frames: int) -> None:
    """Adds the flags of a `RequestShape`."""
    parser.add_argument("--text_len", type=int, default=128, help="default: %(default)s")
    parser.add_argument(
        "--context_len", type=int, default=110, help="codec frames of context; default: %(default)s"
    )
    parser.add_argument("--frames", type=int, default=frames, help="default: %(default)s")
    parser.add_argument("--cfg_scale", type=float, default=2.5, help="default: %(default)s")
    parser.add_argument(
        "--chunk_frames",
        type=int,
        help="frames that a codec turns into sound together; default: all",
    )
    parser.add_argument(
        "--codes_only", action="store_true", help="an engine with a codec makes no sound"
    )


def request_shape(args: argparse.Namespace) -> RequestShape:
    """The shape that those flags describe."""
    from ttsrt_rt.bench.requests import RequestShape

    names = ("text_len", "context_len", "frames", "cfg_scale", "chunk_frames", "codes_only")
    return RequestShape(**{name: getattr(args, name) for name in names})


def title_of(told: dict[str, Any]) -> str:
    """The engine and the device, from what `describe` returned."""
    from ttsrt_rt.bench.run import kind_of

    return f"{Path(told['path']).name}: {kind_of(told)} on {told['device']} ({told['description']})"


def told_shape(args: argparse.Namespace) -> str:
    """The flags of the shape in words."""
    return (
        f"text {args.text_len}, context {args.context_len}, frames 1 to {args.frames}, "
        f"cfg_scale {args.cfg_scale:g}"
    )


@contextmanager
def _engine(args: argparse.Namespace, max_batch_size: int) -> Iterator[str]:
    """The given engine, or a random one of full size."""
    from ttsrt_rt.bench.step_turns import make_checkpoint
    from ttsrt_rt.build import build

    _check_one_model(args, "engine")
    if args.engine is not None:
        yield args.engine
        return
    with _folder(args.folder) as folder:
        engine = folder / f"{args.size}.{args.dtype}.{max_batch_size}.engine"
        if not engine.exists():
            checkpoint = make_checkpoint(args.size, folder)
            build(checkpoint, engine, dtype=args.dtype, max_batch_size=max_batch_size)
        yield str(engine)


def _check_one_model(args: argparse.Namespace, name: str) -> None:
    """Checks that a model is named in one way, and that --folder has something to keep."""
    given = getattr(args, name)
    size = " ".join(args.size) if isinstance(args.size, list) else args.size
    if given is None and not size:
        raise ConfigError(f"{name}: expected the folder of one, or --size for a random model")
    if given is not None and size:
        raise ConfigError(f"--size: expected it without the {name} {given}, got {size} beside it")
    if given is not None and args.folder is not None:
        raise ConfigError("--folder: expected --size with it, whose engines it keeps")


@contextmanager
def _folder(path: str | None) -> Iterator[Path]:
    """The given folder, or a temporary one."""
    if path is not None:
        yield make_folder("--folder", path)
        return
    with tempfile.TemporaryDirectory(prefix="ttsrt-bench-") as folder:
        yield Path(folder)


def write_json(path: str | None, values: Any) -> None:
    """Writes the values if a file was asked for."""
    if path is not None:
        write_text(path, json.dumps(values, indent=1) + "\n")
