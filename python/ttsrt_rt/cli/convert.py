"""`ttsrt convert SOURCE OUTPUT_DIR`: converts a checkpoint of another format."""

from __future__ import annotations

import argparse
from typing import get_args

from ttsrt_rt.cli.convert_llm import add_llm_flags, convert_llm_model, is_of_llm
from ttsrt_rt.cli.types import Subparsers
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import F5Tokenizer, F5Variant, T3Variant
from ttsrt_rt.quoting import quote

__all__ = ["add_parser"]

# Options of the converters that only some sources need, with their types.
_FAMILY_OPTIONS: dict[str, tuple[type, str]] = {
    "codebook_size": (int, "entries of one codebook without special ids"),
    "frame_rate": (float, "codec frames per second"),
    "cross_heads": (int, "heads of cross-attention"),
    "root": (str, "the entry of a .ckpt or .pt with the weights, if it is not state_dict"),
    "heads": (int, "T3: attention heads of the backbone; S3Gen: of the estimator"),
    "conds": (str, "T3, S3Gen: the conds.pt of the built-in voice, if it is not beside the source"),
    "voice_encoder": (str, "S3Gen: its ve.safetensors, if it is not beside the source"),
    "sound": (
        str,
        "T3: the s3gen* file that makes sound of its tokens, if it is not beside the source; false "
        "for none",
    ),
    "vocab": (str, "F5-TTS: its vocab.txt, if it is not beside the source"),
    "vocoder": (str, "F5-TTS: a Vocos to store with the model: its folder"),
    "allow_long": (int, "language models: positions of a text, more than it was trained for"),
    "text_files": (str, "folder of the dictionaries that the source names and doesn't bring"),
}


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser("convert", help="convert a checkpoint; nothing in it is executed")
    parser.add_argument(
        "source",
        nargs="?",
        help="a .nemo, a .ckpt with its YAML beside it, a t3_* or s3gen*.safetensors or .pt of "
        "Chatterbox, a model_*.safetensors or .pt of F5-TTS, or a folder: of IndicF5, of Vocos, of "
        "a language model (Llama, Phi), of the TensorRT-LLM fork, an unpacked .nemo, or one with a "
        "single checkpoint",
    )
    parser.add_argument("output_dir", nargs="?", help="folder to write")
    parser.add_argument(
        "--config",
        help="the YAML of a .ckpt, if it is not beside it; F5-TTS: the YAML of the training run or "
        "the JSON of the model card, if flags differ from the variant's; without a source, the "
        "YAML of a language model",
    )
    parser.add_argument(
        "--dtype", help="cast the weights: float32, bfloat16, float16; default: as trained"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing checkpoint")
    parser.add_argument(
        "--encoder_causal",
        choices=["true", "false"],
        help="whether the text encoder is causal, if the configuration is wrong",
    )
    parser.add_argument(
        "--generation",
        choices=["2503", "nemo3"],
        help="the generation whose behaviour requests get, if the configuration does not say it",
    )
    parser.add_argument(
        "--variant",
        choices=(*get_args(F5Variant), *get_args(T3Variant)),
        help="F5-TTS: v1 for F5TTS_v1_*, v0 for older models, indicf5; must be given. T3: the "
        "variant, if the rows of the text table are none of the published numbers. S3Gen: whose "
        "voice conds.pt is",
    )
    parser.add_argument(
        "--family",
        help="the kind of model, if it is not told from the source: magpie, t3, s3gen, f5, vocos, "
        "nanocodec, llm",
    )
    parser.add_argument(
        "--use_ema",
        choices=["true", "false"],
        help="F5-TTS: whether to take averaged weights; default: where there are some",
    )
    parser.add_argument(
        "--tokenizer",
        choices=get_args(F5Tokenizer),
        help="F5-TTS: how text becomes tokens; default: pinyin",
    )
    _add_text_flags(parser)
    add_llm_flags(parser)
    for name, (kind, text) in _FAMILY_OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.set_defaults(run=_run)


def _add_text_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say where dictionaries are."""
    parser.add_argument(
        "--front_end",
        choices=["true", "false"],
        help="whether to store what makes ids of a text; default: where the source has all of it",
    )
    parser.add_argument(
        "--dictionary",
        action="append",
        metavar="NAME=FILE",
        help="one such dictionary, by the name that the source has for the file or the tokenizer",
    )


def _run(args: argparse.Namespace) -> int:
    if is_of_llm(args):
        _refuse_others(args)
        return convert_llm_model(args)
    from ttsrt_rt.convert import convert

    output = args.dir_flag if args.output_dir is None else args.output_dir
    if output is None:
        args.parser.error("the following arguments are required: output_dir")
    options = {
        name: getattr(args, name)
        for name in (
            *_FAMILY_OPTIONS,
            "generation",
            "variant",
            "config",
            "dtype",
            "tokenizer",
            "family",
        )
    }
    given = {name: value for name, value in options.items() if value is not None}
    if args.dictionary:
        given["dictionaries"] = dict(_named_file(each) for each in args.dictionary)
    for name in ("encoder_causal", "use_ema", "front_end"):
        if getattr(args, name) is not None:
            given[name] = getattr(args, name) == "true"
    if given.get("sound") in ("true", "false"):
        given["sound"] = given["sound"] == "true"
    folder = convert(args.source, output, overwrite=args.overwrite, **given)
    print(f"checkpoint: {folder}")
    return 0


def _refuse_others(args: argparse.Namespace) -> None:
    """Refuses the flags of other families beside those of language models."""
    others = (*_FAMILY_OPTIONS, "generation", "variant", "tokenizer", "dictionary")
    for name in (*others, "encoder_causal", "use_ema", "front_end"):
        if name != "allow_long" and getattr(args, name) is not None:
            raise ConfigError(f"--{name}: expected none for a language model, which has no such")


def _named_file(text: str) -> tuple[str, str]:
    """The two sides of NAME=FILE."""
    name, _, file = text.partition("=")
    if not name or not file:
        raise ConfigError(f"--dictionary: expected NAME=FILE, got {quote(text)}")
    return name, file
