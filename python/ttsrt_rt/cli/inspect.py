"""`ttsrt inspect FOLDER`: what a checkpoint or an engine holds."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.tables import format_size, format_table
from ttsrt_rt.cli.types import Subparsers

if TYPE_CHECKING:
    from ttsrt_rt.inspection import Contents

__all__ = ["add_parser"]


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser("inspect", help="show what a checkpoint or an engine holds")
    parser.add_argument("folder", help="what convert or build wrote")
    parser.add_argument(
        "--verify", action="store_true", help="compare every weight with its recorded hash"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.inspection import inspect_folder

    contents = inspect_folder(args.folder, verify=args.verify)
    print(json.dumps(dataclasses.asdict(contents), indent=1) if args.json else _text(contents))
    if args.verify and not args.json:
        print(f"verified: {len(contents.tensors)} tensors")
    return 0


def _text(contents: Contents) -> str:
    lines = [f"{contents.kind} {contents.path}", ""]
    lines += [f"{name}: {value}" for name, value in _flat("", contents.description)]
    rows = [
        [
            t.name,
            t.dtype,
            "x".join(map(str, t.shape)),
            t.layout,
            format_size(t.num_bytes),
            t.sha256[:12],
        ]
        for t in contents.tensors
    ]
    total = sum(tensor.num_bytes for tensor in contents.tensors)
    table = format_table(["tensor", "dtype", "shape", "layout", "size", "sha256"], rows)
    return "\n".join([*lines, "", table, "", f"{len(rows)} tensors, {format_size(total)}"])


def _flat(prefix: str, values: dict[str, Any]) -> list[tuple[str, str]]:
    """Nested values by dotted names."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            lines += _flat(f"{prefix}{name}.", value)
        else:
            lines.append((prefix + name, json.dumps(value)))
    return lines
