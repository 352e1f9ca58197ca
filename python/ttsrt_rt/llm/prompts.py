"""Prompts of a file: lines of text, or lines of JSON with a prompt, messages or ids each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.llm.options import GenerationFields, bias_of_json
from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    from ttsrt_rt.llm.chat import AddBos, Message
    from ttsrt_rt.llm.text_model import Prompt

__all__ = ["PromptLine", "prompt_of", "read_prompts"]

MAX_LINE = 16 << 20
MAX_LINES = 1 << 20
_FORMS = ("prompt", "messages", "ids")


@dataclass(frozen=True)
class PromptLine:
    """One prompt.

    Attributes:
        text: the prompt, or None.
        messages: a conversation, or None.
        ids: ids of the model, or None.
        name: its `id`, which comes back with the result.
        kind: what kind of prompt it is, for tables.
        fields: options of its own, as of `Generator.generate`.
    """

    text: str | None = None
    messages: Sequence[Mapping[str, Any]] | None = None
    ids: Sequence[int] | None = None
    name: Any = None
    kind: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)

    def options(self) -> dict[str, Any]:
        """Returns its options, ids of `logit_bias` as numbers, as JSON has no such names.

        Raises:
            ConfigError: a name of `logit_bias` is no id.
        """
        made = dict(self.fields)
        if made.get("logit_bias") is not None:
            made["logit_bias"] = bias_of_json(made["logit_bias"], "logit_bias")
        return made


class Templated(Protocol):
    """What makes ids of conversations: a `Generator`, or an `HfGenerator`."""

    def chat_prompt(
        self, messages: Sequence[Message], *, add_bos: AddBos = ..., safe: bool = ...
    ) -> list[int]:
        """As `Generator.chat_prompt`."""


def prompt_of(
    line: PromptLine, generator: Templated, add_bos: AddBos = "template", *, safe: bool = False
) -> Prompt:
    """Returns what `Generator.generate` takes for a prompt.

    Args:
        line: the prompt.
        generator: the model.
        add_bos, safe: of conversations, as of `Generator.chat`.

    Raises:
        ConfigError: a conversation for a model without a chat template, or one that it refuses.
    """
    if line.messages is not None:
        return generator.chat_prompt(line.messages, add_bos=add_bos, safe=safe)
    if line.ids is not None:
        return list(line.ids)
    return line.text or ""


def read_prompts(lines: Iterable[bytes], where: str, *, is_json: bool) -> list[PromptLine]:
    """Reads the prompts of a file; empty lines are left out.

    Args:
        lines: of the file.
        where: names it in messages.
        is_json: whether a line is an object with one of `prompt`, `messages` and `ids`, perhaps
            `id` and `kind`, and options of `Generator.generate`. Otherwise it is a text, in which
            `\\n` stands for the end of a line and `\\\\` for a backslash.

    Raises:
        ConfigError: a name is unknown, or there is no prompt at all.
        FormatError: a line is too long, or not UTF-8, or not JSON.
    """
    found: list[PromptLine] = []
    for number, raw in enumerate(lines, 1):
        at = f"{where}: line {number}"
        if len(raw) > MAX_LINE or number > MAX_LINES:
            raise FormatError(
                f"{at}: expected at most {MAX_LINES} lines of {MAX_LINE} bytes, got more"
            )
        data = raw.strip()
        if data:
            found.append(_object(data, at) if is_json else PromptLine(text=_text(data, at)))
    if not found:
        raise ConfigError(f"{where}: expected at least one prompt, got none")
    return found


def _text(data: bytes, at: str) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{at}: expected text in UTF-8, got other bytes at {error.start}"
        ) from error
    parts = text.split("\\\\")
    return "\\".join(part.replace("\\n", "\n") for part in parts)


def _object(data: bytes, at: str) -> PromptLine:
    values = parse_json(data, at)
    if not isinstance(values, dict):
        raise ConfigError(f"{at}: expected an object, got {show(values)}")
    options = {name: value for name, value in values.items() if name in _known()}
    unknown = values.keys() - options.keys() - {*_FORMS, "id", "kind"}
    if unknown:
        raise ConfigError(
            f"{at}: expected the names {', '.join((*_FORMS, 'id', 'kind', *_known()))}, got "
            f"{show(min(unknown))}"
        )
    forms = [name for name in _FORMS if name in values]
    if len(forms) != 1:
        raise ConfigError(
            f"{at}: expected one of prompt, messages and ids, got {', '.join(forms) or 'none'}"
        )
    prompt, ids = values.get("prompt"), values.get("ids")
    if "prompt" in values and not isinstance(prompt, str):
        raise ConfigError(f"{at}: prompt: expected a text, got {show(prompt)}")
    name = values.get("id")
    if not isinstance(name, (str, int, type(None))) or isinstance(name, bool):
        raise ConfigError(f"{at}: id: expected a text or an integer, got {show(name)}")
    if "ids" in values and not (isinstance(ids, list) and all(type(i) is int for i in ids)):
        raise ConfigError(f"{at}: ids: expected a list of integers, got {show(ids)}")
    return PromptLine(
        text=prompt,
        messages=values.get("messages"),
        ids=ids,
        name=name,
        kind=str(values.get("kind", ""))[:64],
        fields=options,
    )


def _known() -> tuple[str, ...]:
    return tuple(GenerationFields.__annotations__)
