"""`ttsrt build --checkpoint_dir DIR --output_dir DIR`: packs a checkpoint into an engine."""

from __future__ import annotations

import argparse

from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

__all__ = ["add_parser"]

_LIMITS = {
    "max_batch_size": "requests in flight; default: 8",
    "max_seq_len": "decoder positions; default: max_input_len and the default max_frames; frames "
    "of F5-TTS and Vocos; default: 3000; of a codec, frames of codes; default: 8192",
    "max_input_len": "context rows; default: 256, or the longest stored voice; of F5-TTS, one less "
    "than max_seq_len; of a codec, frames of a recording; default: 256",
    "max_encoder_input_len": "text tokens; default: 512; of F5-TTS, one less than max_seq_len",
    "max_num_tokens": "rows of one Program in one launch; default: 512, or what one request needs",
}
_SAID_BY_CONFIG = (
    *("quantization", "head_quantization", "group_size", "zero_points", "wide_heads"),
    *("exclude_modules", "codec_dir", "dtype"),
)
_OF_CONFIG = ("max_batch_size", "max_seq_len", "max_input_len", "max_num_tokens")


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "build",
        help="pack a checkpoint into an engine",
        description="A limit that is 0 or not given takes its default, but at most what the "
        "checkpoint's position tables allow.",
    )
    parser.add_argument("--checkpoint_dir", help="what convert wrote")
    parser.add_argument("--output_dir", help="folder to write")
    parser.add_argument(
        "--config",
        metavar="FILE.yaml",
        help="the configuration of a language model, which says both folders, how weights are "
        "stored, and limits; a flag wins over the file",
    )
    parser.reads("config")
    _add_weights(parser)
    parser.add_argument(
        "--codec_dir",
        help="what convert wrote of the model's codec, which becomes part of the engine: its "
        "results are then sound",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing engine")
    for name, text in _LIMITS.items():
        parser.add_argument(f"--{name}", type=int, help=f"largest number of {text}")
    parser.set_defaults(run=_run)


def _add_weights(parser: Parser) -> None:
    """Adds how weights are stored."""
    parser.add_argument("--dtype", help="weights and cache: float32, bfloat16, float16")
    parser.add_argument(
        "--quantization",
        help="bits of weights and of activations: none (default), w8a16, w4a16, w8a8, w4a8",
    )
    parser.add_argument(
        "--group_size", type=int, help="w4: inputs that share a scale: 32, 64 (default), 128"
    )
    parser.add_argument(
        "--zero_points", action="store_true", help="w4: a zero point for each scale"
    )
    parser.add_argument(
        "--wide_heads",
        action="store_true",
        default=None,
        help="matrices that give logits are not quantized: the default for T3",
    )
    parser.add_argument(
        "--no_wide_heads",
        action="store_false",
        dest="wide_heads",
        default=None,
        help="they are quantized: the default for other models",
    )
    parser.add_argument(
        "--head_quantization",
        choices=("none", "w8a16", "w8a8"),
        help="how they are quantized, if not as all",
    )
    parser.add_argument(
        "--exclude_modules",
        nargs="+",
        metavar="NAME",
        help="matrices that stay as --dtype says beside --quantization; * stands for any text",
    )


def _by_config(args: argparse.Namespace) -> int:
    """Builds what a configuration describes, with the folders and limits of flags."""
    from ttsrt_rt.llm.config import read_config
    from ttsrt_rt.llm.pipeline import build_engine

    for name in _SAID_BY_CONFIG:
        if getattr(args, name) != args.parser.get_default(name):
            flag = "no_wide_heads" if name == "wide_heads" and not args.wide_heads else name
            raise ConfigError(f"--{flag}: expected none beside --config, which says it")
    config = read_config(args.config)
    folders = {"checkpoint_dir": args.checkpoint_dir, "engine_dir": args.output_dir}
    limits = {name: getattr(args, name) for name in _LIMITS if name in _OF_CONFIG}
    if args.max_encoder_input_len is not None:
        raise ConfigError("--max_encoder_input_len: expected none of a language model")
    for name, value in {**folders, **limits}.items():
        if value is not None:
            tell(f"{args.config}: {name}: {value}, by the command line")
    config = config.replaced("output", **folders).replaced("engine", **limits)
    print(f"engine: {build_engine(config, overwrite=args.overwrite)}")
    return 0


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.build import build

    if args.config is not None:
        return _by_config(args)
    missing = [name for name in ("checkpoint_dir", "output_dir") if getattr(args, name) is None]
    if missing:
        names = ", ".join(f"--{name}" for name in missing)
        args.parser.error(f"the following arguments are required: {names}")

    build(
        args.checkpoint_dir,
        args.output_dir,
        dtype=args.dtype,
        quantization=args.quantization,
        group_size=args.group_size,
        zero_points=args.zero_points,
        wide_heads=args.wide_heads,
        head_quantization=args.head_quantization,
        exclude_modules=args.exclude_modules,
        codec_dir=args.codec_dir,
        overwrite=args.overwrite,
        progress=True,
        **{name: getattr(args, name) for name in _LIMITS},
    )
    print(f"engine: {args.output_dir}")
    return 0
