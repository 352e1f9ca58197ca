"""The flags of requests to language models."""

from __future__ import annotations

import argparse
from typing import Any

from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.request_flags import given_fields
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.json_text import parse_json

__all__ = ["add_text_flags", "given_options", "is_of_text"]

_TEXT_INPUTS = ("prompt", "prompts", "chat")
_TRUE = ("include_stop", "ignore_eos")
# Flags of speech requests that language models take too, with these names.
_SHARED = (
    *("temperature", "top_k", "top_p", "min_p", "seed", "priority", "deadline"),
    *("repetition_penalty", "shared_prefix"),
)
_OWN = (
    *("max_tokens", "max_new_tokens", "min_tokens", "stop", "stop_ids", "special", "truncate"),
    *(
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "repetition_scope",
        "bad_ids",
        *_TRUE,
    ),
)

_MORE: dict[str, dict[str, Any]] = {
    "n": {
        "type": int,
        "default": 1,
        "metavar": "N",
        "help": "results of each prompt, with --seed, --seed + 1, ...; as lines of JSON if several",
    },
    "ignore_eos": {
        "action": "store_true",
        "default": None,
        "help": "take the ids that end a text for ordinary ones",
    },
    "presence_penalty": {"type": float, "metavar": "X", "help": "of ids generated before"},
    "frequency_penalty": {"type": float, "metavar": "X", "help": "of each time they were"},
    "logit_bias": {"metavar": "JSON", "help": 'added to logits: {"42": -5}'},
    "logprobs": {"type": int, "metavar": "N", "help": "of the N best ids, in results"},
    "repetition_scope": {"choices": ["all", "generated"], "help": "what --repetition_penalty sees"},
    "bad_ids": {"type": int, "nargs": "+", "metavar": "ID", "help": "ids that are never drawn"},
}


def add_text_flags(parser: Parser) -> None:
    """Adds the group of flags for language models."""
    group = parser.add_argument_group(
        "language models", "Text in, text out; beside --temperature, --top_k and their like."
    )
    inputs = group.add_mutually_exclusive_group()
    inputs.add_argument("--prompt", metavar="TEXT", help="a prompt, whose continuation is printed")
    inputs.add_argument(
        "--prompts",
        metavar="FILE",
        help="many prompts, run together: a text a line, or in a .jsonl an object a line with "
        "prompt, messages or ids, and options of its own; - for lines of standard input; results "
        "are lines of JSON",
    )
    inputs.add_argument(
        "--chat",
        action="store_true",
        help="a conversation: answers each line of standard input, by the model's chat template",
    )
    group.add_argument("--stream", action="store_true", help="print the text while it is made")
    group.add_argument(
        "--profile", action="store_true", help="show where the time went, at the end"
    )
    group.add_argument("--system", metavar="TEXT", help="what a conversation begins with")
    group.add_argument(
        "--add_bos",
        choices=["template", "once"],
        default="template",
        help="conversations: exactly what the template renders, or one leading bos",
    )
    group.add_argument(
        "--safe",
        action="store_true",
        help="conversations: special tokens that are written in messages are text",
    )
    group.add_argument("--max_tokens", type=int, metavar="N", help="ids to generate at most")
    group.add_argument("--max_new_tokens", type=int, metavar="N", help="the same")
    group.add_argument("--min_tokens", type=int, metavar="N", help="before anything ends a text")
    group.add_argument(
        "--stop", action="append", metavar="TEXT", help="text that ends it; may be given again"
    )
    group.add_argument("--stop_ids", type=int, nargs="+", metavar="ID", help="ids that end it")
    group.add_argument(
        "--include_stop", action="store_true", default=None, help="keep the text that ends it"
    )
    _add_limits(group)
    for name, options in _MORE.items():
        if f"--{name}" not in parser.flags():  # fields of requests have flags already
            group.add_argument(f"--{name}", **options)
    group.add_argument(
        "--backend",
        choices=["native", "hf"],
        default="native",
        help="hf runs --model_dir by transformers, as a baseline (extra hf)",
    )
    group.add_argument("--model_dir", metavar="DIR", help="of --backend hf: a folder of a model")
    group.add_argument(
        "--config", metavar="FILE.yaml", help="its engine, its limits and its generation"
    )
    parser.reads("prompts", "config")


def _add_limits(group: argparse._ArgumentGroup) -> None:
    """Adds what a prompt may be."""
    group.add_argument(
        "--special",
        choices=["template", "never"],
        help="whether special tokens written in a prompt are tokens (default) or text",
    )
    group.add_argument(
        "--truncate",
        choices=["error", "left", "right"],
        help="what is done with a prompt over max_input_len; default: error",
    )
    group.add_argument("--max_input_len", type=int, metavar="N", help="a lower limit of prompts")
    group.add_argument("--batch_size", type=int, metavar="N", help="another name: --max_batch_size")


def is_of_text(args: argparse.Namespace) -> bool:
    """Whether the command line is a request to a language model."""
    return any(getattr(args, name) not in (None, False) for name in _TEXT_INPUTS)


def given_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options of `Generator.generate` that were given on the command line.

    Raises:
        ConfigError: JSON of a flag is damaged, an option was given twice, or a flag is of speech.
    """
    found = {name: getattr(args, name) for name in (*_OWN, *_SHARED)}
    given = {name: value for name, value in found.items() if value is not None}
    of_request = given_fields(args)
    for name, value in of_request.pop("tokens", {}).items():
        if name in given:
            raise ConfigError(f"--tokens_{name}: expected it once, got --{name} too")
        given[name] = value
    if "speculation" in of_request:
        given["speculation"] = of_request.pop("speculation")
    for name in of_request:
        if name not in given:
            raise ConfigError(
                f"--{name}: expected none beside --prompt, --prompts and --chat, as language "
                "models have no such option"
            )
    if "logit_bias" in given:
        from ttsrt_rt.llm.options import bias_of_json

        bias = given["logit_bias"]
        if isinstance(bias, str):
            bias = parse_json(bias.encode("utf-8", "replace"), "--logit_bias")
        given["logit_bias"] = bias_of_json(bias, "--logit_bias")
    return given
