"""Speculation beside plain decoding: by lookup, or by a draft engine.

    python -m bench.speculation models --size true --tokens 128 --turns 5
    python -m bench.speculation models --size true --tokens 128 --turns 5 --mode draft
    python -m bench.speculation models --size true --tokens 128 --turns 5 --device cuda

The model has random weights of TinyLlama's sizes, but each id is followed by one that is known
(bench/speculation_models.py). So a prompt can be written of which the answer is a copy, or in which
all ids of the answer stand, but followed by others. Every row costs what it would cost in a trained
model. What is generated must be equal with and without speculation.

The texts of lookup:
    copy: the prompt holds the whole answer: nearly all guesses come true.
    half: every second piece of 24 ids of the answer stands in the prompt, the others are in
        another order.
    prose: all ids of the answer stand in the prompt, in another order: there is always something
        to guess, and it hardly ever comes true.
    new: no id of the answer stands in the prompt: there is nothing to guess.

The texts of a draft engine, which has the sizes of llama-160m: 100, 80, 60, 40 and 0 percent of
their ids are such that it knows what follows them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import ttsrt_rt as rt
from bench.gpu_steps.models import LLM_SIZES
from bench.speculation_models import (
    DRAFT_SIZES,
    SHARES,
    successors,
    write_draft_engine,
    write_engine,
    zones,
)
from ttsrt_rt.errors import ConfigError, Error

__all__ = ["Figure", "draft_prompts_of", "main", "measure", "prompts_of"]

_PIECE = 24
TEXTS = ("copy", "half", "prose", "new")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured of one text.

    Attributes:
        mode: "ngram" or "draft".
        text: One of `TEXTS`, or the share of ids whose successors the draft engine knows.
        plain: Ids per second behind the first one, median over the turns.
        speculating: The same with speculation.
        ratio: Median of the turns' ratios, speculating to plain.
        tokens_per_round: Ids that a step of the request gave, on average.
        drafted: Ids that were guessed in one turn.
        accepted: Of these, ids that came true.
        guessing: The share of the time that guessing took.
    """

    mode: str
    text: str
    plain: float
    speculating: float
    ratio: float
    tokens_per_round: float
    drafted: int
    accepted: int
    guessing: float


def prompts_of(vocab: int, tokens: int) -> dict[str, list[int]]:
    """The prompt of each text, whose answer has `tokens` ids.

    Raises:
        ConfigError: The vocabulary is too small for as many.
    """
    order = successors(vocab)
    if 2 * tokens + 2 > len(order):
        raise ConfigError(f"tokens: expected at most {len(order) // 2 - 1}, got {tokens}")
    start, answer = int(order[0]), order[1 : tokens + 1]
    random = np.random.default_rng(12)
    pieces = [answer[i : i + _PIECE] for i in range(0, tokens, _PIECE)]
    half = [random.permutation(piece) if i % 2 else piece for i, piece in enumerate(pieces)]
    contents = {
        "copy": answer,
        "half": np.concatenate(half),
        "prose": random.permutation(answer),
        "new": random.permutation(order[tokens + 2 : 2 * tokens + 2]),
    }
    return {text: [start, *map(int, contents[text]), start] for text in TEXTS}


def draft_prompts_of(vocab: int, tokens: int) -> dict[str, list[int]]:
    """The prompt of each text of a draft engine, whose answer has `tokens` ids.

    Raises:
        ConfigError: The vocabulary is too small for as many.
    """
    parts = zones(vocab)
    most = min(map(len, parts)) - 2
    if tokens > most:
        raise ConfigError(f"tokens: expected at most {most}, got {tokens}")
    others = np.random.default_rng(14).permutation(successors(vocab))[:tokens]
    return {
        f"{100 * share:.0f}%": [int(part[0]), *map(int, others), int(part[0])]
        for share, part in zip(SHARES, parts, strict=True)
    }


def measure(
    executor: rt.Executor, prompts: dict[str, list[int]], tokens: int, turns: int, mode: str
) -> list[Figure]:
    """Measures each text in turns of both kinds, one request at a time.

    Raises:
        ConfigError: The ids differ: a bug.
    """
    figures = []
    for text, prompt in prompts.items():
        speeds: dict[str, list[float]] = {"none": [], mode: []}
        made: dict[str, rt.Result] = {}
        for turn in range(turns + 1):  # the first one warms up
            for how, seen in speeds.items():
                result = executor.generate(
                    text_ids=prompt, max_frames=tokens, prior=None, speculation={"mode": how}
                )
                of = result.metrics
                if turn > 0:
                    spent = of.total_seconds - of.first_frame_seconds
                    seen.append((len(result.codes) - 1) / spent)
                made[how] = result
        if not np.array_equal(made["none"].codes, made[mode].codes):
            raise ConfigError(f"{text}: expected equal ids with and without speculation")
        metrics = made[mode].metrics
        counts = metrics.speculation
        pairs = zip(speeds["none"], speeds[mode], strict=True)
        figures.append(
            Figure(
                mode=mode,
                text=text,
                plain=statistics.median(speeds["none"]),
                speculating=statistics.median(speeds[mode]),
                ratio=statistics.median(on / off for off, on in pairs),
                tokens_per_round=counts.tokens_per_round,
                drafted=counts.drafted,
                accepted=counts.accepted,
                guessing=counts.draft_seconds / metrics.total_seconds,
            )
        )
    return figures


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speculation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="keeps the model")
    parser.add_argument("--size", choices=sorted(DRAFT_SIZES), default="true")
    parser.add_argument("--mode", choices=("ngram", "draft"), default="ngram")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quantization", default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--num_threads", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--num_draft_tokens", type=int, default=4)
    parser.add_argument("--min_confidence", type=float, default=0.4, help="of the draft engine")
    parser.add_argument("--output", type=Path, help="JSON of the figures")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark and prints a table."""
    args = _arguments(arguments)
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        engine = write_engine(args.folder, args.size, args.dtype, args.quantization)
        draft, texts = None, prompts_of
        if args.mode == "draft":
            draft = write_draft_engine(args.folder, args.size, args.dtype, args.quantization)
            texts = draft_prompts_of
        prompts = texts(LLM_SIZES[args.size]["vocab"], args.tokens)
        with rt.Executor(
            engine,
            device=args.device,
            num_threads=args.num_threads,
            draft_engine=draft,
            speculation={
                "mode": "none",
                "num_draft_tokens": args.num_draft_tokens,
                "min_confidence": args.min_confidence,
            },
        ) as executor:
            print(f"{executor.info.description}; {args.dtype}, {args.quantization}, {args.mode}")
            figures = measure(executor, prompts, args.tokens, args.turns, args.mode)
    except Error as error:
        print(f"bench.speculation: {error}", file=sys.stderr)
        return 1
    print("text    plain ids/s  with ids/s  ratio  ids a round  guessed  came true  guessing")
    for of in figures:
        print(
            f"{of.text:6} {of.plain:12.1f} {of.speculating:11.1f} {of.ratio:6.3f} "
            f"{of.tokens_per_round:12.2f} {of.drafted:8} {of.accepted:10} "
            f"{100 * of.guessing:7.1f} %"
        )
    if args.output is not None:
        args.output.write_text(json.dumps([asdict(of) for of in figures], indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
