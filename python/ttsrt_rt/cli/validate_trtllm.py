"""`ttsrt validate --trtllm DIR --checkpoint_dir DIR`: compares an export with its checkpoint."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from ttsrt_rt.cli.tables import format_table

if TYPE_CHECKING:
    from ttsrt_rt.export.trtllm_validate import CheckReport

__all__ = ["refuse_trtllm", "run_trtllm"]

_GOLDEN_FLAGS = (
    *("engine", "golden", "case", "run_name", "tolerance", "max_steps"),
    *("device", "num_threads", "kv_cache_dtype"),
)


def run_trtllm(args: argparse.Namespace) -> int:
    """Runs the checks, prints a line for each, and returns the exit code."""
    from ttsrt_rt.export.trtllm_validate import validate_trtllm

    given = [name for name in _GOLDEN_FLAGS if getattr(args, name) is not None]
    if args.teacher_forced:
        given.append("teacher_forced")
    if given:
        flag = given[0] if given[0] == "engine" else f"--{given[0]}"
        args.parser.error(f"{flag}: expected none beside --trtllm")
    if args.checkpoint_dir is None:
        args.parser.error("the following arguments are required with --trtllm: --checkpoint_dir")
    reports = validate_trtllm(args.trtllm, args.checkpoint_dir, prompt_table=args.prompt_table)
    if args.json:
        print(json.dumps([dataclasses.asdict(report) for report in reports], indent=1))
    else:
        print(_text(reports))
    return 0 if all(report.is_ok for report in reports) else 1


def refuse_trtllm(args: argparse.Namespace) -> None:
    """Ends the command with a mistake if it has no engine, or flags that only an export takes."""
    missing = [
        name
        for name, value in (("engine", args.engine), ("--golden", args.golden))
        if value is None
    ]
    if missing:
        args.parser.error(f"the following arguments are required: {', '.join(missing)}")
    for name in ("checkpoint_dir", "prompt_table"):
        if getattr(args, name) is not None:
            args.parser.error(f"--{name}: expected only with --trtllm")


def _text(reports: list[CheckReport]) -> str:
    rows = [[report.check, "ok" if report.is_ok else "FAIL", report.detail] for report in reports]
    failed = sum(not report.is_ok for report in reports)
    end = f"{failed} of {len(reports)} checks failed" if failed else "all checks passed"
    return f"{format_table(['check', '', 'detail'], rows)}\n{end}"
