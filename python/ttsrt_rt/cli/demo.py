"""`ttsrt demo`: runs a random model of real architecture, from a `.nemo` to codes."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from ttsrt_rt.cli.executor_flags import DEVICE_HELP
from ttsrt_rt.cli.outputs import make_folder
from ttsrt_rt.cli.tables import format_memory, format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.demo import DemoOptions
    from ttsrt_rt.result import Result

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "demo",
        help="write, convert, build and run a random model",
        description="Writes a random checkpoint in the original layout, converts and builds it, "
        "and generates guided requests together. The codes are noise; the work is real.",
    )
    parser.add_argument("--size", help="of the random model: tiny, mid, v2607, 2503")
    parser.add_argument("--dtype", help="of weights and cache: float32, bfloat16, float16")
    parser.add_argument("--num_requests", type=int, help="how many run together")
    parser.add_argument("--max_frames", type=int, help="codec frames of each request, at most")
    parser.add_argument("--cfg_scale", type=float, help="guidance; 1: none")
    parser.add_argument("--seed", type=int, help="seed of weights, texts and sampling")
    parser.add_argument("--device", help=DEVICE_HELP)
    parser.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")
    parser.add_argument("--output_dir", help="keep checkpoint and engine here")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace what an earlier demo kept there"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.demo import DemoOptions, removing_on_failure

    names = DemoOptions.__dataclass_fields__
    options = DemoOptions(
        **{name: getattr(args, name) for name in names if getattr(args, name) is not None}
    )
    if args.output_dir is not None:
        with removing_on_failure(Path(args.output_dir), options):
            return _run_in(make_folder("--output_dir", args.output_dir), options, args)
    if args.overwrite:
        raise ConfigError("--overwrite: expected --output_dir with it")
    with tempfile.TemporaryDirectory(prefix="ttsrt-demo-") as folder:
        return _run_in(Path(folder), options, args)


def _run_in(folder: Path, options: DemoOptions, args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.bench.report import real_time
    from ttsrt_rt.demo import generate_together, make_engine, make_requests
    from ttsrt_rt.executor import Executor

    begin = time.perf_counter()
    engine = make_engine(folder, options, overwrite=args.overwrite)
    seconds = time.perf_counter() - begin
    print(f"made, converted and built a random {options.size} model in {seconds:.1f} s")
    with Executor(engine, device=args.device, num_threads=args.num_threads) as executor:
        info = executor.info
        print(
            f"device {info.device} ({info.description}), {options.dtype}, "
            f"{options.num_requests} requests together"
        )
        print(format_memory(info))
        requests = make_requests(executor.engine.info, options)
        begin = time.perf_counter()
        most = sum(request.max_frames or 0 for request in requests)
        with tqdm(total=most, unit="frame", disable=None) as bar:
            results = generate_together(executor, requests, bar)
        seconds = time.perf_counter() - begin
        frame_rate = executor.engine.info.frame_rate
    print(_table(results))
    frames = sum(len(result.codes) for result in results)
    speed = real_time(frames, frame_rate, seconds)
    print(
        f"\n{frames} frames in {seconds:.1f} s: {frames / seconds:.1f} frames/s, "
        f"{speed['x_real_time']:.2f} x real time in all (RTF {speed['rtf']:.3f})"
    )
    return 0


def _table(results: list[Result]) -> str:
    rows = [
        [
            index,
            len(result.codes),
            f"{result.metrics.first_frame_seconds * 1000:.0f} ms",
            f"{result.metrics.frames_per_second:.1f}",
            f"{result.metrics.x_real_time:.2f}",
            f"{result.metrics.rtf:.3f}",
            result.finish_reason,
        ]
        for index, result in enumerate(results)
    ]
    header = ["request", "frames", "first frame", "frames/s", "x real time", "RTF", "ended by"]
    return format_table(header, rows)
