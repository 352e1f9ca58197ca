"""First sound of a text beside that of the same text as ids, from an idle executor.

    python -m bench.say_latency --engine speech-engine --voice 0 --turns 15

A turn speaks each text twice: as `ttsrt say` does, from the text to the first samples, and from its
ids, which are there already. The order changes from turn to turn, and the rest of a speech is
cancelled before the next one begins. Without --engine, the demo of `ttsrt say` speaks. The ratio of
the medians is what the front end costs a listener; above --most, the command ends with 1.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ttsrt_rt as rt
from ttsrt_rt.cli.request_flags import voice_of
from ttsrt_rt.cli.say_engine import use_engine
from ttsrt_rt.errors import ConfigError, Error

__all__ = ["Figure", "main", "measure"]

TEXTS = {
    "sentence": "The quick brown fox jumps over the lazy dog, and nobody minds.",
    "long": "The quick brown fox jumps over the lazy dog, and nobody minds. " * 12,
}


@dataclass(frozen=True, kw_only=True)
class Figure:
    """What was measured of one text.

    Attributes:
        text: Its name.
        chunks: That it is spoken in.
        ids: Of all of them.
        text_ms: From submitting the text to its first samples, median over the turns.
        ids_ms: The same of its ids.
        ratio: Of both.
    """

    text: str
    chunks: int
    ids: int
    text_ms: float
    ids_ms: float
    ratio: float


def measure(
    executor: rt.Executor,
    name: str,
    text: str,
    *,
    turns: int,
    language: str | None = None,
    **fields: Any,
) -> Figure:
    """Speaks a text in turns, as text and as ids.

    Args:
        executor: Idle, of an engine that makes sound.
        name: Of the text.
        text: To speak.
        turns: After one that is not counted.
        language: Of the text; None for the engine's.
        **fields: Others of `Request`.

    Raises:
        ConfigError: The engine takes no text, or makes no sound.
    """
    spoken = executor.read_text(rt.Request(text=text, language=language, **fields))
    chunks = spoken.chunks if len(spoken.chunks) > 1 else None
    given: dict[str, dict[str, Any]] = {
        "text": {"text": text, "language": language},
        "ids": {"text_ids": spoken.ids, "text_chunks": chunks},
    }
    seconds: dict[str, list[float]] = {"text": [], "ids": []}
    for turn in range(turns + 1):
        for kind in ("text", "ids") if turn % 2 else ("ids", "text"):
            taken = _first_sound(executor, given[kind] | fields)
            if turn > 0:
                seconds[kind].append(taken)
    text_ms, ids_ms = (1000 * statistics.median(seconds[kind]) for kind in ("text", "ids"))
    return Figure(
        text=name,
        chunks=len(spoken.chunks),
        ids=len(spoken.ids),
        text_ms=text_ms,
        ids_ms=ids_ms,
        ratio=text_ms / ids_ms,
    )


def _first_sound(executor: rt.Executor, fields: dict[str, Any]) -> float:
    """Seconds to the first samples; then the request is cancelled, and has ended."""
    begin = time.perf_counter()
    handle = executor.submit(**fields)
    while (event := handle.next()) is not None:
        if event.audio is not None:
            seconds = time.perf_counter() - begin
            handle.cancel()
            handle.wait()
            return seconds
    raise ConfigError("engine: expected one that makes sound, got a speech without samples")


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; 1 where a text takes more than --most times as long as its ids."""
    parser = argparse.ArgumentParser(prog="python -m bench.say_latency", description=__doc__)
    parser.add_argument("--engine", help="default: TTSRT_ENGINE, or the demo")
    parser.add_argument("--voice", default="0", help="default: 0")
    parser.add_argument("--language", help="of --text; default: the engine's")
    parser.add_argument("--text", help="instead of a sentence and a text of twelve")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--most", type=float, default=1.1, help="ratio that is allowed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes the figures")
    args = parser.parse_args(arguments)
    try:
        figures = _run(args)
    except Error as error:
        print(f"say_latency: {error}", file=sys.stderr)
        return 2
    print("| text | chunks | ids | text, ms | ids, ms | ratio |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for of in figures:
        shown = f"{of.text_ms:.1f} | {of.ids_ms:.1f} | {of.ratio:.2f}"
        print(f"| {of.text} | {of.chunks} | {of.ids} | {shown} |")
    if args.json is not None:
        args.json.write_text(json.dumps([asdict(of) for of in figures], indent=1), "utf-8")
    return int(any(of.ratio > args.most for of in figures))


def _run(args: argparse.Namespace) -> list[Figure]:
    if args.turns < 1:
        raise ConfigError(f"--turns: expected at least 1, got {args.turns}")
    engine, _ = use_engine(args.engine)
    texts = TEXTS if args.text is None else {"text": args.text}
    fields = {"turns": args.turns, "language": args.language, "voice": voice_of(args.voice)}
    with rt.Executor(engine, device=args.device) as executor:
        return [measure(executor, name, text, **fields) for name, text in texts.items()]


if __name__ == "__main__":
    sys.exit(main())
