"""Sound of speech tokens beside the original S3Gen in PyTorch: whole utterances that take turns.

    python -m bench.s3gen --folder engines --json s3gen.json
    python -m bench.s3gen --folder engines --kind cfm --tokens 250 --streams 4
    python -m bench.s3gen --folder engines --device cuda --streams 32 --json s3gen-gpu.json

All get the same random weights of full size (2 GB for each kind, written first where FOLDER lacks
them), the same voice with a prompt of 10 seconds, and the same tokens. Mean flow makes two
evaluations, guided flow ten of two branches. Ours runs as float32, bfloat16 and int8, alone and
with several streams together. Before anything is timed, the length of the sounds is compared.
On a GPU, ours runs as float32, float16 and bfloat16, beside the same network written in plain
PyTorch, compiled, and replayed in a CUDA graph; spectrograms are compared first, and memory and the
share of what the card can multiply are told. Nothing else should run on the machine.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.command import check_json, open_folder
from bench.s3gen.gpu import find_card, measure_gpu
from bench.s3gen.original import Original
from bench.walls.tables import Case, Table, Target, spread
from ttsrt_rt.bench.company import usable_cores
from ttsrt_rt.build import build
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import Error, InternalError
from ttsrt_rt.executor import Executor
from ttsrt_rt.request import Request
from ttsrt_rt.synth import write_random_s3gen

__all__ = ["main"]

KINDS = ("meanflow", "cfm")
# How engines are built, and how much faster than the original each shall be.
BUILDS: dict[str, tuple[dict[str, str], float]] = {
    "float32": ({}, 2.5),
    "bfloat16": ({"dtype": "bfloat16"}, 4.0),
    "int8": ({"quantization": "w8a8"}, 4.0),
}
TINY = {"meanflow": "tiny_meanflow", "cfm": "tiny"}
PROMPT, SILENCE = 250, {"meanflow": 3, "cfm": 0}  # tokens
SECONDS = 0.04  # of a token


@dataclass
class Entry:
    """One contestant.

    Attributes:
        name: What it is.
        run: Speaks all streams once; returns the samples of each.
        streams: How many speak together.
        target: How much faster than the original it shall be; None for none.
        seconds: Of each turn.
    """

    name: str
    run: Callable[[], list[int]]
    streams: int = 1
    target: float | None = None
    seconds: list[float] = field(default_factory=list)

    def take(self, *, is_kept: bool) -> None:
        """Measures a turn; the first ones warm up."""
        begin = time.perf_counter()
        self.run()
        if is_kept:
            self.seconds.append(time.perf_counter() - begin)


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="s3gen", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keeps the models here")
    parser.add_argument("--size", choices=["true", "tiny"], default="true")
    parser.add_argument("--kind", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--builds", nargs="+", choices=list(BUILDS), default=list(BUILDS))
    parser.add_argument("--tokens", type=int, default=250, help="25 for a second; default: 250")
    parser.add_argument("--streams", type=int, default=4, help="together, beside one; default: 4")
    parser.add_argument("--threads", type=int, default=0, help="default: one per usable core")
    parser.add_argument("--turns", type=int, default=5, help="samples of each; default: 5")
    parser.add_argument("--no_torch", action="store_true", help="measure without the original")
    parser.add_argument("--json", type=Path, help="all samples")
    parser.add_argument("--device", default="cpu", help='"cpu", or "cuda" for the first GPU')
    options = parser.parse_args(arguments)
    if re.fullmatch(r"cpu|cuda(:\d+)?", options.device) is None:
        parser.error(f'--device: expected "cpu" or "cuda", got {options.device!r}')
    if options.device == "cuda":
        options.device = "cuda:0"
    for name, most in (("tokens", 1000), ("streams", 64), ("turns", 1000)):
        value = getattr(options, name)
        if not 1 <= value <= most:
            parser.error(f"--{name}: expected 1 to {most}, got {value}")
    return options


def voice_of(seed: int = 1) -> dict[str, Any]:
    """A voice with a prompt of 10 seconds."""
    random = np.random.default_rng(seed)
    return {
        "embedding": random.normal(size=192).astype(np.float32),
        "prompt_token": random.integers(0, 6561, PROMPT).astype(np.int32),
        "prompt_feat": random.normal(-4, 1.5, (2 * PROMPT, 80)).astype(np.float32),
    }


def ours(options: argparse.Namespace, source: Path, threads: int, stack: ExitStack) -> list[Entry]:
    """An entry for each build, alone and with several streams."""
    tokens = np.random.default_rng(2).integers(0, 6561, (options.tokens, 1)).astype(np.int32)
    checkpoint = source.with_name(f"{source.stem}-checkpoint")
    if not checkpoint.exists():
        convert(source, checkpoint)
    entries = []
    for name in options.builds:
        build_options, target = BUILDS[name]
        engine = source.with_name(f"{source.stem}-{name}")
        if not engine.exists():
            build(checkpoint, engine, **build_options)  # type: ignore[arg-type]
        executor = stack.enter_context(Executor(engine, device="cpu", num_threads=threads))
        executor.add_voice("voice", **voice_of())

        def speak(streams: int, executor: Executor = executor, name: str = name) -> list[int]:
            requests = [Request(codes=tokens, voice="voice", seed=seed) for seed in range(streams)]
            made = executor.generate(requests)
            failed = [each for each in made if each.audio is None or each.error]
            if failed:
                raise InternalError(f"{name}: a request failed: {failed[0].error}")
            return [0 if each.audio is None else len(each.audio) for each in made]

        entries.append(Entry(name, partial(speak, 1), 1, target))
        if options.streams > 1:
            entries.append(
                Entry(
                    f"{name}, {options.streams} streams",
                    partial(speak, options.streams),
                    options.streams,
                )
            )
    return entries


def source_of(options: argparse.Namespace, kind: str, folder: Path) -> Path:
    """The file of a model, which is written where the folder lacks it."""
    size = kind if options.size == "true" else TINY[kind]
    source = folder / f"{size}.safetensors"
    if not source.exists():
        write_random_s3gen(source, size, 1)
    return source


def measure(options: argparse.Namespace, kind: str, folder: Path, threads: int) -> Table:
    """Writes, checks and measures one kind of flow."""
    source = source_of(options, kind, folder)
    with ExitStack() as stack:
        entries = ours(options, source, threads, stack)
        if not options.no_torch:
            original = Original(source, kind, threads)
            random = np.random.default_rng(2)
            tokens = random.integers(0, 6561, options.tokens + SILENCE[kind]).astype(np.int32)
            entries.append(
                Entry("PyTorch, float32", lambda: [len(original.speak(tokens, voice_of()))])
            )
        lengths = {entry.name: entry.run()[0] for entry in entries}
        if len(set(lengths.values())) != 1:
            raise InternalError(f"expected sounds of equal length, got {lengths}")
        for turn in range(options.turns + 1):
            for entry in entries:
                entry.take(is_kept=turn > 0)
    return table_of(options, kind, entries, threads)


def table_of(options: argparse.Namespace, kind: str, entries: list[Entry], threads: int) -> Table:
    """What was measured: seconds of a turn, real time, and times of the original."""
    audio = SECONDS * (options.tokens + SILENCE[kind])
    other = next((entry for entry in entries if entry.name.startswith("PyTorch")), None)
    cases = []
    for entry in entries:
        real_time = [seconds / (entry.streams * audio) for seconds in entry.seconds]
        figures: dict[str, Any] = {
            "streams": entry.streams,
            "seconds": entry.seconds,
            "rtf": median(real_time),
        }
        told = ("", "")
        if other is not None and entry is not other:
            ratio = median(other.seconds) / audio / median(real_time)
            figures["ratio"] = ratio
            verdict = ""
            if entry.target is not None:
                figures["target"] = entry.target
                verdict = Target(entry.target, is_most=False).verdict(ratio)
            told = (f"{ratio:.2f}", verdict)
        cases.append(
            Case(entry.name, (spread(entry.seconds, 2), spread(real_time, 3), *told), figures)
        )
    title = (
        f"{kind}: {options.tokens} tokens, {audio:.1f} s of sound, {threads} threads, "
        f"{options.turns} turns"
    )
    columns = ("", "seconds", "real-time factor", "times PyTorch", "target")
    return Table(kind, title, columns, cases)


def main(arguments: list[str] | None = None) -> int:
    """The command line; the exit code is 2 if something is not as expected."""
    options = parse(arguments)
    threads = options.threads or usable_cores()
    try:
        check_json(options.json)
        with open_folder(options.folder, "s3gen-") as folder:
            tables = []
            card = None
            if options.device != "cpu" and not options.no_torch:
                card = find_card(options.device)
                print(f"{card}\n", flush=True)
            for kind in options.kind:
                if options.device == "cpu":
                    tables.append(measure(options, kind, folder, threads))
                else:
                    source = source_of(options, kind, folder)
                    voice = voice_of()
                    tables.append(measure_gpu(options, kind, source, voice, SILENCE[kind], card))
                print(tables[-1].markdown(), end="\n\n", flush=True)
    except Error as error:
        print(f"s3gen: {error}")
        return 2
    if options.json is not None:
        values = {"threads": threads, "tables": [table.json() for table in tables]}
        options.json.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
