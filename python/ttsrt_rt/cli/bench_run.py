"""`ttsrt bench prepare` and `ttsrt bench run`: write and run a data set of requests.

The flags are those of the TensorRT-LLM fork's `prepare_benchmark.py` and `gptManagerBenchmark`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options
from ttsrt_rt.cli.parser import OutputKind
from ttsrt_rt.cli.request_flags import voice_of
from ttsrt_rt.cli.tables import format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.writing import write_text

if TYPE_CHECKING:
    from ttsrt_rt.bench.run import RunOptions, RunReport

__all__ = ["add_prepare", "add_run"]

_LENGTHS = {
    "input_len": ([128, 0, 128, 128], "text tokens"),
    "context_len": ([225, 0, 225, 225], "context columns"),
    "output_len": ([375, 0, 375, 375], "decoder iterations"),
}


def add_prepare(commands: Subparsers) -> None:
    """Adds `bench prepare`."""
    parser = commands.add_parser(
        "prepare", help="write a data set of random requests, as the fork's script does"
    )
    parser.add_argument("--samples", type=int, default=10, help="requests; default: %(default)s")
    parser.add_argument(
        "--output",
        help="default: samples.json, which must not exist; a file named here is replaced",
    )
    parser.writes("output", kind=OutputKind(lambda _: "samples.json"))
    parser.add_argument(
        "--num_vocabs", type=int, default=8, help="codes of one column; default: %(default)s"
    )
    for name, (default, text) in _LENGTHS.items():
        parser.add_argument(
            f"--{name}",
            type=int,
            nargs=4,
            metavar=("MEAN", "STD", "MIN", "MAX"),
            default=default,
            help=f"{text}; default: {' '.join(map(str, default))}",
        )
    text_kind = parser.add_mutually_exclusive_group()
    text_kind.add_argument("--text_vocab_size", type=int, default=98, help="default: %(default)s")
    text_kind.add_argument("--text_emb_dim", type=int, help="encoder features of this width")
    parser.add_argument(
        "--audio_vocab_size", type=int, default=2048, help="rows per codebook; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same data set")
    parser.set_defaults(run=_prepare)


def _prepare(args: argparse.Namespace) -> int:
    from ttsrt_rt.bench.prepare import DatasetOptions, Lengths, write_dataset

    options = DatasetOptions(
        samples=args.samples,
        num_vocabs=args.num_vocabs,
        input_len=Lengths(*args.input_len),
        context_len=Lengths(*args.context_len),
        output_len=Lengths(*args.output_len),
        text_vocab_size=args.text_vocab_size,
        text_emb_dim=args.text_emb_dim,
        audio_vocab_size=args.audio_vocab_size,
        seed=args.seed,
    )
    print(f"{write_dataset(args.output, options)}: {options.samples} samples")
    return 0


def add_run(commands: Subparsers) -> None:
    """Adds `bench run`."""
    parser = commands.add_parser(
        "run",
        help="run a data set and report latency and throughput",
        description="Without --concurrency and --request_rate, all requests are submitted at once.",
    )
    parser.add_argument("engine", help="what build wrote")
    parser.add_argument("--dataset", required=True, help="what prepare wrote")
    load = parser.add_mutually_exclusive_group()
    load.add_argument("--concurrency", type=int, nargs="+", default=[], help="requests in flight")
    load.add_argument("--request_rate", type=float, help="requests per second")
    parser.add_argument(
        "--enable_exp_delays", action="store_true", help="Poisson arrivals at --request_rate"
    )
    parser.add_argument(
        "--random_seed", type=int, default=420, help="seed of arrivals and sampling"
    )
    parser.add_argument("--streaming", action="store_true", help="take frames as they are made")
    parser.add_argument("--chunk_frames", type=int, default=1, help="frames of one chunk")
    parser.add_argument(
        "--initial_chunk_frames", type=int, help="of the first one; default: --chunk_frames"
    )
    parser.add_argument(
        "--codes_only", action="store_true", help="an engine with a codec makes no sound"
    )
    parser.add_argument("--cfg_scale", type=float, help="guidance; default: the checkpoint's")
    parser.add_argument("--temperature", type=float, help="default: the checkpoint's")
    parser.add_argument("--eos_id", type=int, default=-1, help="-1: no request ends early")
    parser.add_argument("--voice", help="a stored voice that replaces the data set's contexts")
    parser.add_argument("--warm_up", type=int, default=2, help="requests; default: %(default)s")
    parser.add_argument("--max_num_samples", type=int, help="use only so many from the start")
    parser.add_argument("--num_vocabs", type=int, help="codes of one column; default: a frame's")
    add_executor_flags(parser)
    parser.add_argument("--output_csv", help="the fork's columns and ours, a line per load")
    parser.add_argument("--output_json", help="all figures")
    parser.add_argument("--output_plot", help="latency and throughput: .png, .svg, .pdf")
    parser.add_argument("--responses_json", help="codes of every request, last load")
    parser.reads("engine", "dataset", "draft_engine")
    parser.writes("output_csv", "output_json", "output_plot", "responses_json")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.bench.plot import check_plot
    from ttsrt_rt.bench.run import run_dataset

    if args.output_plot is not None:
        check_plot(args.output_plot)
    with tqdm(unit="request", disable=None) as bar:

        def show(load: str, done: int, total: int) -> None:
            if done == 1:
                bar.reset(total)
                bar.set_description(load)
            bar.update()

        report = run_dataset(args.engine, args.dataset, _options(args), progress=show)
    print(_table(report))
    if (heard := _listener_table(report)) is not None:
        print(f"\n{heard}")
    _write(args, report)
    return 0


def _options(args: argparse.Namespace) -> RunOptions:
    from ttsrt_rt.bench.requests import RequestOptions
    from ttsrt_rt.bench.run import RunOptions

    return RunOptions(
        concurrency=tuple(args.concurrency),
        request_rate=args.request_rate,
        enable_exp_delays=args.enable_exp_delays,
        streaming=args.streaming,
        warm_up=args.warm_up,
        max_num_samples=args.max_num_samples,
        num_vocabs=args.num_vocabs,
        requests=RequestOptions(
            voice=None if args.voice is None else voice_of(args.voice),
            cfg_scale=args.cfg_scale,
            temperature=args.temperature,
            eos_id=args.eos_id,
            chunk_frames=args.chunk_frames,
            initial_chunk_frames=args.initial_chunk_frames,
            codes_only=args.codes_only,
            seed=args.random_seed,
        ),
        executor=executor_options(args),
        keeps_codes=args.responses_json is not None,
    )


def _table(report: RunReport) -> str:
    """A line per load; times in milliseconds as p50 / p90 / p99."""
    from ttsrt_rt.bench.run import kind_of

    rows: list[list[Any]] = []
    for run in report.json()["runs"]:
        rows.append(
            [
                run["load"],
                run["completed"],
                run["errors"],
                run["refused"],
                f"{run['frames_per_second']:.1f}",
                f"{run['x_real_time']:.2f}",
                f"{run['rtf']:.3f}",
                f"{run['stream_x_real_time']['p50']:.2f}",
                f"{run['stream_rtf']['p50']:.3f}",
                *(
                    _percentiles(run[name])
                    for name in ("first_frame_ms", "inter_chunk_ms", "queue_ms")
                ),
                _percentiles(run["sequence_latency_ms"]),
            ]
        )
    header = ["load", "completed", "errors", "refused", "frames/s", "x real time", "RTF"]
    header += ["x real time each", "RTF each", "first frame", "between chunks", "queue", "whole"]
    told = "milliseconds: p50 / p90 / p99"
    engine = report.engine
    return (
        f"{engine['path']}: {kind_of(engine)} on {engine['device']} ({engine['description']})\n\n"
        f"{format_table(header, rows)}\n\n{told}"
    )


def _listener_table(report: RunReport) -> str | None:
    """What listeners heard, a line per load; None of an engine that ends in codes."""
    rows: list[list[Any]] = []
    for run in report.json()["runs"]:
        heard = run["listener"]
        if heard is None:
            return None
        row = [run["load"], heard["streams"], f"{heard['audio_seconds']:.1f}"]
        row.append(_percentiles(heard["first_audio_ms"], ("p50", "p95", "max")))
        row.append(_percentiles(heard["audio_gap_ms"], ("p50", "p95", "max")))
        stops = heard["underruns"]
        if stops is None:
            row += ["-", "-"]
        else:
            row.append(f"{stops['count']} in {stops['streams']} of {heard['streams']} streams")
            row.append(f"{stops['seconds']:.3f} ({stops['longest_seconds']:.3f})")
        rows.append([*row, _percentiles(heard["rtf"], ("p50", "p95"), digits=3)])
    header = ["load", "with sound", "seconds of it", "first sound", "between chunks of sound"]
    header += ["underruns", "seconds of them (longest stream)", "RTF each"]
    told = "milliseconds: p50 / p95 / largest; played in real time from the first chunk on"
    return f"{format_table(header, rows)}\n\n{told}"


def _percentiles(
    figures: dict[str, float] | None,
    names: tuple[str, ...] = ("p50", "p90", "p99"),
    *,
    digits: int = 1,
) -> str:
    if figures is None:
        return "-"
    return " / ".join(f"{figures[name]:.{digits}f}" for name in names)


def _write(args: argparse.Namespace, report: RunReport) -> None:
    from ttsrt_rt.bench.plot import write_plot
    from ttsrt_rt.bench.report import csv_text

    if args.output_csv is not None:
        text = csv_text(report.runs, report.codebooks, report.frame_rate)
        write_text(args.output_csv, text)
    if args.output_json is not None:
        write_text(args.output_json, json.dumps(report.json(), indent=1) + "\n")
    if args.output_plot is not None:
        title = f"{Path(report.engine['path']).name}, {report.engine['description']}"
        write_plot(args.output_plot, report.json()["runs"], title)
    if args.responses_json is not None:
        responses = [
            {
                "index": outcome.index,
                "finish_reason": outcome.finish_reason,
                "error": outcome.error,
                "codes": [] if outcome.codes is None else outcome.codes.tolist(),
            }
            for outcome in report.runs[-1].outcomes
        ]
        write_text(args.responses_json, json.dumps(responses) + "\n")
