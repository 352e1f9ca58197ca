"""`ttsrt voice ENGINE NAME --audio FILE --codec CODEC`: a voice of a recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from ttsrt_rt.cli.executor_flags import DEVICE_HELP
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.tables import format_table
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import show

__all__ = ["add_flags", "check_flags", "run"]

_NEEDS = ("codec", "seconds", "device", "num_threads", "overwrite")


def add_flags(parser: Parser) -> None:
    """Adds the flags of voices of recordings."""
    parser.add_argument(
        "name", nargs="?", help="with --audio: the name of the voice, for --voice of ttsrt run"
    )
    group = parser.add_argument_group(
        "a voice of a recording",
        "ttsrt voice ENGINE NAME --audio FILE --codec CODEC stores a voice in an engine that takes "
        "codec codes as its context, or in --output.",
    )
    group.add_argument("--audio", help="the recording: a WAV of any rate")
    group.add_argument("--codec", help="the engine of the model's codec, with its encoder")
    group.add_argument(
        "--seconds",
        type=float,
        help="how long the voice is: the recording is cut or repeated; default: what the model was "
        "trained with, if its checkpoint says it, else the recording",
    )
    group.add_argument("--device", help=f"{DEVICE_HELP}; default: auto")
    group.add_argument("--num_threads", type=int, help="CPU threads; default: one per core")
    group.add_argument(
        "--overwrite", action="store_true", default=None, help="replace the voice of this name"
    )
    parser.reads("audio", "codec")


def check_flags(args: argparse.Namespace, others: tuple[str, ...]) -> None:
    """Checks that flags of one kind of voice are alone.

    Raises:
        ConfigError: There are flags of both, or one is missing.
    """
    if args.audio is None:
        for name in ("name", *_NEEDS):
            if getattr(args, name) is not None:
                raise ConfigError(f"{name}: expected --audio with it, a recording; got none")
        return
    for name in others:
        if getattr(args, name) is not None:
            raise ConfigError(
                f"--{name}: expected none beside --audio, as voices of recordings have none"
            )
    for name, what in (
        ("source", "the engine that the voice is for"),
        ("name", "a name of the voice behind the engine"),
        ("codec", "--codec ENGINE, whose encoder makes codes of the recording"),
    ):
        if getattr(args, name) is None:
            raise ConfigError(f"--audio: expected {what}, got none")


def run(args: argparse.Namespace) -> int:
    """Makes a voice and stores it."""
    from ttsrt_rt import _core
    from ttsrt_rt.audio import read_audio
    from ttsrt_rt.code_voice import write_code_voice
    from ttsrt_rt.convert.checkpoint import VOICES_NAME
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.recording import check_takes_recordings, encode_voice

    name: str = args.name
    if not _core.is_voice_name(name):
        raise ConfigError(
            "name: expected 1 to 64 letters, digits, _, - and dots for the name of a voice, got "
            f"{show(name)}"
        )
    engine = _core.Engine.open(args.source)
    check_takes_recordings(engine)
    path = args.output or Path(args.source, VOICES_NAME, f"{name}.safetensors")
    is_there = args.output is None and path.exists()
    if is_there and not args.overwrite:
        raise ConfigError(f"{path}: there is a voice of this name; pass --overwrite to replace it")
    sound = read_audio(args.audio)
    if not len(sound.samples):
        raise FormatError(f"{args.audio}: expected a sound, got no samples")
    options = {"device": args.device, "num_threads": args.num_threads}
    with Executor(args.codec, **options) as codec:
        codes = encode_voice(sound, codec, engine, seconds=args.seconds)
    with Executor(engine, **options, max_batch_size=1) as executor:  # which checks them
        if name in executor.voices():
            executor.remove_voice(name)
        executor.add_voice(name, codes=codes)
    path.parent.mkdir(exist_ok=True)
    write_code_voice(path, codes, engine.info.family)
    rows: list[list[object]] = [
        ["frames", f"{len(codes)}, of them 2 special"],
        ["codebooks", codes.shape[1]],
        ["seconds", f"{(len(codes) - 2) / engine.info.frame_rate:.2f} of {sound.seconds:.2f}"],
    ]
    print(format_table([f"voice of {engine.info.family}", name], rows))
    print(f"voice: {path}")
    return 0
