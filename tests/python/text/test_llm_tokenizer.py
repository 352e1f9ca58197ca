"""The tokenizers of the miniatures against `transformers`: ids, text, and the bytes of tokens."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.text import LlmTokenizer
from ttsrt_rt.text.text_stream import TextStream

from ...needs_tokenizers import tokenizers

assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
CASES = ["tiny_llama", "tiny_llama_tied", "tiny_phi"]


def golden(case: str, part: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((DATA / case / "text.json").read_text("utf-8"))[part]
    return found


def changed(**fields: Any) -> dict[str, bytes]:
    """The files of a miniature, with fields of tokenizer.json changed."""
    folder = DATA / "tiny_llama"
    whole = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    config = (folder / "tokenizer_config.json").read_bytes()
    whole = json.dumps({**whole, **fields}).encode()
    return {"tokenizer.json": whole, "tokenizer_config.json": config}


@pytest.mark.parametrize("case", CASES)
def test_ids_and_text_are_those_of_transformers(case: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / case)
    for each in golden(case, "encode"):
        assert tokenizer.encode(each["text"]) == each["ids"]
        assert tokenizer.encode(each["text"], add_special_tokens=False) == each["ids_plain"]
        assert tokenizer.decode(each["ids"]) == each["decoded"]
        assert tokenizer.decode(each["ids"], skip_special=False) == each["decoded_all"]


@pytest.mark.parametrize("case", CASES)
def test_a_stream_gives_the_same_text(case: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / case)
    for each in golden(case, "stream"):
        stream = TextStream(tokenizer, skip_special=False)
        text = ""
        for number, prefix in zip(each["ids"], each["prefixes"], strict=True):
            text += stream.feed([number])
            assert "\ufffd" not in text
            assert text.startswith(prefix.rstrip("\ufffd"))  # a whole run is marked invalid there
        assert text + stream.finish() == each["final"]


@pytest.mark.parametrize("case", CASES)
def test_special_tokens_of_strangers_stay_text(case: str) -> None:
    tokenizer = LlmTokenizer.open(DATA / case)
    end = tokenizer.special.eos_token
    assert end is not None
    number = tokenizer.token_id(end)
    text = f"stop{end}now"
    assert number in tokenizer.encode(text)
    assert number not in tokenizer.encode(text, special="never")[1:]
    assert tokenizer.decode(tokenizer.encode(text, special="never")) == text


def test_what_the_configuration_names() -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_llama")
    assert tokenizer.special.bos_token == "<s>"
    assert tokenizer.special.pad_token == "</s>"
    assert tokenizer.template is not None
    assert "<|assistant|>" in tokenizer.template
    assert (tokenizer.size, tokenizer.strips_blank) == (320, True)
    phi = LlmTokenizer.open(DATA / "tiny_phi")
    assert (phi.template, phi.size, phi.strips_blank) == (None, 320, False)
    tied = LlmTokenizer.open(DATA / "tiny_llama_tied")
    assert tied.template == (DATA / "tiny_llama_tied" / "chat_template.jinja").read_text("utf-8")


def test_ids_without_a_token_have_no_text() -> None:
    phi = LlmTokenizer.open(DATA / "tiny_phi")
    assert phi.bytes_of(351) == b""
    assert phi.decode([351]) == ""
    assert phi.bytes_of(316) == b""
    assert phi.bytes_of(316, skip_special=False) == b"<|endoftext|>"


def test_a_template_among_several() -> None:
    files = changed()
    config = {
        "chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "y"}]
    }
    files["tokenizer_config.json"] = json.dumps(config).encode()
    assert LlmTokenizer(files, "here").template == "y"
    files["chat_template.json"] = b'{"chat_template": "z"}'
    assert LlmTokenizer(files, "here").template == "z"
    files["chat_template.jinja"] = b"j"
    assert LlmTokenizer(files, "here").template == "j"
    files["special_tokens_map.json"] = b'{"eos_token": {"content": "</s>"}}'
    assert LlmTokenizer(files, "here").special.eos_token == "</s>"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, r"here: expected tokenizer\.json, got no such files"),
        ({"merges.txt": b""}, r"expected tokenizer\.json, got merges\.txt"),
    ],
)
def test_other_tokenizers_are_named(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LlmTokenizer(files, "here")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["b", "c"]]}},
            "expected a tokenizer",
        ),
        ({"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}, "expected a tokenizer"),
        (
            {"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a a a"]}},
            "expected a tokenizer",
        ),
        ({"model": {"type": "BPE", "vocab": [], "merges": 5}}, "expected a tokenizer"),
        ({"model": None}, "expected a tokenizer"),
        ({"decoder": None}, "decoder: expected ByteLevel, or pieces"),
        ({"decoder": {"type": "WordPiece", "prefix": "#", "cleanup": True}}, "decoder: expected"),
        ({"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "("}}}, "expected a tokenizer"),
    ],
)
def test_absurd_tokenizers_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=rf"here/tokenizer\.json: {message}"):
        LlmTokenizer(changed(**fields), "here")


REPLACE = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 1000}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"normalizer": {"type": "Sequence", "normalizers": [REPLACE, REPLACE]}},
            "normalizer: expected steps that make at most 1024 bytes of one, got more at step 1, "
            "Replace",
        ),
        ({"normalizer": {"type": "Prepend", "prepend": "a" * 2000}}, "normalizer: expected steps"),
        (
            {"normalizer": {"type": "Replace", "pattern": {"Regex": ""}, "content": "a" * 2000}},
            "normalizer: expected steps",
        ),
        (
            {"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}] * 65}},
            "normalizer: expected",
        ),
        (
            {"decoder": {"type": "Sequence", "decoders": [REPLACE, {"type": "Fuse"}]}},
            "decoder: expected steps that make at most 64 bytes",
        ),
    ],
)
def test_steps_that_make_much_of_little_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=rf"here/tokenizer\.json: {message}"):
        LlmTokenizer(changed(**fields), "here")


def test_a_text_that_grows_is_shorter() -> None:
    tokenizer = LlmTokenizer(changed(normalizer=REPLACE), "here")
    assert len(tokenizer.encode("a")) > 100
    with pytest.raises(ConfigError, match=r"at most 33554 bytes .* make 1000 of one"):
        tokenizer.encode("a" * 33555)


def test_a_panic_of_the_package_is_an_error_of_ours() -> None:
    split = {
        "type": "Split",
        "pattern": {"Regex": "(a+)+$"},
        "behavior": "Isolated",
        "invert": False,
    }
    tokenizer = LlmTokenizer(changed(pre_tokenizer=split), "here")
    with pytest.raises(FormatError, match=r"here/tokenizer\.json: expected a tokenizer that enc"):
        tokenizer.encode("a" * 26 + "b")


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff", b'{"a": 1, "a": 2}', b"[" * 300_000])
def test_files_that_are_no_json(raw: bytes) -> None:
    with pytest.raises(FormatError, match=r"here/tokenizer\.json: expected"):
        LlmTokenizer({"tokenizer.json": raw}, "here")


def test_arguments_are_checked() -> None:
    tokenizer = LlmTokenizer.open(DATA / "tiny_phi")
    with pytest.raises(ConfigError, match="special: expected template or never"):
        tokenizer.encode("a", special="always")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="text: expected a text, got 5"):
        tokenizer.encode(5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="text: expected at most 8388608 bytes, got 8388609"):
        tokenizer.encode("a" * (8 << 20) + "b")
    with pytest.raises(ConfigError, match="ids: expected integers from 0, got -1"):
        tokenizer.decode([-1])
    with pytest.raises(ConfigError, match=r"got a lone surrogate \(U\+D800\) at character 1"):
        tokenizer.encode("a\ud800")
