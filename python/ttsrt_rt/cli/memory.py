"""`ttsrt memory`: what an engine of a language model takes, planned and measured."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.tables import format_size, format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ttsrt_rt.llm.memory_use import MeasuredMemory
    from ttsrt_rt.memory import MemoryPlan

__all__ = ["add_parser"]

_GIB = 1 << 30


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "memory",
        help="show the memory of an engine for batches and lengths, and what fits",
        description="Weights are the bytes of the engine's file; a plan is exact. --measure runs "
        "each case in a process of its own and fails where a run takes more or less than planned.",
    )
    parser.add_argument("engine", nargs="?", help="what build wrote")
    parser.add_argument("--engine_dir", dest="engine_flag", metavar="DIR", help="the same")
    parser.add_argument("--config", metavar="FILE.yaml", help="its engine and its cache")
    parser.add_argument("--batch_sizes", type=int, nargs="+", metavar="N", help="default: 1 4 8")
    parser.add_argument(
        "--sequence_lengths", type=int, nargs="+", metavar="N", help="default: the engine's"
    )
    parser.add_argument("--kv_cache_dtype", help="float32, bfloat16, float16, int8")
    parser.add_argument(
        "--draft_engine", metavar="DIR", help="an engine that guesses for it, whose bytes are added"
    )
    parser.add_argument("--device", default="auto", help='default: "auto"')
    parser.add_argument(
        "--budget_gib", type=float, metavar="X", help="default: what the machine has free now"
    )
    parser.add_argument(
        "--length_mix",
        type=int,
        nargs="+",
        metavar="N",
        help="lengths of requests whose cache is compared with a contiguous one; default: a "
        "quarter, a half and all of the longest",
    )
    parser.add_argument(
        "--measure", action="store_true", help="run each case and compare; needs the CPU"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.reads("engine", "engine_flag", "draft_engine", "config")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.llm.memory_use import available_bytes, block_use, can_run, measure_memory
    from ttsrt_rt.memory import plan_memory

    engine, kinds, draft = _engine(args)
    batches, lengths = args.batch_sizes or [1, 4, 8], args.sequence_lengths or []
    for name, values in (("batch_sizes", batches), ("sequence_lengths", lengths)):
        if any(value < 1 for value in values):
            raise ConfigError(f"--{name}: expected 1 or more, got {values}")
    asked: dict[str, Any] = {"kv_cache_dtypes": kinds, "device": args.device, "draft_engine": draft}
    plans = plan_memory(engine, batch_sizes=batches, seq_lens=lengths, **asked)
    budget = available_bytes()
    if args.budget_gib is not None:
        if not math.isfinite(args.budget_gib) or args.budget_gib <= 0:
            raise ConfigError(f"--budget_gib: expected a number above 0, got {args.budget_gib}")
        budget = int(args.budget_gib * _GIB)
    best = _largest(engine, lengths, budget, asked)
    longest = max(plan.max_seq_len for plan in plans)
    mix = args.length_mix or [max(longest // 4, 1), max(longest // 2, 1), longest]
    use = block_use(mix, plans[0].kv_cache / plans[0].cache_tokens)
    measured = []
    if args.measure:
        measured = [
            measure_memory(
                engine,
                batch=plan.max_batch_size,
                length=plan.max_seq_len,
                kv_cache_dtype=plan.kv_cache_dtype if kinds else None,
                draft_engine=draft,
            )
            for plan in plans
            if can_run(engine, plan.max_batch_size, plan.max_seq_len)
        ]
        if not measured:
            raise ConfigError(
                f"--measure: expected a case that {engine} was built for, got none; lower "
                "--batch_sizes or --sequence_lengths"
            )
    if args.json:
        print(_json(plans, best, budget, mix, dataclasses.asdict(use), measured))
    else:
        runs = [can_run(engine, plan.max_batch_size, plan.max_seq_len) for plan in plans]
        print(_text(plans, runs, best, budget))
        print(
            f"\nRequests of {', '.join(map(str, mix))} positions: {format_size(use.used)} of keys "
            f"and values; in blocks {format_size(use.in_blocks)} "
            f"({100 * use.waste_in_blocks:.0f} % empty), contiguous {format_size(use.contiguous)} "
            f"({100 * use.waste_contiguous:.0f} % empty)."
        )
        if measured:
            print(f"\n{_measured_text(measured)}")
    return 0 if all(each.is_close for each in measured) else 1


def _engine(args: argparse.Namespace) -> tuple[str, list[str], str | None]:
    """The engine, the type of its cache if it is not the usual one, and the draft engine."""
    if args.engine is not None and args.engine_flag is not None:
        raise ConfigError("--engine_dir: expected it or the engine's name alone, got both")
    engine = args.engine_flag if args.engine is None else args.engine
    kind, draft = args.kv_cache_dtype, args.draft_engine
    if args.config is not None:
        from ttsrt_rt.llm.config import read_config

        config = read_config(args.config)
        engine = config.folder("engine_dir") if engine is None else engine
        kind = kind or config.kv_cache_dtype
        if config.speculation.mode == "draft":
            draft = draft or config.speculation.draft_engine
    if engine is None:
        raise ConfigError("memory: expected an engine, --engine_dir or --config; got none")
    return engine, [kind] if kind else [], draft


def _largest(
    engine: str, lengths: Sequence[int], budget: int, asked: dict[str, Any]
) -> list[tuple[int, MemoryPlan | None]]:
    """The largest batch that fits, at each length."""
    from ttsrt_rt.llm.memory_use import largest_batch
    from ttsrt_rt.memory import plan_memory

    def plan_of(batch: int, length: int) -> MemoryPlan:
        of = [length] if length else []
        return plan_memory(engine, batch_sizes=[batch], seq_lens=of, **asked)[0]

    return [
        largest_batch(lambda batch, length=length: plan_of(batch, length), budget)  # type: ignore[misc]
        for length in lengths or [0]
    ]


def _text(
    plans: Sequence[MemoryPlan],
    runs: Sequence[bool],
    best: Sequence[tuple[int, MemoryPlan | None]],
    budget: int,
) -> str:
    header = ["requests", "positions", "cache of", "weights", "keys and values", "slots"]
    header += ["activations", "scratch", "in all", "this engine"]
    rows = [
        [
            plan.max_batch_size,
            plan.max_seq_len,
            plan.kv_cache_dtype,
            format_size(plan.weights),
            format_size(plan.kv_cache),
            format_size(plan.slots + plan.cross_memory),
            format_size(plan.activations),
            format_size(plan.scratch),
            format_size(plan.total),
            "yes" if is_run else "no",
        ]
        for plan, is_run in zip(plans, runs, strict=True)
    ]
    lines = [format_table(header, rows), ""]
    for batch, plan in best:
        if plan is None:
            lines.append(
                f"Nothing fits {format_size(budget)}; lower --max_batch_size or --max_seq_len, "
                "--kv_cache_dtype int8 halves the cache, and quantization the weights."
            )
        else:
            lines.append(
                f"{format_size(budget)} hold {batch} requests of {plan.max_seq_len} positions "
                f"({format_size(plan.total)})."
            )
    return "\n".join(lines)


def _measured_text(measured: Sequence[MeasuredMemory]) -> str:
    rows = [
        [
            each.requests,
            each.length,
            format_size(each.planned),
            format_size(each.measured),
            f"{100 * each.difference / each.planned:+.1f} %",
            "yes" if each.is_close else "no",
        ]
        for each in measured
    ]
    header = ["requests", "positions", "planned", "measured", "difference", "within 3 % + 32 MiB"]
    return format_table(header, rows)


def _json(
    plans: Sequence[MemoryPlan],
    best: Sequence[tuple[int, MemoryPlan | None]],
    budget: int,
    mix: Sequence[int],
    use: dict[str, int],
    measured: Sequence[MeasuredMemory],
) -> str:
    return json.dumps(
        {
            "plans": [
                {**dataclasses.asdict(plan), "state": plan.state, "total": plan.total}
                for plan in plans
            ],
            "budget": budget,
            "largest_batches": [
                {"requests": batch, "positions": plan.max_seq_len, "bytes": plan.total}
                for batch, plan in best
                if plan is not None
            ],
            "length_mix": {"lengths": list(mix), **use},
            "measured": [
                {**dataclasses.asdict(each), "is_close": each.is_close} for each in measured
            ],
        },
        indent=1,
    )
