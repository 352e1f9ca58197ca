"""`ttsrt voice S3GEN --audio FILE --output VOICE`: a voice of Chatterbox, of a recording."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.voice_file import VoiceFile

__all__ = ["add_flags", "make", "takes"]

_OTHERS = ("name", "codec", "seconds", "device", "num_threads", "overwrite")


def add_flags(parser: Parser) -> None:
    """Adds the flags of voices that are made with a checkpoint of S3Gen."""
    parser.add_argument(
        "--resampler",
        choices=("sinc", "soxr"),
        help="with --audio and a checkpoint of S3Gen: soxr is the original's and needs the extra "
        "audio; default: sinc",
    )


def takes(args: argparse.Namespace) -> bool:
    """Whether the arguments are a recording and a checkpoint."""
    source: Path | None = args.source
    return args.audio is not None and source is not None and (source / "config.json").is_file()


def make(args: argparse.Namespace, arrays: tuple[str, ...]) -> VoiceFile:
    """Makes a voice, writes it and returns it.

    Args:
        args: of the command.
        arrays: flags that bring what is made here.
    """
    from ttsrt_rt.audio import read_audio
    from ttsrt_rt.voice_file import write_voice
    from ttsrt_rt.voice_from_audio import VoiceMaker, VoiceOptions

    for name in (*_OTHERS, *arrays):
        if getattr(args, name) is not None:
            raise ConfigError(f"{name}: expected none beside --audio and a checkpoint of S3Gen")
    if args.output is None:
        raise ConfigError("output: expected the voice file to write (.safetensors), got none")
    given = {
        "variants": None if args.variant is None else tuple(dict.fromkeys(args.variant)),
        "emotion": args.emotion,
        "resampler": args.resampler,
    }
    options = VoiceOptions(**{name: value for name, value in given.items() if value is not None})
    sound = read_audio(args.audio)
    voice = VoiceMaker(args.source).make(sound, options)
    made_of = {
        "sample_rate": str(sound.sample_rate),
        "seconds": f"{sound.seconds:.3f}",
        "resampler": options.resampler,
    }
    write_voice(args.output, voice, made_of=made_of)
    return voice
