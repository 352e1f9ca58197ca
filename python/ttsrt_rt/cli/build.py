"""`ttsrt build --checkpoint_dir DIR --output_dir DIR`: packs a checkpoint into an engine."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.tensorrt import PlanOptions

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
_PLANS: dict[str, tuple[type, str]] = {
    "tensorrt": (
        int,
        "major version of TensorRT: 8, 10, 11; default: the newest that is installed",
    ),
    "gpu": (int, "index of the GPU that runs the plans; default: 0"),
    "builder_opt": (int, "TensorRT's optimization level, 0 to 5; default: 3"),
    "opt_num_tokens": (
        int,
        "rows that kernels of encoders, prefill and evaluations of a flow are chosen for; "
        "default: 128, and 2048 for evaluations",
    ),
    "workspace": (int, "MiB that a kernel may ask for; default: no limit"),
    "input_timing_cache": (str, "file with times of kernels, of an earlier build"),
    "output_timing_cache": (str, "file to write these times to"),
}
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
    _add_plans(parser)
    parser.writes("output_timing_cache")
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


def _add_plans(parser: Parser) -> None:
    """Adds what concerns plans of TensorRT."""
    group = parser.add_argument_group("plans of TensorRT")
    group.add_argument(
        "--backend",
        choices=("native", "tensorrt"),
        default="native",
        help="tensorrt: also plans for this machine's GPU, which device tensorrt:0 runs",
    )
    group.add_argument(
        "--engine_dir", help="an engine that gets plans, in place of --checkpoint_dir"
    )
    for name, (kind, text) in _PLANS.items():
        group.add_argument(f"--{name}", type=kind, help=text)
    group.add_argument(
        "--products",
        choices=("matrix", "convolution"),
        help="the layer of TensorRT that products are; default: matrix",
    )
    group.add_argument(
        "--enable_debug_output",
        action="store_true",
        help="plans that give what a trace keeps, too",
    )
    group.add_argument(
        "--strongly_typed",
        action="store_true",
        help="always so: products are of the engine's type, all else is float32",
    )


def _plan_options(args: argparse.Namespace) -> PlanOptions:
    """The options of the plans that were given."""
    return {
        "tensorrt": args.tensorrt,
        "device": args.gpu,
        "builder_opt": args.builder_opt,
        "opt_num_tokens": args.opt_num_tokens,
        "products": args.products,
        "workspace_mib": args.workspace,
        "enable_debug_output": args.enable_debug_output,
        "input_timing_cache": args.input_timing_cache,
        "output_timing_cache": args.output_timing_cache,
    }


def _check_plans(args: argparse.Namespace) -> None:
    """Refuses flags of plans where none are built."""
    if args.backend == "tensorrt":
        return
    names = (*_PLANS, "engine_dir", "products", "enable_debug_output", "strongly_typed")
    for name in names:
        if getattr(args, name) not in (None, False):
            raise ConfigError(f"--{name}: expected --backend tensorrt beside it")


def _build_plans(args: argparse.Namespace, engine_dir: str, *, overwrite: bool) -> int:
    from ttsrt_rt.tensorrt import build_plans

    build_plans(engine_dir, overwrite=overwrite, progress=True, **_plan_options(args))
    print(f"plans: {engine_dir}/tensorrt")
    return 0


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
    engine = build_engine(config, overwrite=args.overwrite)
    print(f"engine: {engine}")
    return _build_plans(args, str(engine), overwrite=True) if args.backend == "tensorrt" else 0


def _run(args: argparse.Namespace) -> int:
    from ttsrt_rt.build import build

    _check_plans(args)
    if args.config is not None:
        return _by_config(args)
    if args.engine_dir is not None:
        if args.checkpoint_dir is not None or args.output_dir is not None:
            raise ConfigError("--engine_dir: expected none beside --checkpoint_dir or --output_dir")
        return _build_plans(args, args.engine_dir, overwrite=args.overwrite)
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
    return _build_plans(args, args.output_dir, overwrite=True) if args.backend == "tensorrt" else 0
