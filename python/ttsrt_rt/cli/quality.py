"""`ttsrt quality`: how far engines of language models are from a reference."""

from __future__ import annotations

import argparse
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import add_executor_flags, executor_options
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.tables import format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.writing import write_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ttsrt_rt.quality.measure import EngineQuality
    from ttsrt_rt.quality.sources import Source

__all__ = ["add_parser"]

_MAX_TEXT = 8 << 20


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "quality",
        help="compare engines of language models with a reference: BLEU, top-1, KL, perplexity",
        description="Texts are greedy. Teacher-forced figures are of the reference's own texts. "
        "Exit code 1 if a perplexity grows beyond its gate.",
    )
    parser.add_argument(
        "--engine_dirs", nargs="+", required=True, metavar="DIR", help="the engines to measure"
    )
    parser.add_argument(
        "--reference",
        required=True,
        metavar="hf:DIR",
        help="hf:DIR, the model's own folder by transformers in float32 (extra hf), or engine:DIR, "
        "one of our engines, such as one in float32",
    )
    parser.add_argument("--prompts", default="builtin", help="as of bench llm; default: builtin")
    parser.add_argument("--num_prompts", type=int, metavar="N", help="only the first of them")
    parser.add_argument("--max_tokens", type=int, default=64, metavar="N", help="default: 64")
    parser.add_argument("--text", metavar="FILE", help="a text in UTF-8, for perplexity")
    parser.add_argument("--max_len", type=int, default=0, metavar="N", help="ids of a window")
    parser.add_argument("--stride", type=int, default=0, metavar="N", help="default: no overlap")
    parser.add_argument(
        "--per_layer",
        metavar="CHECKPOINT",
        help="also round one layer of this checkpoint at a time, and show which costs most",
    )
    parser.add_argument(
        "--quantization",
        choices=["w8a16", "w4a16"],
        default="w4a16",
        help="of --per_layer; default: w4a16",
    )
    parser.add_argument("--group_size", type=int, default=64, help="of --per_layer; default: 64")
    add_executor_flags(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--output", metavar="FILE.json", help="write the same JSON")
    parser.reads("engine_dirs", "text", "per_layer", "draft_engine")
    parser.writes("output")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.quality.measure import QualityOptions, as_dict, measure_quality

    options = QualityOptions(args.max_tokens, args.max_len, args.stride)
    told = executor_options(args)
    with ExitStack() as stack:
        reference = _opened(args.reference, told, stack)
        engines = [_opened(f"engine:{folder}", told, stack) for folder in args.engine_dirs]
        prompts = _prompts(args, [reference, *engines])
        text, bos = _text_ids(args, reference)
        found = measure_quality(
            reference, engines, prompts, text, options, bos=bos, progress=lambda step: tell(step)
        )
        layers = _layers(args, reference, prompts) if args.per_layer else []
    values = {
        "reference": args.reference,
        "prompts": len(prompts),
        "engines": [as_dict(each) for each in found],
        "layers": layers,
    }
    if args.output is not None:
        write_text(args.output, json.dumps(values, indent=1))
    if args.json:
        print(json.dumps(values, indent=1))
    else:
        print(_shown(found, layers))
    return 0 if all(each.is_within_gate for each in found) else 1


def _opened(name: str, told: dict[str, Any], stack: ExitStack) -> Source:
    from ttsrt_rt.quality.sources import open_source

    others = {key: value for key, value in told.items() if key != "num_threads"}
    source = open_source(name, num_threads=told.get("num_threads", 0), **others)
    stack.callback(source.close)
    return source


def _prompts(args: argparse.Namespace, sources: Sequence[Source]) -> list[list[int]]:
    """The ids of each prompt, of which all models take at least the end."""
    from ttsrt_rt.bench.llm_prompts import prompts_of

    lines, _ = prompts_of(args.prompts, min(each.vocab for each in sources))
    if args.num_prompts is not None:
        if args.num_prompts < 1:
            raise ConfigError(f"--num_prompts: expected 1 or more, got {args.num_prompts}")
        lines = lines[: args.num_prompts]
    room = min(min(each.max_len + 1 - args.max_tokens, each.max_input_len) for each in sources)
    if room < 1:
        raise ConfigError(
            f"--max_tokens: expected less than every model's max_seq_len, got {args.max_tokens}"
        )
    found = []
    for line in lines:
        if line.messages is not None:
            raise ConfigError("--prompts: expected prompts or ids, got messages")
        ids = list(line.ids or ()) or sources[0].tokenizer.encode(line.text or "")
        found.append(ids[-room:])
    return found


def _text_ids(args: argparse.Namespace, reference: Source) -> tuple[list[int], int | None]:
    """The ids of the text, and the id that begins each window, if the tokenizer adds one."""
    if args.text is None:
        return [], None
    try:
        text = read_regular(args.text, _MAX_TEXT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"--text: {args.text}: expected text in UTF-8, got other bytes at {error.start}"
        ) from error
    tokenizer = reference.tokenizer
    plain = tokenizer.encode(text, add_special_tokens=False)
    whole = tokenizer.encode(text)
    lead = whole[: len(whole) - len(plain)]
    bos = lead[0] if lead and whole[len(lead) :] == plain else None
    tell(
        f"{args.text}: {len(plain)} ids; each window begins with "
        f"{'no special id' if bos is None else f'the id {bos}'}"
    )
    return plain, bos


def _layers(
    args: argparse.Namespace, reference: Source, prompts: list[list[int]]
) -> list[dict[str, Any]]:
    from ttsrt_rt.quality.per_layer import layer_distances

    return layer_distances(
        Path(args.per_layer),
        reference,
        prompts,
        quantization=args.quantization,
        group_size=args.group_size,
        max_tokens=args.max_tokens,
        progress=lambda step: tell(step),
    )


def _shown(found: Sequence[EngineQuality], layers: Sequence[dict[str, Any]]) -> str:
    from ttsrt_rt.quality.measure import REMEDY, gate_of

    header = ["engine", "BLEU", "prefix mean", "median", "texts equal", "top-1", "KL mean"]
    header += ["KL p99", "logits", "perplexity", "growth"]
    rows = [
        [
            f"{each.name}: {each.quantization}",
            "-" if each.bleu is None else f"{each.bleu:.4f}",
            f"{each.prefix_mean:.3f}",
            f"{each.prefix_median:.3f}",
            f"{each.equal_texts:.3f}",
            f"{each.forced.top1:.4f}",
            f"{each.forced.kl_mean:.2e}",
            f"{each.forced.kl_p99:.2e}",
            f"{each.forced.logits:.2e}",
            "-" if each.perplexity is None else f"{each.perplexity:.4f}",
            "-" if each.growth is None else f"{100 * each.growth:+.2f} %",
        ]
        for each in found
    ]
    lines = [format_table(header, rows)]
    for each in found:
        if not each.is_within_gate:
            gate = 100 * (gate_of(each.quantization) or 0)
            lines.append(
                f"{each.name}: the perplexity may grow by {gate:g} %, and grew by "
                f"{100 * (each.growth or 0):.2f} %; {REMEDY}"
            )
    if any(each.bleu is None for each in found):
        lines.append("No BLEU without the package sacrebleu and a tokenizer.")
    if layers:
        worst = [
            [each["layer"], f"{each['kl_mean']:.2e}", f"{each['top1']:.4f}"] for each in layers
        ]
        lines += ["", format_table(["layer alone", "KL mean", "top-1"], worst)]
        names = ", ".join(str(each["layer"]) for each in layers[:3])
        lines.append(f"The layers {names} cost most; {REMEDY}")
    return "\n".join(lines)
