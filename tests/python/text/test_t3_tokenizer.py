"""Tokenizers of small vocabularies in the releases' file formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.text import T3Tokenizer

from ...needs_tokenizers import tokenizers

assert tokenizers is not None

MERGES = ["h e", "l l", "he ll", "hell o"]


def write_english(folder: Path, **changed: Any) -> Path:
    """Writes a tokenizer.json of the release's kind: BPE, white space, no normalizer."""
    vocab = {"[STOP]": 0, "[UNK]": 1, "[SPACE]": 2, "[START]": 255}
    letters = ["h", "e", "l", "o", "H", "w", "r", "d", ".", ",", "-", "he", "ll", "hell", "hello"]
    vocab |= {letter: 10 + index for index, letter in enumerate(letters)}
    added = [
        {"id": number, "content": token, "single_word": False, "lstrip": False, "rstrip": False,
         "normalized": False, "special": True}
        for token, number in vocab.items()
        if token.startswith("[")
    ]  # fmt: skip
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": None,
        "decoder": None,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "[UNK]",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "vocab": vocab,
            "merges": MERGES,
        },
    }
    (folder / "tokenizer.json").write_text(json.dumps({**tokenizer, **changed}))
    return folder


def write_gpt2(folder: Path, added: dict[str, int] | None = None) -> Path:
    """Writes a byte-level vocabulary: all bytes, five merges, and the tags of the release."""
    visible = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [each for each in range(256) if each not in visible]
    letters = {each: chr(each) for each in visible}
    letters |= {each: chr(256 + index) for index, each in enumerate(others)}
    vocab = {letters[each]: index for index, each in enumerate([*visible, *others])}
    for token in ("he", "ll", "hell", "hello", letters[32] + "w", "<|endoftext|>"):
        vocab[token] = len(vocab)
    merges = [*MERGES, f"{letters[32]} w"]
    (folder / "vocab.json").write_text(json.dumps(vocab))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    tags = {"[laugh]": len(vocab), "[clear throat]": len(vocab) + 1} if added is None else added
    (folder / "added_tokens.json").write_text(json.dumps(tags))
    return folder


def test_english_ids_have_spaces_and_a_frame(tmp_path: Path) -> None:
    tokenizer = T3Tokenizer.open(write_english(tmp_path), "english")
    hello = 24
    assert tokenizer.encode("hello hello.", clean=False) == [255, hello, 2, hello, 18, 0]
    assert tokenizer.encode("hello", clean=False, framed=False) == [hello]
    # Cleaned: a capital, one space, a full stop.
    cleaned = [255, 14, 11, 22, 13, 2, hello, 18, 0]
    assert tokenizer.encode("hello   hello") == cleaned
    assert T3Tokenizer.open(tmp_path, "flash").encode("hello   hello") == cleaned


def test_unknown_letters_are_one_id(tmp_path: Path) -> None:
    tokenizer = T3Tokenizer.open(write_english(tmp_path), "english")
    assert tokenizer.encode("\u65e5", clean=False) == [255, 1, 0]
    assert tokenizer.encode("\ud800", clean=False) == [255, 1, 0]


@pytest.mark.parametrize("variant", ["turbo", "nano"])
def test_gpt2_ids_have_tags_and_no_frame(variant: str, tmp_path: Path) -> None:
    tokenizer = T3Tokenizer.open(write_gpt2(tmp_path), variant)
    vocab = json.loads((tmp_path / "vocab.json").read_text())
    hello, space_w, end = vocab["hello"], vocab["\u0120w"], vocab["<|endoftext|>"]
    assert tokenizer.encode("hello w", clean=False) == [hello, space_w]
    assert tokenizer.encode("hello[laugh]", clean=False) == [hello, end + 1]
    assert tokenizer.encode("[clear throat]", clean=False) == [end + 2]
    assert tokenizer.encode("<|endoftext|>hello", clean=False) == [end, hello]
    # Bytes of UTF-8, each with its own letter.
    assert len(tokenizer.encode("\u65e5", clean=False)) == 3
    assert tokenizer.encode("Hello w") == [vocab["H"], vocab["e"], vocab["ll"], vocab["o"],
                                           space_w, vocab["."]]  # fmt: skip


def test_multilingual_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="got multilingual, whose text needs the dictionaries"):
        T3Tokenizer.open(tmp_path, "multilingual")
    with pytest.raises(ConfigError, match="expected english, flash, turbo or nano, got 'klingon'"):
        T3Tokenizer.open(tmp_path, "klingon")


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"tokenizer\.json"):
        T3Tokenizer.open(tmp_path, "english")
    with pytest.raises(NotFoundError, match=r"vocab\.json"):
        T3Tokenizer.open(tmp_path, "turbo")
    write_gpt2(tmp_path)
    (tmp_path / "added_tokens.json").unlink()
    tokenizer = T3Tokenizer.open(tmp_path, "turbo")
    assert len(tokenizer.encode("[laugh]", clean=False)) == 7


def test_damaged_files_are_named(tmp_path: Path) -> None:
    folder = write_english(tmp_path, model={"type": "BPE", "vocab": {"a": 0}, "merges": []},
                           added_tokens=[])  # fmt: skip
    with pytest.raises(FormatError, match=r"\[START\]: expected the id 255, got None"):
        T3Tokenizer.open(folder, "english")
    write_english(tmp_path, model={"type": "unknown"})
    with pytest.raises(FormatError, match=r"tokenizer\.json: expected a tokenizer, got"):
        T3Tokenizer.open(tmp_path, "english")
    (tmp_path / "tokenizer.json").write_bytes(b"\xff")
    with pytest.raises(FormatError, match=r"tokenizer\.json"):
        T3Tokenizer.open(tmp_path, "english")
    write_gpt2(tmp_path, {"[laugh]": 5000})
    with pytest.raises(FormatError, match=r"'\[laugh\]': expected the id 262, got 5000"):
        T3Tokenizer.open(tmp_path, "turbo")
    write_gpt2(tmp_path)
    for merges, words in (("h e l\n", "line 1: expected two tokens"), ("zz zz\n", "merges")):
        (tmp_path / "merges.txt").write_text(merges)
        with pytest.raises(FormatError, match=words):
            T3Tokenizer.open(tmp_path, "turbo")
    (tmp_path / "vocab.json").write_text('["a"]')
    with pytest.raises(FormatError, match=r"vocab\.json: expected tokens with their ids"):
        T3Tokenizer.open(tmp_path, "turbo")


def test_wrong_texts_are_refused(tmp_path: Path) -> None:
    tokenizer = T3Tokenizer.open(write_english(tmp_path), "english")
    for wrong in (3, None, ["hello"], "x" * (1 << 20 | 1)):
        with pytest.raises(ConfigError, match="text: expected a text of at most 1048576"):
            tokenizer.encode(wrong)  # type: ignore[arg-type]
