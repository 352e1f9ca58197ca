"""`ttsrt bench distance`: how far engines of lower precision are from float32, by language."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.cli.bench_speed import write_json
from ttsrt_rt.cli.tables import format_markdown
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from ttsrt_rt.bench.distance import Distance

__all__ = ["add_distance"]

_TEXTS, _TEXT_LEN, _VOICE_ROWS = 3, 24, 34


def add_distance(commands: Subparsers) -> None:
    """Adds `bench distance`."""
    parser = commands.add_parser(
        "distance",
        help="distance of lower precisions from float32, for each model and language",
        description="Speaks texts in float32, then gives those codes to engines of other "
        "precisions, step by step, and compares the logits of every step.",
    )
    parser.add_argument("checkpoint", nargs="+", help="what convert wrote; one or several models")
    parser.add_argument(
        "--dtype", nargs="+", default=["bfloat16"], help="besides float32; default: bfloat16"
    )
    parser.add_argument(
        "--quantization",
        nargs="+",
        default=["none", "w8a16", "w8a8", "w4a16", "w4a8"],
        help="none and any of w8a16, w8a8, w4a16, w4a8; default: all",
    )
    parser.add_argument(
        "--texts",
        metavar="FILE.json",
        help='text ids by language: {"de": [[255, 17, ...], ...]}; default: random ids',
    )
    parser.add_argument("--steps", type=int, default=24, help="of a text; default: %(default)s")
    parser.add_argument("--output_json", help="all figures")
    parser.reads("checkpoint", "texts")
    parser.writes("output_json")
    parser.set_defaults(run=_distance)


def _distance(args: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ttsrt_rt.bench.distance import measure_distances
    from ttsrt_rt.bench.step_turns import cases_of
    from ttsrt_rt.convert.checkpoint import check_checkpoint
    from ttsrt_rt.json_text import read_json

    if args.steps < 1:
        raise ConfigError(f"--steps: expected 1 or more, got {args.steps}")
    cases = cases_of(list(args.dtype), list(args.quantization))
    found: list[Distance] = []
    for checkpoint in args.checkpoint:
        check_checkpoint(checkpoint)
        model: dict[str, Any] = read_json(Path(checkpoint) / "config.json")["model"]
        texts = _texts(args.texts, model["text_vocab"])
        name = Path(checkpoint).name
        with tqdm(total=1 + len(cases), desc=name, unit="engine", disable=None) as bar:
            found += measure_distances(
                Path(checkpoint),
                cases,
                {f"{name} {language}": some for language, some in texts.items()},
                steps=args.steps,
                fields=_context(model),
                progress=lambda _: bar.update(),
            )
    rows = [
        [
            each.group,
            each.case,
            each.steps,
            f"{each.relative:.4f}",
            f"{each.cosine:.5f}",
            f"{100 * each.agreement:.0f} %",
        ]
        for each in found
    ]
    header = ["model and language", "precision", "steps", "largest error", "least cosine", "equal"]
    print(format_markdown(header, rows))
    write_json(args.output_json, [vars(each) for each in found])
    return 0


def _texts(path: str | None, vocab: int) -> Mapping[str, Sequence[Sequence[int]]]:
    from ttsrt_rt.json_text import read_json

    if path is None:
        draw = np.random.default_rng(7)
        return {"random": draw.integers(0, vocab, (_TEXTS, _TEXT_LEN)).tolist()}
    read = read_json(path)
    is_texts = isinstance(read, dict) and all(
        isinstance(some, list) and some and all(isinstance(text, list) for text in some)
        for some in read.values()
    )
    if not read or not is_texts:
        raise FormatError(
            f"{path}: expected an object with lists of texts, each a list of ids, by language"
        )
    return dict(read)


def _context(model: Mapping[str, Any]) -> dict[str, Any]:
    """A context that any model of the kind takes."""
    draw = np.random.default_rng(3)
    if "conditioning" in model:
        rows = 0.05 * draw.standard_normal((_VOICE_ROWS, model["decoder"]["dim"]))
        return {"context_embeddings": rows.astype(np.float32)}
    if model.get("context") == "voices":
        return {"voice": 0}
    return {
        "context_codes": draw.integers(0, model["codebook_vocab"] - 8, (40, model["codebooks"]))
    }
