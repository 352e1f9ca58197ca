"""Turns a conversation into the text, or the ids, that a chat model reads."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Literal, TypeAlias

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.template_sandbox import render
from ttsrt_rt.quoting import show
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

__all__ = ["AddBos", "Message", "chat_ids", "chat_text", "content_places"]

Message: TypeAlias = Mapping[str, Any]
AddBos: TypeAlias = Literal["template", "once"]

MAX_MESSAGES = 4096


def chat_text(
    tokenizer: LlmTokenizer,
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool = True,
    continue_final_message: bool = False,
    template: str | None = None,
    variables: Mapping[str, Any] | None = None,
) -> str:
    """Returns the text of a conversation, by the model's chat template.

    Args:
        tokenizer: of the model.
        messages: each with `role` and `content`.
        add_generation_prompt: whether the text ends where the assistant's answer begins.
        continue_final_message: whether the last message stays open, to be continued.
        template: another template than the model's.
        variables: more variables of the template, such as `tools`. `messages` and
            `add_generation_prompt` are none of them.

    Raises:
        ConfigError: the model has no template, or the template or this function refuses the
            messages.
        FormatError: the template is damaged or asks for more than its limits allow.
    """
    source = tokenizer.template if template is None else template
    if source is None:
        raise ConfigError(
            "chat: expected a model with a chat template, got one without; write the prompt "
            "yourself and pass it to generate (Phi-2 documents 'Instruct: ...\\nOutput:')"
        )
    _check(messages)
    mark = f"{_unused_word(source, messages)} " if continue_final_message else ""
    given = {
        **{name: text or "" for name, text in asdict(tokenizer.special).items()},
        **_variables(variables),
        "messages": _marked(messages, mark) if mark else [dict(each) for each in messages],
        "add_generation_prompt": add_generation_prompt and not continue_final_message,
    }
    text = render(source, given, "chat_template")
    return _cut_at(text, mark) if mark else text


def chat_ids(
    tokenizer: LlmTokenizer,
    text: str,
    *,
    add_bos: AddBos = "template",
    bos: int | None = None,
    contents: Sequence[tuple[int, int]] = (),
) -> list[int]:
    """Returns the ids of what a template rendered: exactly that, or with one leading bos.

    Args:
        tokenizer: of the model.
        text: as `chat_text` returned it.
        add_bos: "template" adds nothing; "once" sees to it that one bos leads.
        bos: the id of the bos; None: that of the tokenizer.
        contents: parts of the text in which special tokens are text (`content_places`).

    Raises:
        ConfigError: `add_bos` is another word, or "once" for a tokenizer without a bos.
    """
    ids = tokenizer.encode_around(text, contents)
    if add_bos == "template":
        return ids
    if add_bos != "once":
        raise ConfigError(f"add_bos: expected template or once, got {show(add_bos)}")
    token = tokenizer.special.bos_token
    found = bos if bos is not None or token is None else tokenizer.token_id(token)
    if found is None:
        raise ConfigError("add_bos: expected a tokenizer with a bos_token, got one without")
    return ids if ids[:1] == [found] else [found, *ids]


def content_places(
    tokenizer: LlmTokenizer,
    messages: Sequence[Message],
    text: str,
    *,
    template: str | None = None,
    **options: Any,
) -> list[tuple[int, int]]:
    """Returns where the contents of messages are in the text that `chat_text` made of them.

    The template runs once more, on contents with marks around them.

    Args:
        tokenizer, messages, template, **options: as of `chat_text`.
        text: what it returned.

    Returns:
        Where each begins and ends, in characters, in rising order.

    Raises:
        ConfigError: a content is no text, or the template does not show contents as they are.
    """
    word = _unused_word(tokenizer.template if template is None else template, messages)
    begin, end = f"{word}BEGIN", f"{word}END"
    marked = []
    for at, each in enumerate(messages):
        content = each["content"]
        if not isinstance(content, str):
            raise ConfigError(f"safe: messages[{at}].content: expected a text, got {show(content)}")
        inner = content.strip()
        if inner:  # marks keep clear of the blanks that a template may trim
            content = content.replace(inner, f"{begin}{inner}{end}", 1)
        marked.append({**each, "content": content})
    rendered = chat_text(tokenizer, marked, template=template, **options)
    places, plain, opened = [], "", None
    for part in re.split(f"({begin}|{end})", rendered):
        if part == begin:
            opened = len(plain)
        elif part == end and opened is not None:
            places.append((opened, len(plain)))
            opened = None
        else:
            plain += part
    if opened is not None:  # a last message that is continued has no end
        places.append((opened, len(plain)))
    if plain != text:
        raise ConfigError(
            "safe: expected a template that shows the contents of messages as they are, got one "
            "that does not"
        )
    return places


def _unused_word(template: str | None, messages: Sequence[Message]) -> str:
    """Returns a word that is neither in a template nor in the messages."""
    written = (template or "") + repr([dict(each) for each in messages])
    number = 0
    while (word := f"MESSAGE-{number}-") in written:
        number += 1
    return word


def _marked(messages: Sequence[Message], mark: str) -> list[dict[str, Any]]:
    """Returns messages of which the content of the last one ends in a mark."""
    made = [dict(each) for each in messages]
    content = made[-1]["content"]
    if not isinstance(content, str):
        raise ConfigError(
            f"continue_final_message: expected a text as the content of the last message, got "
            f"{show(content)}"
        )
    made[-1]["content"] = content + mark
    return made


def _cut_at(text: str, mark: str) -> str:
    """Returns what a template wrote before the mark, and, as transformers does, without blanks at
    the end where the template trims contents."""
    at = text.rfind(mark.rstrip())
    if at < 0:
        raise ConfigError(
            "continue_final_message: expected a template that shows the content of the last "
            "message as it is, got one that does not"
        )
    return text[:at] if text.startswith(mark, at) else text[:at].rstrip()


def _check(messages: Sequence[Message]) -> None:
    if isinstance(messages, (str, bytes)) or not isinstance(messages, Sequence) or not messages:
        raise ConfigError(f"messages: expected a list of messages, got {show(messages)}")
    if len(messages) > MAX_MESSAGES:
        raise ConfigError(f"messages: expected at most {MAX_MESSAGES}, got {len(messages)}")
    for at, each in enumerate(messages):
        if not isinstance(each, Mapping) or not isinstance(each.get("role"), str):
            raise ConfigError(f"messages[{at}]: expected role and content, got {show(each)}")
        if "content" not in each:
            raise ConfigError(f"messages[{at}].content: expected a text, got nothing")


def _variables(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise ConfigError(f"variables: expected values by name, got {show(given)}")
    for name in ("messages", "add_generation_prompt"):
        if name in given:
            raise ConfigError(f"variables: expected other names than {name}, which chat sets")
    return given
