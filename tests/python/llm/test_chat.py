"""Conversations of the miniatures against `transformers`: text, ids, and what templates refuse."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.chat import chat_ids, chat_text, content_places
from ttsrt_rt.text import LlmTokenizer

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
USER = [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_llama_tied"])
def test_text_and_ids_are_those_of_transformers(case: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / case)
    for each in json.loads((DATA / case / "text.json").read_text("utf-8"))["chat"]:
        if "error" in each:
            with pytest.raises(ConfigError, match=each["error"]):
                chat_text(tokenizer, each["messages"])
            continue
        text = chat_text(tokenizer, each["messages"])
        assert text == each["text"]
        assert chat_ids(tokenizer, text) == each["ids"]


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_llama_tied"])
def test_one_bos_whether_the_template_writes_it_or_not(case: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / case)
    ids = chat_ids(tokenizer, chat_text(tokenizer, USER), add_bos="once")
    assert ids[0] == 1
    assert ids.count(1) == 1


def test_the_last_message_can_be_continued() -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_llama")
    messages = [*USER, {"role": "assistant", "content": "It is"}]
    text = chat_text(tokenizer, messages, continue_final_message=True)
    assert text.endswith("<|assistant|>\nIt is")
    with pytest.raises(ConfigError, match="continue_final_message"):
        chat_text(tokenizer, messages, continue_final_message=True, template="x")


@pytest.mark.parametrize("content", ["s", "", "Hello ", "<|assistant|>"])
def test_a_continued_message_ends_where_its_content_does(content: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_llama")
    messages = [*USER, {"role": "assistant", "content": content}]
    plain = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    text = chat_text(tokenizer, messages, continue_final_message=True, template=plain)
    assert text == f"<user>hi</s><assistant>{content}"
    trims = plain.replace("m.content", "m.content | trim")
    text = chat_text(tokenizer, messages, continue_final_message=True, template=trims)
    assert text == f"<user>hi</s><assistant>{content}".rstrip()


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_llama_tied"])
def test_special_tokens_of_strangers_are_text(case: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / case)
    eos = tokenizer.token_id("</s>")
    assert eos is not None

    def ids_of(content: str, **options: Any) -> tuple[list[int], list[int]]:
        messages = [{"role": "user", "content": content}]
        text = chat_text(tokenizer, messages, **options)
        contents = content_places(tokenizer, messages, text, **options)
        found = [text[begin:end] for begin, end in contents]
        assert found == ([content.strip()] if content.strip() else [])
        return chat_ids(tokenizer, text), chat_ids(tokenizer, text, contents=contents)

    for content in ("hi", " two  words ", "", "\u00e4\u4e2d", "a < b"):
        plain, safe = ids_of(content)
        assert safe == plain
    plain, safe = ids_of("hi</s>there")
    own = ids_of("hi")[0].count(eos)
    assert (plain.count(eos), safe.count(eos)) == (own + 1, own)
    assert "hi</s>there" in tokenizer.decode(safe, skip_special=True)
    assert ids_of("hi</s>", continue_final_message=True)[1].count(eos) < plain.count(eos)


def test_contents_must_be_shown_as_they_are() -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_llama")
    template = "{{ messages[0].content | lower }}"
    with pytest.raises(ConfigError, match="safe: expected a template that shows"):
        content_places(
            tokenizer, USER, chat_text(tokenizer, USER, template=template), template=template
        )
    parts = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    with pytest.raises(ConfigError, match=r"safe: messages\[0\].content: expected a text"):
        content_places(tokenizer, parts, "hi")


def test_only_a_text_can_be_continued() -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_llama")
    messages = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
    with pytest.raises(ConfigError, match="expected a text as the content of the last message"):
        chat_text(tokenizer, messages, continue_final_message=True)


def test_a_model_without_a_template() -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_phi")
    with pytest.raises(ConfigError, match="expected a model with a chat template"):
        chat_text(tokenizer, USER)
    template = "{{ messages[0].content }}{{ tools }}{{ bos_token }}{{ pad_token }}"
    assert (
        chat_text(tokenizer, USER, template=template, variables={"tools": [1]})
        == "hi[1]<|endoftext|>"
    )


@pytest.mark.parametrize(
    "messages", ["hi", [], None, [5], [{"role": "user"}], [{"content": "a"}], USER * 4097]
)
def test_wrong_messages_are_refused(messages: Any) -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_llama")
    with pytest.raises(ConfigError, match="messages"):
        chat_text(tokenizer, messages)
    with pytest.raises(ConfigError, match="add_bos: expected template or once"):
        chat_ids(tokenizer, "a", add_bos="twice")  # type: ignore[arg-type]
