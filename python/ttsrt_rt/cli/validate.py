"""`ttsrt validate`: compares an engine with golden arrays, or an export with its checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from ttsrt_rt.cli.executor_flags import DEVICE_HELP
from ttsrt_rt.cli.tables import format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.cli.validate_trtllm import refuse_trtllm, run_trtllm

if TYPE_CHECKING:
    from ttsrt_rt.validate import StageReport

__all__ = ["add_parser"]

_ALLOWED = {0.0: "exact", float("inf"): "any"}


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "validate",
        help="compare an engine with golden arrays, stage by stage; or a TensorRT-LLM export with "
        "its checkpoint",
    )
    parser.add_argument("engine", nargs="?", help="what build wrote; not with --trtllm")
    parser.add_argument("--golden", metavar="CASE.RUN.npz", help="arrays of the original")
    parser.add_argument(
        "--case", metavar="CASE.json", help="options of its runs; default: beside the arrays"
    )
    parser.add_argument("--run_name", help="which run of the case; default: from the file's name")
    parser.add_argument(
        "--tolerance",
        type=float,
        help="for a reduced precision: largest difference of hidden states, logits and alignment; "
        "codes are reported but not judged",
    )
    parser.add_argument(
        "--max_steps", type=int, help="compare only so many decoder steps; default: all"
    )
    parser.add_argument(
        "--teacher_forced",
        action="store_true",
        help="go on from the original's codes at every step, to compare whole utterances of a "
        "reduced precision",
    )
    parser.add_argument("--device", help=DEVICE_HELP)
    parser.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")
    parser.add_argument(
        "--kv_cache_dtype",
        help="float32, bfloat16, float16, int8; default: as the engine computes",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--trtllm", metavar="DIR", help="check what export-trtllm wrote, instead of an engine"
    )
    parser.add_argument("--checkpoint_dir", metavar="DIR", help="the checkpoint of that export")
    parser.add_argument(
        "--prompt_table", metavar="FILE.npz", help="a prompt table to check instead of the export's"
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    if args.trtllm is not None:
        return run_trtllm(args)
    refuse_trtllm(args)
    return _run_golden(args)


def _run_golden(args: argparse.Namespace) -> int:
    from ttsrt_rt.validate import validate

    reports = validate(
        args.engine,
        args.golden,
        case=args.case,
        run_name=args.run_name,
        tolerance=args.tolerance,
        max_steps=args.max_steps,
        teacher_forced=args.teacher_forced,
        device=args.device,
        num_threads=args.num_threads,
        kv_cache_dtype=args.kv_cache_dtype,
    )
    if args.json:
        print(json.dumps([dataclasses.asdict(report) for report in reports], indent=1))
    else:
        print(_text(reports))
    return 0 if all(report.is_ok for report in reports) else 1


def _text(reports: list[StageReport]) -> str:
    rows = [
        [
            report.stage,
            report.count,
            f"{report.max_difference:.3g}",
            f"{report.mean_difference:.3g}",
            f"{report.max_difference / report.magnitude:.3g}" if report.magnitude else "-",
            f"{report.by_step[0]:.3g}" if report.by_step else "-",
            f"{report.by_step[-1]:.3g}" if report.by_step else "-",
            _ALLOWED.get(report.tolerance, f"{report.tolerance:.3g}"),
            "ok" if report.is_ok else "FAIL",
            report.worst,
        ]
        for report in reports
    ]
    header = ["stage", "arrays", "max", "mean", "relative", "first step", "last step"]
    header += ["allowed", "", "worst element"]
    return format_table(header, rows)
