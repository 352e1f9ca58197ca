"""`ttsrt voice`: makes a voice file of T3 or shows one, or makes a voice of a recording."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ttsrt_rt.cli import voice_of_speaker, voice_recording
from ttsrt_rt.cli.tables import format_table
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import T3Variant

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from ttsrt_rt.voice_file import VoiceFile

__all__ = ["add_parser"]

SOURCES = (".safetensors", ".pt", ".npz")
_ENDINGS = ", ".join(SOURCES)
ARRAYS = ("speaker_emb", "cond_prompt_speech_tokens")
_ANY_VARIANT = "turbo"  # takes the longest prompt


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "voice",
        help="make or show a voice file of T3, or make a voice of a recording",
        description="Makes a voice file from a conds.pt, from arrays, or from another voice file; "
        "without --output it shows what is in there. Nothing in a file is executed. With --audio "
        "it makes a voice of a recording: for T3 with a checkpoint of S3Gen, for other models with "
        "an engine and its codec.",
    )
    parser.add_argument(
        "source",
        nargs="?",
        type=Path,
        help="a voice file (.safetensors), a conds.pt, or an .npz with the arrays below; with "
        "--audio, an engine or a checkpoint of S3Gen",
    )
    parser.add_argument("--speaker_emb", metavar="FILE", help="speaker embedding, 256 numbers")
    parser.add_argument(
        "--cond_prompt_speech_tokens",
        metavar="FILE",
        help="speech tokens of the prompt, up to 150, or 375 for turbo and nano",
    )
    parser.add_argument("--emotion", type=float, help="default: the source's, else 0.5")
    parser.add_argument(
        "--variant",
        action="append",
        choices=get_args(T3Variant),
        help="a variant of T3 that the voice is for; may be given several times",
    )
    parser.add_argument("--output", type=Path, help="the voice file to write (.safetensors)")
    voice_recording.add_flags(parser)
    voice_of_speaker.add_flags(parser)
    parser.reads("source", "speaker_emb", "cond_prompt_speech_tokens")
    parser.writes("output")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.voice_file import write_voice

    if args.output is not None and args.output.suffix != ".safetensors":
        raise ConfigError(f"output: expected a name in .safetensors, got {args.output}")
    if voice_of_speaker.takes(args):
        print(_describe(voice_of_speaker.make(args, ARRAYS)))
        print(f"voice: {args.output}")
        return 0
    voice_recording.check_flags(args, (*ARRAYS, "emotion", "variant", "resampler"))
    if args.audio is not None:
        return voice_recording.run(args)
    voice = _voice(args)
    if args.emotion is not None:
        voice = replace(voice, emotion=args.emotion)
    if args.output is not None:
        write_voice(args.output, voice)
    print(_describe(voice))
    if args.output is not None:
        print(f"voice: {args.output}")
    return 0


def _voice(args: argparse.Namespace) -> VoiceFile:
    """Returns the voice that the arguments mean."""
    from ttsrt_rt.convert.t3_voice import read_conds
    from ttsrt_rt.voice_file import read_voice

    source: Path | None = args.source
    given = [name for name in ARRAYS if getattr(args, name) is not None]
    if source is None:
        return _of_arrays(args, {})
    if source.suffix not in SOURCES:
        raise ConfigError(f"{source}: expected a file that ends in {_ENDINGS}")
    if given:
        raise ConfigError(f"{given[0]}: expected none beside {source}")
    if source.suffix == ".npz":
        from ttsrt_rt.array_file import NpzFile

        return _of_arrays(args, NpzFile(source))
    if source.suffix == ".pt":
        known = args.variant or [_ANY_VARIANT]  # so that a bad file is told first
        read = read_conds(source, tuple(dict.fromkeys(known)))
        return replace(read, variants=_variants(args))
    voice = read_voice(source)
    return voice if args.variant is None else replace(voice, variants=_variants(args))


def _variants(args: argparse.Namespace) -> tuple[str, ...]:
    if args.variant is None:
        raise ConfigError(
            "variant: expected the variant of T3 that the voice is for "
            f"({', '.join(get_args(T3Variant))}), got none"
        )
    return tuple(dict.fromkeys(args.variant))


def _of_arrays(args: argparse.Namespace, arrays: Mapping[str, Any]) -> VoiceFile:
    """Makes a voice from the files of the flags, or from the arrays of an archive."""
    from ttsrt_rt.cli.files import load_array
    from ttsrt_rt.voice_file import GENERATOR_TENSORS, USUAL_EMOTION, VoiceFile

    found = {name: arrays[name] for name in ARRAYS if name in arrays}
    for name in ARRAYS:
        if getattr(args, name) is not None:
            found[name] = load_array(getattr(args, name))
    if "speaker_emb" not in found:
        if args.source is not None:
            raise ConfigError(f"{args.source}: expected 256 numbers as 'speaker_emb', got none")
        raise ConfigError(
            "speaker_emb: expected an array of 256 numbers, got none; or name a file "
            f"({_ENDINGS}) to read the voice from"
        )
    emotion = USUAL_EMOTION
    for name in ("emotion", "emotion_adv"):
        if name in arrays and arrays[name].size == 1:
            emotion = float(arrays[name].reshape(-1)[0])
    generator = {
        name: arrays[f"gen.{name}"] for name in GENERATOR_TENSORS if f"gen.{name}" in arrays
    }
    return VoiceFile(variants=_variants(args), emotion=emotion, generator=generator, **found)


def _describe(voice: VoiceFile) -> str:
    rows: list[list[object]] = [
        ["variants", ", ".join(voice.variants)],
        ["prompt tokens", len(voice.cond_prompt_speech_tokens)],
        ["emotion", f"{voice.emotion:g}"],
    ]
    if voice.generator:
        seconds = int(voice.generator["prompt_token_len"][0]) / 25
        rows.append(["vocoder part", f"{seconds:g} s of the speaker"])
    else:
        rows.append(["vocoder part", "none"])
    return format_table(["voice of T3", ""], rows)
