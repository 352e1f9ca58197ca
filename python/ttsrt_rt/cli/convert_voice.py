"""`ttsrt convert-voice ENGINE --audio FILE --voice VOICE --output FILE`: in another voice."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.executor_flags import DEVICE_HELP
from ttsrt_rt.cli.sound import write_sound
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.cli.watermarks import add_watermark_flag, check_watermark, marked
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import list_names, quote

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["add_parser"]

_VOICE_FILE = ".safetensors"
_RECORDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus")


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "convert-voice",
        help="speak a recording again in another voice",
        description="Makes speech tokens of a recording, and sound of them in another voice, with "
        "an engine of Chatterbox that makes sound. What is said and how long it takes stay.",
    )
    parser.add_argument("engine", help="what build wrote of an S3Gen, or of a T3 with its S3Gen")
    parser.add_argument("--audio", required=True, metavar="FILE", help="the recording")
    parser.add_argument(
        "--voice",
        required=True,
        help="whose voice it becomes: a name of the engine's, a file of ttsrt voice or a recording",
    )
    parser.add_argument(
        "--voice_model",
        metavar="DIR",
        help="the checkpoint of S3Gen that hears recordings, as convert writes it, or an engine of "
        "one; default: ENGINE",
    )
    parser.add_argument("--output", required=True, metavar="FILE", help="the sound, by its ending")
    parser.add_argument("--seed", type=int, help="the same one gives the same sound; default: 0")
    parser.add_argument("--steps", type=int, help="of the flow; default: the checkpoint's")
    parser.add_argument("--device", help=DEVICE_HELP)
    parser.add_argument("--num_threads", type=int, help="CPU threads; 0: one per core")
    parser.add_argument(
        "--resampler", choices=("sinc", "soxr"), help="soxr needs the extra audio; default: sinc"
    )
    add_watermark_flag(parser)
    parser.reads("engine", "audio", "voice_model")
    parser.writes("output")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.audio.files import check_output
    from ttsrt_rt.decoding_options import Flow
    from ttsrt_rt.executor import Executor

    check_output(args.output)
    check_watermark(args.watermark)
    names = ("device", "num_threads")
    options: dict[str, Any] = {
        name: getattr(args, name) for name in names if getattr(args, name) is not None
    }
    hears: dict[str, Any] = {"voice_model": args.voice_model}
    if args.resampler is not None:
        hears["resampler"] = args.resampler
    fields: dict[str, Any] = {} if args.seed is None else {"seed": args.seed}
    if args.steps is not None:
        fields["flow"] = Flow(steps=args.steps)
    with Executor(args.engine, **options) as executor:
        voice = _voice(args.voice, executor, hears)
        made = executor.convert_voice(args.audio, voice=voice, **hears, **fields)
    result = marked(made, args.watermark)
    write_sound(args.output, result, width=16)
    print(f"{args.output}: {result.seconds:.2f} s")
    return 0


def _voice(text: str, executor: Executor, hears: dict[str, Any]) -> str:
    """The name of a voice that the engine has, or that a file becomes.

    Raises:
        ConfigError: There is none.
        NotFoundError, FormatError: The file can't be read.
    """
    names = executor.voices()
    if text in names:
        return text
    ending = Path(text).suffix.lower()
    name = f"file-{hashlib.sha256(text.encode('utf-8', 'surrogateescape')).hexdigest()[:32]}"
    if ending == _VOICE_FILE:
        executor.add_voice(name, file=text)
        return name
    if ending in _RECORDINGS:
        executor.add_voice(name, audio=text, **hears)
        return name
    raise ConfigError(
        f"--voice: expected one of {list_names(names, 'no names')}, a {_VOICE_FILE} or a "
        f"recording, got {quote(text)}"
    )
