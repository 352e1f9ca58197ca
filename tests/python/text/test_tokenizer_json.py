"""Tokenizers of older files: `vocab.json` with `merges.txt`, and `tokenizer.model`."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import pytest

from tests.needs_llm import tokenizers
from ttsrt_rt.convert.llm_front_end import eos_of_tokenizer
from ttsrt_rt.errors import FormatError
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer
from ttsrt_rt.tokenizer_json import tokenizer_json_of

assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
TEXTS = [
    "The river is wide.",
    " leading and trailing  spaces ",
    "tabs\tand\nlines\n\n",
    "na\u00efve caf\u00e9 \u2014 \U0001f6a3",
    "\u6cb3\u3068\u8239\u3002",
    "a<|endoftext|>b    c   d  e</s>f",
    "",
]


def older_files(case: str) -> dict[str, bytes]:
    """The files that a tokenizer.json replaces."""
    folder = DATA / case
    whole = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocab = whole["model"]["vocab"]
    merges = [
        each if isinstance(each, list) else each.split(" ") for each in whole["model"]["merges"]
    ]
    added = {each["content"]: each["id"] for each in whole["added_tokens"]}
    files = {
        "vocab.json": {name: vocab[name] for name in vocab if name not in added},
        "added_tokens.json": added,
    }
    lines = ["#version: 0.2", *(" ".join(each) for each in merges), ""]
    return {
        **{name: json.dumps(value).encode() for name, value in files.items()},
        "merges.txt": "\n".join(lines).encode(),
        "tokenizer_config.json": (folder / "tokenizer_config.json").read_bytes(),
    }


def test_vocabulary_and_merges_are_what_tokenizer_json_is() -> None:
    made, original = (
        LlmTokenizer(older_files("tiny_phi"), "x"),
        LlmTokenizer.open(DATA / "tiny_phi"),
    )
    assert made.size == original.size
    for text in TEXTS:
        ids = original.encode(text)
        assert made.encode(text) == ids
        assert made.encode(text, special="never") == original.encode(text, special="never")
        assert made.decode(ids) == original.decode(ids)
        assert [made.bytes_of(each) for each in ids] == [original.bytes_of(each) for each in ids]
    assert made.special == original.special


def varint(value: int) -> bytes:
    made = b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


def field(number: int, value: bytes | int | float) -> bytes:
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    return varint(number << 3) + varint(value)


def model_of(pieces: list[tuple[str, float, int]], **options: int) -> bytes:
    """A `tokenizer.model`, BPE with byte fallback as Llama's."""
    told = b"".join(
        field(1, field(1, text.encode()) + field(2, score) + field(3, kind))
        for text, score, kind in pieces
    )
    trainer = field(3, options.get("kind", 2)) + field(35, 1)
    normalizer = field(1, b"identity") + field(3, 1) + field(4, options.get("drops", 0))
    return told + field(2, trainer) + field(3, normalizer)


def scored(score: bytes) -> bytes:
    """A `tokenizer.model` of one piece with such a field for its score."""
    return field(1, field(1, b"a") + score) + field(2, field(3, 2)) + field(3, field(4, 0))


def llama_pieces() -> list[tuple[str, float, int]]:
    """The miniature's vocabulary, with the scores that its merges stand for."""
    whole = json.loads((DATA / "tiny_llama" / "tokenizer.json").read_text("utf-8"))
    vocab = whole["model"]["vocab"]
    rank: dict[str, int] = {}
    for each in whole["model"]["merges"]:
        left, right = each if isinstance(each, list) else each.split(" ")
        rank.setdefault(left + right, len(rank))
    pieces = []
    for text in sorted(vocab, key=lambda each: vocab[each]):
        kind = 6 if text.startswith("<0x") else 1
        kind = {"<unk>": 2, "<s>": 3, "</s>": 3}.get(text, kind)
        pieces.append((text, -float(rank.get(text, len(rank))), kind))
    return pieces


def test_pieces_are_what_tokenizer_json_is() -> None:
    config = (DATA / "tiny_llama" / "tokenizer_config.json").read_bytes()
    files = {"tokenizer.model": model_of(llama_pieces()), "tokenizer_config.json": config}
    made, original = LlmTokenizer(files, "x"), LlmTokenizer.open(DATA / "tiny_llama")
    assert (made.size, made.strips_blank) == (original.size, original.strips_blank)
    for text in TEXTS:
        ids = original.encode(text)
        assert made.encode(text) == ids
        assert made.decode(ids) == original.decode(ids)
        assert [made.bytes_of(each) for each in ids] == [original.bytes_of(each) for each in ids]


@pytest.mark.skipif(
    "TTSRT_GOLDEN" not in os.environ, reason="needs TTSRT_GOLDEN: a tokenizer.model"
)
def test_the_golden_model_of_sentencepiece() -> None:
    folder = Path(os.environ["TTSRT_GOLDEN"]) / "llm" / "spm"
    tokenizer = LlmTokenizer.open(folder)
    for each in json.loads((folder / "text.json").read_text("utf-8")):
        ids = tokenizer.encode(each["text"], special="never", add_special_tokens=False)
        assert ids == each["ids"]
        assert tokenizer.decode(each["ids"]) == each["decoded"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"tokenizer.model": b""}, "expected pieces"),
        ({"tokenizer.model": b"\x0a\xff"}, "tokenizer.model: expected"),
        ({"tokenizer.model": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"}, "at most 10"),
        ({"tokenizer.model": b"\x0b"}, "known type"),
        ({"tokenizer.model": model_of([("a", 0.0, 1)], kind=1)}, "BPE"),
        ({"tokenizer.model": model_of([("a", 0.0, 1)], drops=1)}, "keeps all blanks"),
        ({"tokenizer.model": model_of([("a", 0.0, 1)])}, "one piece for unknown"),
        ({"tokenizer.model": model_of([("a", 0.0, 1), ("a", 0.0, 1)])}, "each piece once"),
        ({"tokenizer.model": model_of([("a", 0.0, 9)])}, "expected a kind"),
        ({"tokenizer.model": model_of([("a" * 2000, 0.0, 1)])}, "at most 1024 bytes"),
        ({"tokenizer.model": scored(varint(2 << 3) + varint(1 << 40))}, "score: expected a field"),
        ({"tokenizer.model": scored(varint(2 << 3 | 1) + b"\xff" * 8)}, "score: expected a field"),
        ({"tokenizer.model": scored(field(2, float("nan")))}, "score: expected a finite number"),
        ({"tokenizer.model": scored(field(2, float("-inf")))}, "score: expected a finite number"),
        (
            {
                "tokenizer.model": model_of(
                    [("?", 0.0, 2), *(("a" * size, 0.0, 1) for size in range(1, 1020))]
                )
            },
            "squares of lengths",
        ),
        ({"vocab.json": b"[]", "merges.txt": b""}, "vocab.json: expected an object"),
        ({"vocab.json": b'{"a": -1}', "merges.txt": b""}, "expected an id"),
        ({"vocab.json": b'{"a": 0, "b": 0}', "merges.txt": b""}, "each id once"),
        ({"vocab.json": b'{"a": 0, "b": 1}', "merges.txt": b"a b"}, "line 1: expected two tokens"),
        ({"vocab.json": b'{"a": 0}', "merges.txt": b"\xff"}, "UTF-8"),
    ],
)
def test_damaged_files_are_named(files: dict[str, bytes], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        tokenizer_json_of(files, "x")


def test_without_such_files_there_is_nothing_to_make() -> None:
    files: dict[str, Any] = {"vocab.json": b"{}"}
    assert tokenizer_json_of(files, "x") is None


@pytest.mark.parametrize("config", [{}, {"eos_token": None}, {"eos_token": 5}])
def test_the_end_of_the_map_of_special_tokens_counts(config: dict[str, Any]) -> None:
    tokenizer = (DATA / "tiny_llama" / "tokenizer.json").read_bytes()
    files = {
        "tokenizer.json": tokenizer,
        "tokenizer_config.json": json.dumps(config).encode(),
        "special_tokens_map.json": b'{"eos_token": {"content": "<s>"}}',
    }
    made = LlmTokenizer(files, "x")
    assert made.special.eos_token == "<s>"
    assert eos_of_tokenizer(files, "x") == made.token_id("<s>") == 1
    files["tokenizer_config.json"] = b'{"eos_token": "</s>"}'
    assert eos_of_tokenizer(files, "x") == LlmTokenizer(files, "x").token_id("</s>") == 2
