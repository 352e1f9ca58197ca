"""`ttsrt inspect FOLDER`: shows the contents of a checkpoint or an engine."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.tables import format_size, format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ttsrt_rt.inspection import Contents
    from ttsrt_rt.memory import MemoryPlan

__all__ = ["add_parser"]

_MAX_SHOWN = 32  # values of a list
_MAX_LETTERS = 400  # of a text
_MEMORY = (  # flags that --memory takes
    "batch_size",
    "seq_len",
    "kv_cache_dtype",
    "preempt",
    "max_paused_requests",
    "device",
    "max_num_tokens",
    "max_tokens_in_paged_kv_cache",
    "kv_cache_free_gpu_mem_fraction",
)


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser("inspect", help="show the contents of a checkpoint or an engine")
    parser.add_argument("folder", nargs="?", help="what convert or build wrote")
    parser.add_argument(
        "--models", action="store_true", help="list known language models and their sizes instead"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare every weight of an engine with its recorded hash, and read the voice files",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    memory = parser.add_argument_group("memory of an engine")
    memory.add_argument(
        "--memory", action="store_true", help="show the memory that executors would need"
    )
    memory.add_argument(
        "--batch_size", type=int, nargs="+", default=[], help="default: up to the engine's"
    )
    memory.add_argument(
        "--seq_len",
        type=int,
        nargs="+",
        default=[],
        help="decoder positions; default: the engine's",
    )
    memory.add_argument(
        "--kv_cache_dtype",
        nargs="+",
        default=[],
        help="float32, bfloat16, float16, int8; default: the engine's",
    )
    memory.add_argument(
        "--preempt", default="", help='"priority": with the memory of requests that may be paused'
    )
    memory.add_argument(
        "--max_paused_requests", type=int, default=0, help="default: as many as may run"
    )
    memory.add_argument("--device", default="", help='default: "auto"')
    memory.add_argument(
        "--max_num_tokens", type=int, default=0, help="rows of one Program in one launch"
    )
    memory.add_argument(
        "--max_tokens_in_paged_kv_cache",
        type=int,
        default=0,
        help="positions of the cache; default: enough for all",
    )
    memory.add_argument(
        "--kv_cache_free_gpu_mem_fraction",
        type=float,
        help="of a GPU's memory that is free beside everything else, for the cache",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.inspection import inspect_folder

    if args.models:
        return _run_models(args)
    if args.folder is None:
        args.parser.error("the following arguments are required: folder")
    if args.memory:
        return _run_memory(args)
    for name in _MEMORY:
        if getattr(args, name):
            raise ConfigError(f"--{name}: expected --memory with it")
    contents = inspect_folder(args.folder, verify=args.verify)
    print(json.dumps(dataclasses.asdict(contents), indent=1) if args.json else _text(contents))
    if args.verify and not args.json:
        files = len(contents.voice_files)
        voices = f", {files} voice file{'s' if files > 1 else ''}" if files else ""
        print(f"verified: {len(contents.tensors)} tensors{voices}")
    return 0


def _run_models(args: argparse.Namespace) -> int:
    """Shows the bytes of each known language model in each mode, computed from its shape."""
    from ttsrt_rt.llm.known_models import KNOWN_MODELS, MODES

    if args.folder is not None or args.memory:
        raise ConfigError("--models: expected neither a folder nor --memory with it")
    if args.json:
        values = [
            {
                **dataclasses.asdict(model),
                "parameters": model.parameters,
                "cache_bytes": model.cache_bytes,
                "weight_bytes": {mode: model.weight_bytes(mode) for mode in MODES},
            }
            for model in KNOWN_MODELS
        ]
        print(json.dumps(values, indent=1))
        return 0
    rows = [
        [
            model.name,
            model.kind,
            f"{model.parameters:,}",
            *(f"{model.weight_bytes(mode) / 1e9:.2f} GB" for mode in MODES),
            format_size(model.cache_bytes),
            model.max_positions,
        ]
        for model in KNOWN_MODELS
    ]
    header = ["model", "kind", "parameters", *MODES, "cache of a token, 16-bit", "positions"]
    print(format_table(header, rows))
    print(
        "\nAny other model of the kind llama or phi is converted, too (docs/llm.md); "
        "tests/parity/test_llm_tiny.py compares both kinds with transformers."
    )
    return 0


def _run_memory(args: argparse.Namespace) -> int:
    from ttsrt_rt.memory import plan_memory

    if args.verify:
        raise ConfigError("--verify: expected without --memory, which reads no weight")
    for name in ("batch_size", "seq_len"):
        for value in getattr(args, name):
            if value < 1:
                raise ConfigError(f"--{name}: expected 1 or more, got {value}")
    try:
        plans = plan_memory(
            args.folder,
            batch_sizes=args.batch_size,
            seq_lens=args.seq_len,
            kv_cache_dtypes=args.kv_cache_dtype,
            preempt=args.preempt or "none",
            max_paused_requests=args.max_paused_requests,
            device=args.device or "auto",
            max_num_tokens=args.max_num_tokens,
            max_tokens_in_paged_kv_cache=args.max_tokens_in_paged_kv_cache,
            kv_cache_free_gpu_mem_fraction=args.kv_cache_free_gpu_mem_fraction,
        )
    except ConfigError as error:  # which names the engine's limits, for which the flags stand
        told = re.sub(r"^max_(batch_size|seq_len)(?=:)", r"--\1", str(error))
        raise type(error)(told) from error
    if args.json:
        values = [
            {**dataclasses.asdict(plan), "state": plan.state, "total": plan.total} for plan in plans
        ]
        print(json.dumps(values, indent=1))
        return 0
    print(_memory_text(plans))
    return 0


def _memory_text(plans: Sequence[MemoryPlan]) -> str:
    rows = [
        [
            plan.kv_cache_dtype,
            plan.max_seq_len,
            plan.max_batch_size,
            plan.max_paused_requests,
            plan.cache_tokens,
            format_size(plan.weights),
            format_size(plan.kv_cache),
            format_size(plan.cross_memory),
            format_size(plan.slots),
            format_size(plan.activations),
            format_size(plan.scratch),
            format_size(plan.total),
            "yes" if plan.is_served else "no",
        ]
        for plan in plans
    ]
    header = ["kv cache", "max_seq_len", "max_batch_size", "paused", "positions", "weights"]
    header += [
        "keys and values",
        "cross-attention",
        "slots",
        "activations",
        "scratch",
        "in all",
        "this engine",
    ]
    lines = [format_table(header, rows)]
    free = {of.device: of.free for plan in plans for of in plan.replicas if of.free}
    lines += [f"{device} has {format_size(size)} free." for device, size in free.items()]
    voices = {plan.kv_cache_dtype: plan for plan in plans if plan.voice_rows}
    lines += [
        f"A voice of {plan.voice_rows} rows takes {format_size(plan.voice)} besides. Of the keys "
        f"and values, it takes {format_size(plan.voice_kv_cache)} in {dtype} while requests use "
        "it, which share them."
        for dtype, plan in voices.items()
    ]
    return "\n".join(lines)


def _text(contents: Contents) -> str:
    lines = [f"{contents.kind} {contents.path}", ""]
    lines += [f"{name}: {value}" for name, value in _flat("", contents.description)]
    if contents.products:
        lines.append(f"products on this machine: {contents.products}")
    if contents.codec:
        lines.append(f"codec: {contents.codec}")
    lines += [
        f"tokenizer {of.name}: {of.kind}, ids {of.first_id} to {of.first_id + of.num_ids - 1}"
        for of in contents.tokenizers
    ]
    if contents.languages:
        languages = ", ".join(f"{name} ({by})" for name, by in contents.languages.items())
        lines.append(f"languages: {languages}")
    if contents.voice_files:
        lines.append(f"voice files: {', '.join(contents.voice_files)}")
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
    """Nested values under dotted names; of long lists and texts, the beginning and the number."""
    lines: list[tuple[str, str]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            lines += _flat(f"{prefix}{name}.", value)
        elif isinstance(value, str) and len(value) > _MAX_LETTERS:
            first = json.dumps(value[:_MAX_SHOWN])[:-1]
            lines.append((prefix + name, f'{first}..." ({len(value)} letters)'))
        elif isinstance(value, list) and len(value) > _MAX_SHOWN:
            first = json.dumps(value[:_MAX_SHOWN])[:-1]
            lines.append((prefix + name, f"{first}, ...] ({len(value)} values)"))
        else:
            lines.append((prefix + name, json.dumps(value)))
    return lines
