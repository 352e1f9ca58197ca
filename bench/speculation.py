"""Speculation by lookup beside plain decoding, on texts that copy their prompt and on others.

    python -m bench.speculation models --size true --tokens 128 --turns 5

The model has random weights of TinyLlama's sizes, but its head is made of its embedding: each id is
followed by one that is known. So a prompt can be written of which the answer is a copy, or in which
all ids of the answer stand, but followed by others. Every row costs what it would cost in a trained
model. What is generated must be equal with and without speculation.

The texts:
    copy: the prompt holds the whole answer: nearly all guesses come true.
    half: every second piece of 24 ids of the answer stands in the prompt, the others are in
        another order.
    prose: all ids of the answer stand in the prompt, in another order: there is always something
        to guess, and it hardly ever comes true.
    new: no id of the answer stands in the prompt: there is nothing to guess.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import ttsrt_rt as rt
from bench.gpu_steps.models import LLM_SIZES, draw, write_llm
from bench.t3_peers.models import made_at_once
from bench.t3_peers.shape import Words
from ttsrt_rt.errors import ConfigError, Error

__all__ = ["Figure", "main", "measure", "prompts_of", "successors", "write_engine"]

_FIRST_ID = 3  # ids below are special
_PIECE = 24
_QUIET = 1.0 / 1024.0  # of what layers add to a row, so that the head sees the embedding
TEXTS = ("copy", "half", "prose", "new")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured of one text.

    Attributes:
        text: One of `TEXTS`.
        plain: Ids per second behind the first one, median over the turns.
        speculating: The same with speculation.
        ratio: Median of the turns' ratios, speculating to plain.
        tokens_per_round: Ids that a step of the request gave, on average.
        drafted: Ids that were guessed in one turn.
        accepted: Of these, ids that came true.
    """

    text: str
    plain: float
    speculating: float
    ratio: float
    tokens_per_round: float
    drafted: int
    accepted: int


def successors(vocab: int) -> NDArray[np.int64]:
    """All ids but the special ones, each in front of the id that follows it; the last is followed
    by the first: int64 [vocab - 3]."""
    return np.random.default_rng(11).permutation(np.arange(_FIRST_ID, vocab))


def write_engine(folder: Path, size: str, dtype: str, quantization: str) -> Path:
    """Returns the engine of the model in which ids follow each other so; makes it if need be."""
    path = folder / f"successors.{size}.{dtype}.{quantization}.engine"
    checkpoint = folder / f"successors.{size}.checkpoint"
    if path.exists():
        return path
    if not checkpoint.exists():
        with made_at_once(checkpoint) as made:
            write_llm(size, made, _quiet_and_chained)
    rt.build(
        checkpoint,
        path,
        dtype=dtype,  # type: ignore[arg-type]
        quantization=quantization,  # type: ignore[arg-type]
        max_batch_size=4,
        max_seq_len=1024 if size == "true" else 256,
        max_input_len=512 if size == "true" else 128,
        max_num_tokens=512,
        progress=False,
    )
    return path


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


def measure(
    executor: rt.Executor, prompts: dict[str, list[int]], tokens: int, turns: int
) -> list[Figure]:
    """Measures each text in turns of both kinds, one request at a time.

    Raises:
        ConfigError: The ids differ: a bug.
    """
    figures = []
    for text, prompt in prompts.items():
        speeds: dict[str, list[float]] = {"none": [], "ngram": []}
        made: dict[str, rt.Result] = {}
        for turn in range(turns + 1):  # the first one warms up
            for mode, seen in speeds.items():
                result = executor.generate(
                    text_ids=prompt, max_frames=tokens, prior=None, speculation={"mode": mode}
                )
                of = result.metrics
                if turn > 0:
                    spent = of.total_seconds - of.first_frame_seconds
                    seen.append((len(result.codes) - 1) / spent)
                made[mode] = result
        if not np.array_equal(made["none"].codes, made["ngram"].codes):
            raise ConfigError(f"{text}: expected equal ids with and without speculation")
        counts = made["ngram"].metrics.speculation
        pairs = zip(speeds["none"], speeds["ngram"], strict=True)
        figures.append(
            Figure(
                text=text,
                plain=statistics.median(speeds["none"]),
                speculating=statistics.median(speeds["ngram"]),
                ratio=statistics.median(on / off for off, on in pairs),
                tokens_per_round=counts.tokens_per_round,
                drafted=counts.drafted,
                accepted=counts.accepted,
            )
        )
    return figures


def _quiet_and_chained(name: str, values: Words) -> Words:
    if name.endswith(("self_out", "ffn_out")):
        return _words(_floats(values) * np.float32(_QUIET))
    if name != "head":
        return values
    embedding = draw("embedding", values.shape)
    order = successors(len(values))
    head: Words = values.copy()
    head[np.roll(order, -1)] = embedding[order]
    return head


def _floats(words: Words) -> NDArray[np.float32]:
    return (words.astype(np.uint32) << 16).view(np.float32)


def _words(values: NDArray[np.float32]) -> Words:
    words: Words = (values.view(np.uint32) >> 16).astype(np.uint16)
    return words


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.speculation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="keeps the model")
    parser.add_argument("--size", choices=sorted(LLM_SIZES), default="true")
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quantization", default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--num_threads", type=int, default=0)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--num_draft_tokens", type=int, default=4)
    parser.add_argument("--output", type=Path, help="JSON of the figures")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark and prints a table."""
    args = _arguments(arguments)
    try:
        args.folder.mkdir(parents=True, exist_ok=True)
        engine = write_engine(args.folder, args.size, args.dtype, args.quantization)
        prompts = prompts_of(LLM_SIZES[args.size]["vocab"], args.tokens)
        with rt.Executor(
            engine,
            device=args.device,
            num_threads=args.num_threads,
            speculation={"mode": "none", "num_draft_tokens": args.num_draft_tokens},
        ) as executor:
            print(f"{executor.info.description}; {args.dtype}, {args.quantization}")
            figures = measure(executor, prompts, args.tokens, args.turns)
    except Error as error:
        print(f"bench.speculation: {error}", file=sys.stderr)
        return 1
    print("text    plain ids/s  with ids/s  ratio  ids a round  guessed  came true")
    for of in figures:
        print(
            f"{of.text:6} {of.plain:12.1f} {of.speculating:11.1f} {of.ratio:6.3f} "
            f"{of.tokens_per_round:12.2f} {of.drafted:8} {of.accepted:10}"
        )
    if args.output is not None:
        args.output.write_text(json.dumps([asdict(of) for of in figures], indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
