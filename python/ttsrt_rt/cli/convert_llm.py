"""`ttsrt convert` of language models, by a configuration or by the flags of TensorRT-LLM."""

from __future__ import annotations

import argparse
from typing import Any

from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.errors import ConfigError

__all__ = ["add_llm_flags", "convert_llm_model", "is_of_llm"]

_FLAGS = (
    *("model_dir", "use_weight_only", "weight_only_precision", "group_size", "awq_block_size"),
    *("use_awq", "calib_size", "calib_dataset", "int8_kv_cache", "symmetric"),
)


def add_llm_flags(parser: Parser) -> None:
    """Adds the flags of language models."""
    group = parser.add_argument_group(
        "language models",
        "With --config C.yaml of a language model (docs/llm.md), or with --model_dir, source and "
        "output_dir are left out; a flag wins over the file.",
    )
    group.add_argument("--model_dir", metavar="DIR", help="the folder of the model")
    group.add_argument("--output_dir", dest="dir_flag", metavar="DIR", help="folder to write")
    group.add_argument("--use_weight_only", action="store_true", help="quantize weights")
    group.add_argument(
        "--weight_only_precision", choices=["int8", "int4", "int4_awq"], help="default: int8"
    )
    group.add_argument("--group_size", type=int, metavar="N", help="int4: weights of a scale")
    group.add_argument("--use_awq", action="store_true", help="int4: choose codes by AWQ")
    group.add_argument("--awq_block_size", type=int, metavar="N", help="AWQ: weights of a scale")
    group.add_argument("--calib_size", type=int, metavar="N", help="AWQ: blocks of text")
    group.add_argument("--calib_dataset", metavar="FILE", help="AWQ: the text")
    group.add_argument("--symmetric", action="store_true", help="int4: no zero points")
    group.add_argument("--int8_kv_cache", action="store_true", help="cache keys, values as int8")
    parser.reads("model_dir", "calib_dataset")


def is_of_llm(args: argparse.Namespace) -> bool:
    """Whether a command line converts a language model by its configuration."""
    return args.source is None or any(getattr(args, name) not in (None, False) for name in _FLAGS)


def convert_llm_model(args: argparse.Namespace) -> int:
    """Converts it.

    Raises:
        ConfigError: flags or file are wrong.
    """
    from ttsrt_rt.llm.config import config_of, read_config
    from ttsrt_rt.llm.pipeline import convert_model

    config = config_of({}, "flags") if args.config is None else read_config(args.config)
    source = args.source if args.model_dir is None else args.model_dir
    output = args.output_dir if args.dir_flag is None else args.dir_flag
    if args.model_dir is not None and args.source is not None:
        raise ConfigError("--model_dir: expected it or the source alone, got both")
    values: dict[str, Any] = {
        name: getattr(config, name)
        for name in ("model_name", "model_dir", "dtype")
        if getattr(config, name) is not None
    }
    for name, value in (("model_dir", source), ("dtype", args.dtype)):
        if value is not None:
            _told(args, name, value)
            values[name] = value
    if source is not None:
        values.pop("model_name", None)
    if source is None and config.model_dir is None:
        raise ConfigError("convert: expected a source, or --config or --model_dir; got none")
    head = config_of(values, config.where)
    made = _quantized(args, config.replaced("output", checkpoint_dir=output))
    if output is None and made.output.checkpoint_dir is None:
        raise ConfigError("--output_dir: expected a folder, got none")
    if output is not None:
        _told(args, "output_dir", output)
    whole = config_of({**values, **_sections(made)}, head.where)
    made_at = convert_model(whole, overwrite=args.overwrite, allow_long=args.allow_long)
    print(f"checkpoint: {made_at}")
    return 0


def _quantized(args: argparse.Namespace, config: Any) -> Any:
    """The configuration with what flags say of quantization."""
    precision = args.weight_only_precision or ("int8" if args.use_weight_only else None)
    values = {
        "mode": "int4" if precision == "int4_awq" else precision,
        "use_awq": True if args.use_awq or precision == "int4_awq" else None,
        "group_size": args.group_size,
        "awq_block_size": args.awq_block_size,
        "calibration_samples": args.calib_size,
        "calibration_file": args.calib_dataset,
        "symmetric": args.symmetric or None,
        "kv_cache": "int8" if args.int8_kv_cache else None,
    }
    for name, value in values.items():
        if value is not None:
            _told(args, f"quantization.{name}", value)
    return config.replaced("quantization", **values)


def _sections(config: Any) -> dict[str, Any]:
    """The sections as a file has them."""
    import dataclasses

    values = dataclasses.asdict(config)
    return {name: value for name, value in values.items() if isinstance(value, dict)}


def _told(args: argparse.Namespace, name: str, value: object) -> None:
    """Prints what a flag changes in a file."""
    if args.config is not None:
        tell(f"{args.config}: {name}: {value}, by the command line")
