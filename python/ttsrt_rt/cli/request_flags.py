"""Requests on the command line: a flag for each field of `Request`, and the same names in JSON.

Flags are made from the fields of `Request` and of the options in it, and from their
docstrings, so that a new field is a flag at once. `prior.lookahead` is `--prior_lookahead`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ttsrt_rt.cli.files import load_array, told_of
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    from ttsrt_rt.request import AttentionPrior, Request

__all__ = [
    "add_request_flags",
    "given_fields",
    "load_arrays",
    "make_request",
    "read_object",
    "voice_of",
]

Made = TypeVar("Made")

_GROUPS = ("prior", "maskgit", "block", "tokens", "speculation", "flow", "flow_text",
           "text_options")  # fmt: skip
# Options of a group as JSON, for messages.
_EXAMPLES = {
    "prior": '{"lookahead": 8}',
    "maskgit": '{"steps": 3}',
    "block": '{"steps": 6}',
    "speculation": '{"mode": "ngram"}',
    "tokens": '{"ignore_eos": true}',
    "flow": '{"steps": 16, "duration": 600}',
    "flow_text": '{"ref_text": "What the voice says."}',
    "text_options": '{"split": "never"}',
}
_MAX_VALUES = 4_000_000  # of one JSON object: arrays may stand in it


def add_request_flags(parser: Parser) -> None:
    """Adds a flag for each field of a request; those of arrays read files."""
    from ttsrt_rt.request import Request

    fields = parser.add_argument_group(
        "the request", "Arrays are FILE or FILE:KEY, of .npy, .npz, .safetensors or .json."
    )
    help_of = _field_docs(Request)
    for field in dataclasses.fields(Request):
        if "ArrayInput" in str(field.type):
            parser.reads(field.name)
        if field.name not in _GROUPS:
            _add_flag(fields, field.name, str(field.type), help_of.get(field.name, ""))
    fields.add_argument(
        "--prior",
        help='"default" (the checkpoint\'s), "off", or options as JSON: {"lookahead": 8}; other '
        "options are the checkpoint's, or the mode's own if the mode is another",
    )
    fields.add_argument(
        "--maskgit", help='options of a MaskGit local transformer as JSON: {"steps": 3}'
    )
    fields.add_argument("--block", help='options of block diffusion as JSON: {"steps": 6}')
    fields.add_argument(
        "--speculation", help='how ids of a text are guessed, as JSON: {"mode": "ngram"}'
    )
    fields.add_argument(
        "--tokens", help='options of language models as JSON: {"logit_bias": {"5": -2.5}}'
    )
    fields.add_argument(
        "--flow", help='options of flow matching as JSON: {"steps": 16, "duration": 600}'
    )
    fields.add_argument(
        "--flow_text",
        help='how a model of flow matching times --text, as JSON: {"ref_text": "What it says."}',
    )
    fields.add_argument("--text_options", help='how --text is read, as JSON: {"split": "never"}')
    for name, kind in _kinds().items():
        group = parser.add_argument_group(f"options of --{name}, one by one")
        help_of = _field_docs(kind)
        for field in dataclasses.fields(kind):
            if str(field.type).startswith("Mapping"):
                continue
            text = help_of.get(field.name, "")
            _add_flag(group, f"{name}_{field.name}", str(field.type), text)


def _kinds() -> dict[str, type[Any]]:
    """The fields that hold options, and what they hold."""
    from ttsrt_rt.request import (
        AttentionPrior,
        BlockDiffusion,
        Flow,
        FlowText,
        MaskGit,
        Speculation,
        TextOptions,
        TokenOptions,
    )

    return {
        "prior": AttentionPrior,
        "maskgit": MaskGit,
        "block": BlockDiffusion,
        "speculation": Speculation,
        "tokens": TokenOptions,
        "flow": Flow,
        "flow_text": FlowText,
        "text_options": TextOptions,
    }


def _add_flag(group: argparse._ArgumentGroup, name: str, annotation: str, text: str) -> None:
    types = {part.strip() for part in annotation.split("|")} - {"None"}
    options: dict[str, Any] = {"help": text.replace("%", "%%")}
    if types == {"bool"} and "None" not in annotation and not name.startswith(_GROUPS):
        group.add_argument(f"--{name}", action="store_true", default=None, **options)
        return
    if "ArrayInput" in types:
        options["metavar"] = "FILE[:KEY]"
    elif types == {"bool"}:
        options["choices"] = ["true", "false"]
    elif types in ({"int"}, {"float"}):
        options["type"] = int if types == {"int"} else float
        options["metavar"] = "N" if types == {"int"} else "X"
    elif any(part.startswith("Sequence[int]") for part in types):
        options.update(nargs="*", type=int, metavar="N")
    group.add_argument(f"--{name}", **options)


def _field_docs(kind: type) -> dict[str, str]:
    """The texts of the section `Attributes:` of a docstring, one line each."""
    docs: dict[str, str] = {}
    name = ""
    for line in (kind.__doc__ or "").partition("Attributes:")[2].splitlines():
        begin = re.match(r" {8}(\w+): (.*)", line)
        if begin is not None:
            name = begin[1]
            docs[name] = begin[2]
        elif name and line.strip():
            docs[name] += " " + line.strip()
    return docs


def given_fields(args: argparse.Namespace) -> dict[str, Any]:
    """The fields that flags gave, as `make_request` takes them."""
    from ttsrt_rt.request import Request

    given = {
        field.name: _bool_of(getattr(args, field.name), str(field.type))
        for field in dataclasses.fields(Request)
        if getattr(args, field.name) is not None
    }
    if "voice" in given:
        given["voice"] = voice_of(given["voice"])
    if "text" in given:
        given["text"] = _utf8(given["text"])
    for name, kind in _kinds().items():
        options = {
            field.name: _bool_of(getattr(args, f"{name}_{field.name}"), str(field.type))
            for field in dataclasses.fields(kind)
            if getattr(args, f"{name}_{field.name}", None) is not None
        }
        text = given.get(name)
        if text is not None and not (name == "prior" and text in ("default", "off")):
            given[name] = _options_of(name, text)
        if options:
            if given.get(name) == "off":
                raise ConfigError(f"--prior: expected no --prior_{next(iter(options))} beside off")
            base = given.get(name)
            base = base if isinstance(base, dict) else {}
            for option in options:
                if option in base:
                    raise ConfigError(
                        f"--{name}_{option}: expected it once, got it in --{name} too: "
                        f"{show(base[option])}"
                    )
            given[name] = {**base, **options}
    return given


def voice_of(text: str) -> int | str:
    """The number or the name of a voice. Names are UTF-8, whatever the locale of the terminal."""
    if re.fullmatch(r"-?[0-9]+", text):
        return int(text)
    return _utf8(text)


def _utf8(text: str) -> str:
    """An argument as UTF-8, whatever the locale of the terminal."""
    return os.fsencode(text).decode("utf-8", "surrogateescape")


def _options_of(name: str, text: str) -> dict[str, Any]:
    """The options that a flag has as JSON."""
    if text.lstrip().startswith("{"):
        return read_object(text, f"--{name}")
    words = "default, off or " if name == "prior" else ""
    raise ConfigError(
        f"--{name}: expected {words}options as JSON: {_EXAMPLES[name]}; got {show(text)}"
    )


def load_arrays(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same fields, with arrays in the place of the names of their files.

    Raises:
        ConfigError, FormatError: An array can't be read.
    """
    from ttsrt_rt.request import Request

    arrays = {
        field.name for field in dataclasses.fields(Request) if "ArrayInput" in str(field.type)
    }
    return {
        name: _load(name, value) if name in arrays and isinstance(value, str) else value
        for name, value in fields.items()
    }


def _load(name: str, text: str) -> Any:
    from ttsrt_rt.arrays import NEEDS_FRONT_END

    if name in ("text_ids", "context_text_ids") and _is_sentence(text):
        raise ConfigError(f"{name}: expected FILE or FILE:KEY, got text. {NEEDS_FRONT_END}")
    return load_array(text)


def _is_sentence(text: str) -> bool:
    """Whether this is no name of a file: without an ending, and nothing of this name is there."""
    has_ending = re.search(r"\.[A-Za-z]+(?::[^/]*)?$", text.rstrip())
    return bool(text.strip()) and has_ending is None and not os.path.exists(text)


def make_request(fields: Mapping[str, Any]) -> Request:
    """A request of named fields, as flags or a line of JSON give them.

    Args:
        fields: Values by the names of `Request`. An array may be FILE or FILE:KEY, `prior`,
            `maskgit`, `block`, `tokens`, `speculation`, `flow`, `flow_text` and `text_options`
            mappings of their options; `prior` may also be "off" or None. A `lexicon` may be the
            name of a file, and ids in `logit_bias` texts, as JSON has them.

    Raises:
        ConfigError: A name is unknown, or an array can't be read.
        FormatError: A file is damaged.
    """
    from ttsrt_rt.request import Request

    values = load_arrays(fields)
    if "prior" in values:
        values["prior"] = _prior(values["prior"])
    for name in _GROUPS[1:]:
        if name not in values:
            continue
        if not isinstance(values[name], dict):
            raise ConfigError(f"{name}: expected options, got {show(values[name])}")
        if isinstance(values[name].get("lexicon"), str):
            from ttsrt_rt.text.lexicon import read_lexicon

            with told_of(f"{name}.lexicon"):
                lexicon = read_lexicon(values[name]["lexicon"])
            values[name] = {**values[name], "lexicon": lexicon}
        if isinstance(biases := values[name].get("logit_bias"), dict):
            values[name] = {**values[name], "logit_bias": _by_number(biases)}
        values[name] = _make(name, _kinds()[name], values[name])
    return _make("request", Request, values)


def _by_number(biases: Mapping[Any, Any]) -> dict[Any, Any]:
    """The same with ids in place of texts that are ids."""
    return {
        int(key) if isinstance(key, str) and re.fullmatch(r"[0-9]{1,10}", key) else key: value
        for key, value in biases.items()
    }


def _prior(value: Any) -> AttentionPrior | Any:
    from ttsrt_rt.request import AttentionPrior

    if value is None or value == "off":
        return None
    if value == "default":
        return value
    if not isinstance(value, dict):
        raise ConfigError(f"prior: expected default, off or options, got {show(value)}")
    return _make("prior", AttentionPrior, value)


def read_object(text: str | bytes, where: str) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ConfigError: The text is something else.
    """
    raw = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    try:
        values = parse_json(raw, where, max_values=_MAX_VALUES)
    except FormatError as error:
        told = str(error).replace("expected JSON", "expected a JSON object", 1)
        raise ConfigError(told) from error
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: expected a JSON object, got {_kind(values)}: {show(values)}")
    return values


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a text", bool: "a bool", int: "a number", float: "a number"}
    return names.get(type(value), "null")


def _make(what: str, kind: Callable[..., Made], values: Mapping[str, Any]) -> Made:
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    unknown = [name for name in values if name not in known]
    if unknown:
        raise ConfigError(
            f"{what}: expected some of {', '.join(known)}; got {', '.join(map(show, unknown[:5]))}"
        )
    return kind(**values)


def _bool_of(value: Any, annotation: str) -> Any:
    is_bool = "bool" in annotation and value in ("true", "false")
    return value == "true" if is_bool else value
