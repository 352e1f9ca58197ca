"""How fast NanoCodec makes sound: alone, and behind a speech model in the same executor.

    python -m bench.codec --folder engines --streams 64 --device cuda --json codec.json
    python -m bench.codec --folder engines --streams 1 --quantization w8a8 \\
        --peer magpie-tts.cpp/build/examples/cli/magpie-cli --gguf engines/speech.q8_0.gguf

Models have random weights, in their true sizes by default; engines that FOLDER lacks are written
first. The streams of a case start together, and those with and without sound take turns. The
codec's share is what sound adds to the time of codes alone. With --peer, whole utterances take
turns with another program's instead (docs/codec.md says how its file is made).
"""

from __future__ import annotations

import argparse
import json
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np

from bench.codec.peer import compare
from bench.command import check_json, open_folder
from bench.gpu_steps.ours import Maker, open_executor
from bench.walls.tables import Case, Table, spread
from ttsrt_rt.errors import Error
from ttsrt_rt.executor import Executor
from ttsrt_rt.options import Quantization
from ttsrt_rt.request import Request
from ttsrt_rt.result import Result

__all__ = ["main"]

_SIZES = {"true": ("nano", "v2607"), "mid": ("mid", "mid"), "tiny": ("tiny_magpie", "tiny")}
_CONTEXT = 217  # rows in front of the first step


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="codec", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, help="keeps the engines here")
    parser.add_argument("--size", choices=list(_SIZES), default="true")
    parser.add_argument("--dtype", choices=["float32", "bfloat16", "float16"], default="bfloat16")
    parser.add_argument("--quantization", choices=get_args(Quantization), default="none")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--streams", type=int, default=8, help="at once")
    parser.add_argument("--frames", type=int, default=200, help="of each stream")
    parser.add_argument("--chunk_frames", type=int, default=2, help="of a launch, for each stream")
    parser.add_argument("--text_len", type=int, default=128, help="ids of each text")
    parser.add_argument("--voices", action="store_true", help="stored voices, not given contexts")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--peer", type=Path, help="magpie-cli, beside which to measure")
    parser.add_argument("--gguf", type=Path, help="the file of --peer with the same weights")
    parser.add_argument("--json", type=Path, help="all samples")
    options = parser.parse_args(arguments)
    if (options.peer is None) != (options.gguf is None):
        parser.error("--peer: expected --gguf with it, got one without the other")
    if options.peer is not None and (options.streams, options.device) != (1, "cpu"):
        parser.error("--peer: expected --streams 1 on the device cpu, got others")
    bounds = {
        "streams": 1024,
        "frames": 2000,
        "chunk_frames": 1000,
        "text_len": 2000,
        "turns": 1000,
    }
    for name, most in bounds.items():
        value = getattr(options, name)
        if not 1 <= value <= most:
            parser.error(f"--{name}: expected 1 to {most}, got {value}")
    return options


def make_engines(options: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Writes the engines that the folder lacks: of the codec, and of the model with it."""
    from ttsrt_rt.build import build
    from ttsrt_rt.convert import convert
    from ttsrt_rt.synth import write_random_codec, write_random_nemo

    checkpoints = {}
    for kind, size in zip(("codec", "speech"), _SIZES[options.size], strict=True):
        source = folder / f"{kind}-{size}.nemo"
        checkpoints[kind] = folder / f"{kind}-{size}.checkpoint"
        if not checkpoints[kind].exists():
            if kind == "codec":
                write_random_codec(source, size, seed=1)
            else:
                write_random_nemo(source, size, seed=1)
            convert(source, checkpoints[kind], progress=False)
    kind = options.dtype
    if options.quantization != "none":
        kind += f".{options.quantization}"
    name = f"{options.size}.{kind}.{options.streams}.engine"
    plain = f"{options.size}.{options.dtype}.{options.streams}.engine"
    codec, speech = folder / f"codec-{plain}", folder / f"speech-{name}"
    common: dict[str, Any] = {"dtype": options.dtype, "max_batch_size": options.streams}
    if not codec.exists():
        build(checkpoints["codec"], codec, progress=False, **common)
    if not speech.exists():
        is_true = options.size == "true"
        limits: dict[str, Any] = {}
        if is_true:
            limits = {"max_seq_len": 1024, "max_num_tokens": 1024}
        build(
            checkpoints["speech"],
            speech,
            progress=False,
            codec_dir=checkpoints["codec"],
            quantization=options.quantization,
            **limits,
            **common,
        )
    return codec, speech


def run_all(executor: Executor, requests: list[Request]) -> tuple[float, list[Result]]:
    """Runs requests together: the seconds until the last one has ended, and their results."""
    begin = time.perf_counter()
    results = executor.generate(requests)
    seconds = time.perf_counter() - begin
    for result in results:
        if result.error:
            raise RuntimeError(result.error)
    return seconds, results


def codec_alone(options: argparse.Namespace, engine: Path) -> Case:
    """So many streams of given codes."""
    rates: list[float] = []
    with open_executor(engine, options.device, options.streams) as executor:
        info = executor.engine.info
        random = np.random.default_rng(1)
        shape = (options.frames, info.codebooks)
        requests = [
            Request(
                codes=random.integers(0, info.codebook_vocab, shape),
                chunk_frames=options.chunk_frames,
            )
            for _ in range(options.streams)
        ]
        for turn in range(options.turns + 1):
            seconds, results = run_all(executor, requests)
            sound = sum(len(result.audio) for result in results if result.audio is not None)
            if turn > 0:
                rates.append(sound / (info.sample_rate or 1) / seconds)
        first = [1e3 * result.metrics.first_audio_seconds for result in results]
    cells = (spread(rates, 0), spread(first, 1), "", _memory(executor))
    return Case("codec alone", cells, {"real_time": rates, "first_audio_ms": first})


def speech(options: argparse.Namespace, engine: Path) -> list[Case]:
    """The model with sound and without, in turns."""
    names = {True: "codes alone", False: "codes and sound"}
    spent: dict[bool, list[float]] = {True: [], False: []}
    first: dict[bool, list[float]] = {True: [], False: []}
    model = "v2607"  # of Maker: a Magpie of the current generation
    with open_executor(engine, options.device, options.streams) as executor:
        maker = Maker(model, options.size, executor)
        info = executor.engine.info
        steps = options.frames // info.frame_stacking
        for turn in range(options.turns + 1):
            for codes_only in names:
                requests = []
                for index in range(options.streams):
                    request = maker.request(
                        0 if options.voices else min(_CONTEXT, info.max_input_len),
                        steps,
                        is_guided=True,
                        text_len=min(options.text_len, info.max_encoder_input_len),
                        voice=index if options.voices else None,
                    )
                    chunk = options.chunk_frames
                    requests.append(replace(request, codes_only=codes_only, chunk_frames=chunk))
                seconds, results = run_all(executor, requests)
                if turn == 0:
                    continue
                spent[codes_only].append(seconds)
                times = (result.metrics for result in results)
                first[codes_only] += [
                    1e3 * (each.first_frame_seconds if codes_only else each.first_audio_seconds)
                    for each in times
                ]
        memory = _memory(executor)
    sound_seconds = options.streams * steps * info.frame_stacking / info.frame_rate
    cases = []
    for codes_only, name in names.items():
        rates = [sound_seconds / seconds for seconds in spent[codes_only]]
        shares = [1 - a / b for a, b in zip(spent[True], spent[False], strict=True)]
        told = "" if codes_only else spread(shares, 0, 100)
        cells = (spread(rates, 0), spread(first[codes_only], 1), told, memory)
        figures = {"real_time": rates, "first_ms": first[codes_only], "codec_share": shares}
        cases.append(Case(name, cells, figures))
    return cases


def _memory(executor: Executor) -> str:
    info = executor.info
    total = info.weight_bytes + info.state_bytes + info.activation_bytes + info.scratch_bytes
    return f"{(total + info.graph_bytes) / 1e9:.2f}"


def make_table(options: argparse.Namespace, cases: list[Case]) -> Table:
    """The table of the streams."""
    title = (
        f"{options.streams} streams of {options.frames} frames, {options.dtype}, "
        f"{options.device}; {options.turns} turns"
    )
    columns = ("", "x real time", "first, ms", "share of the codec, %", "memory, GB")
    return Table(key="codec", title=title, columns=columns, cases=cases)


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code."""
    options = parse(arguments)
    try:
        check_json(options.json)
        with ExitStack() as stack:
            folder = stack.enter_context(open_folder(options.folder, "ttsrt-codec-"))
            codec, model = make_engines(options, folder)
            if options.peer is None:
                table = make_table(options, [codec_alone(options, codec), *speech(options, model)])
            else:
                table = compare(options, codec, model)
    except Error as error:
        print(f"codec: {error}")
        return 1
    print(table.markdown())
    if options.json is not None:
        options.json.write_text(json.dumps(table.json()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
