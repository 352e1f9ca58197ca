"""`ttsrt f5`: speaks a text with the voice of a reference, by F5-TTS or IndicF5."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

__all__ = ["add_parser"]

_MAX_TEXT = 4 << 20
# Options of F5Model.synthesize, with their types.
_OPTIONS: dict[str, tuple[type, str]] = {
    "seed": (int, "of the noise; the same one gives the same sound"),
    "steps": (int, "evaluations; default: TTS_NFE_STEPS, or the model's"),
    "cfg_strength": (float, "of guidance; 0 for none"),
    "sway_sampling_coef": (float, "-1 to spend steps early; 0 for none"),
    "speed": (float, "of the speech; default: 1"),
    "fix_duration": (float, "seconds of reference and speech together"),
    "cross_fade": (float, "seconds in which chunks of a long text overlap; default: 0.15"),
}


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "f5", help="speak a text with the voice of a reference: F5-TTS, IndicF5"
    )
    parser.add_argument("--engine", help="what build wrote; default: TTS_ENGINE")
    parser.add_argument("--ref_audio", required=True, help="the voice: a WAV of 3 to 12 seconds")
    parser.add_argument("--ref_text", required=True, help="what is said in it")
    text = parser.add_mutually_exclusive_group(required=True)
    text.add_argument("--text", help="what to say")
    text.add_argument("--text_file", metavar="FILE.txt", help="the same, from a file in UTF-8")
    parser.add_argument(
        "--output",
        default="out.wav",
        help="sound to write: .wav, .pcm, or by soundfile .flac, .mp3, .opus; default: out.wav",
    )
    parser.add_argument(
        "--width", type=int, choices=[16, 32], default=16, help="bits per sample of a WAV"
    )
    parser.add_argument(
        "--backend", help="cpu, cuda or trtllm (the fastest native one); default: TTS_BACKEND"
    )
    parser.add_argument("--vocoder", help="an engine of Vocos, for models without one")
    parser.add_argument(
        "--boundaries",
        choices=["original", "extended"],
        default="original",
        help="where long texts are cut; extended: at the danda and other scripts' ends, too",
    )
    parser.add_argument(
        "--resampler",
        choices=["sinc", "soxr"],
        default="sinc",
        help="how the voice gets the model's rate: as the original, or by soxr; default: sinc",
    )
    for name in ("use_epss", "remove_silence"):
        parser.add_argument(f"--{name}", choices=["true", "false"], help="default: the model's")
    parser.add_argument("--num_threads", type=int, help="CPU threads; default: one per core")
    for name, (kind, told) in _OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=told)
    parser.reads("engine", "ref_audio", "text_file", "vocoder")
    parser.writes("output")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.audio import check_output, write_audio
    from ttsrt_rt.f5 import VARIABLE, F5Model

    engine = args.engine or os.environ.get(VARIABLE)
    if not engine:
        raise ConfigError(f"engine: expected a folder, or one in {VARIABLE}, got none")
    check_output(args.output)
    options = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    for name in ("use_epss", "remove_silence"):
        if getattr(args, name) is not None:
            options[name] = getattr(args, name) == "true"
    text = args.text if args.text is not None else _text_of(args.text_file)
    opening = {"backend": args.backend, "vocoder": args.vocoder, "resampler": args.resampler}
    if args.num_threads is not None:
        opening["num_threads"] = args.num_threads
    with F5Model(engine, **opening) as model:
        speech = model.synthesize(
            text, args.ref_audio, args.ref_text, boundaries=args.boundaries, **options
        )
        device = model.executor.info.device
    path = write_audio(args.output, speech.samples, speech.sample_rate, width=args.width)
    seconds = len(speech.samples) / speech.sample_rate
    print(f"{path}: {seconds:.2f} s at {speech.sample_rate} Hz, on {device}")
    return 0


def _text_of(path: str) -> str:
    from ttsrt_rt.regular_file import read_regular

    try:
        return read_regular(Path(path), _MAX_TEXT).decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: expected text in UTF-8, got other bytes") from error
