"""Text front ends as Python sees those of the C++ core. tests/cpp/text has the original's rules."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt import _core

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data" / "text"
GOLDEN: dict[str, Any] = json.loads((DATA / "refs.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def front_end() -> _core.TextFrontEnd:
    return _core.TextFrontEnd.open(DATA / "golden")


def names() -> list[str]:
    description = json.loads((DATA / "golden" / "front_end.json").read_text("utf-8"))
    return [of["name"] for of in description["tokenizers"]]


@pytest.mark.parametrize("name", names())
def test_ids_are_those_of_the_original(front_end: _core.TextFrontEnd, name: str) -> None:
    original = GOLDEN["tokenizers"][name]
    info = next(of for of in front_end.tokenizers() if of.name == name)
    assert info.size == original["size"]
    assert front_end.tokens(name) == original.get("tokens", front_end.tokens(name))
    for case in original["cases"]:
        if info.kind == "mandarin":
            with pytest.raises(rt.ConfigError, match="needs Python's front end"):
                front_end.encode(case["text"], name)
        elif "original_raises" in case:
            with pytest.raises(rt.ConfigError, match="no speakable symbol"):
                front_end.encode(case["text"], name)
        else:
            encoded = front_end.encode(case["text"], name, special_text=True)
            assert (encoded.ids - info.offset).tolist() == case["ids"], case["text"]
            assert encoded.ids.dtype == np.int32
            assert encoded.spans.shape == (len(case["ids"]), 2)
            assert np.all(encoded.spans[:, 0] <= encoded.spans[:, 1])
            assert np.all(encoded.spans <= len(case["text"]))


def test_a_front_end_says_what_it_is(front_end: _core.TextFrontEnd) -> None:
    assert front_end.default_language == "en"
    assert front_end.languages()[1].to_dict() == {"language": "de", "tokenizer": "german_phoneme"}
    assert front_end.text_bos == front_end.size
    assert front_end.text_eos == front_end.size + 1
    assert front_end.resolve("pt_br").tokenizer == "portuguese_Brazilian_phoneme"
    assert front_end.resolve().language == "en"
    assert "languages: ar-MSA, de, en" in repr(front_end)
    with pytest.raises(rt.ConfigError, match="expected one of ar-MSA, de"):
        front_end.resolve("xx")


def test_parts_lexicon_and_places(front_end: _core.TextFrontEnd) -> None:
    parts = [
        _core.TextPart("in "),
        _core.TextPart("\u026a z", is_phonemes=True, begin=10),
        _core.TextPart(" b", spans=[[20, 21], [21, 25]]),
    ]
    encoded = front_end.encode(parts, "english_phoneme", lexicon=[_core.LexiconEntry("In", "z")])
    tokens = front_end.tokens("english_phoneme")
    assert "".join(tokens[i] for i in encoded.ids) == "z \u026az B"
    assert encoded.spans.tolist() == [[0, 2], [2, 3], [10, 11], [12, 13], [20, 21], [21, 25]]
    assert "begin=10" in repr(parts[1])


def test_dropped_characters(front_end: _core.TextFrontEnd) -> None:
    assert front_end.encode("a🙂\t🙂", "english_phoneme").dropped == {"🙂": 2, "\t": 1}
    with pytest.raises(rt.ConfigError, match=r"speaks U\+1F642 \"🙂\""):
        front_end.encode("a🙂", "english_phoneme", strict=True)


def test_chunks(front_end: _core.TextFrontEnd) -> None:
    text = "Hello world. " * 30
    chunks = front_end.encode_chunks(text)
    assert len(chunks.lengths) == 30
    assert chunks.lengths.sum() == len(chunks.ids) == len(chunks.spans)
    assert chunks.pieces[1].text == "Hello world."
    assert text[chunks.pieces[1].begin : chunks.pieces[1].end] == "Hello world."
    assert len(front_end.encode_chunks(text, split="never").lengths) == 1
    assert front_end.count(text) == 60
    assert front_end.threshold("de") == 50
    assert [piece.text for piece in front_end.split("a. b", mode="sentences")] == ["A.", "B"]
    with pytest.raises(rt.ConfigError, match="expected auto, never, sentences or phrases"):
        front_end.split("a", mode="words")  # type: ignore[arg-type]
    with pytest.raises(rt.ConfigError, match="no speakable symbol"):
        front_end.encode_chunks("\u200b🙂")


def test_wrong_values_are_named(front_end: _core.TextFrontEnd) -> None:
    with pytest.raises(rt.ConfigError, match="text: character 2 is an unpaired surrogate"):
        front_end.encode("ab\ud83d", "english_phoneme")
    with pytest.raises(rt.ConfigError, match="text: expected a string, got 3"):
        front_end.encode_chunks(3)  # type: ignore[arg-type]
    with pytest.raises(rt.ConfigError, match="parts: expected a list, each TextPart"):
        front_end.encode([3], "english_phoneme")  # type: ignore[list-item]
    with pytest.raises(rt.ConfigError, match="strict: expected True or False"):
        front_end.encode("a", "english_phoneme", strict=1)  # type: ignore[arg-type]
    with pytest.raises(rt.ConfigError, match="lexicon: expected a list, each LexiconEntry"):
        front_end.encode("a", "english_phoneme", lexicon=[("a", "b")])  # type: ignore[list-item]
    with pytest.raises(rt.ConfigError, match="spans: expected begin and end in each row"):
        _core.TextPart("a", spans=[[1, 2, 3]])
    with pytest.raises(rt.ConfigError, match=r"Engine\.front_end or TextFrontEnd\.open"):
        _core.TextFrontEnd()


def test_broken_folders_are_named(tmp_path: Path) -> None:
    assert _core.TextFrontEnd.find(tmp_path) is None
    folder = tmp_path / "text"
    shutil.copytree(DATA / "golden", folder)
    assert _core.TextFrontEnd.find(tmp_path) is not None
    (folder / "de.dict").write_bytes(b"Weg  a\nweg\n")
    with pytest.raises(rt.FormatError, match=r"de\.dict:2: expected a word and its pronunciation"):
        _core.TextFrontEnd.find(tmp_path)
    (folder / "front_end.json").write_text('{"kind": "t3"}')
    assert _core.TextFrontEnd.find(tmp_path) is None
    with pytest.raises(rt.FormatError, match=r"front_end\.json"):
        _core.TextFrontEnd.open(folder)


@pytest.mark.skipif(unicodedata.unidata_version != "14.0.0", reason="needs a Python of Unicode 14")
def test_the_unicode_tables_are_those_of_python() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_unicode_tables.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
