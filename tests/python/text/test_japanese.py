"""Japanese against the original: kana and pitch of given words, and whole with an analyser."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.text_files import TextFiles
from ttsrt_rt.convert.text_kinds import describe_tokenizer
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.japanese import JapaneseTokenizer, pitches

from ...needs_extras import needed

DATA = Path(__file__).resolve().parents[2] / "data" / "text"
ENTRY: dict[str, Any] = json.loads((DATA / "refs.json").read_text("utf-8"))["japanese"]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    g2p = {"_target_": "JapaneseKatakanaAccentG2p", **ENTRY["g2p"]}
    config = {"_target_": "JapanesePhonemeTokenizer", **ENTRY["options"], "g2p": g2p}
    return describe_tokenizer("ja", config, "ja", None, TextFiles(None))


@pytest.mark.parametrize("case", ENTRY["cases"], ids=lambda case: case["text"][:8])
def test_ids_of_words(case: dict[str, Any], description: dict[str, Any]) -> None:
    made = JapaneseTokenizer(description, 0).encode_words(case["words"])
    assert [*made.ids] == case["ids"]


@pytest.mark.parametrize("case", ENTRY["cases"], ids=lambda case: case["text"][:8])
def test_ids_of_texts(
    case: dict[str, Any], description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an analyser that gives the recorded words."""
    seen: list[str] = []
    analyser = types.ModuleType("pyopenjtalk")
    analyser.run_frontend = lambda text: [seen.append(text), *case["words"]][1:]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyopenjtalk", analyser)
    made = JapaneseTokenizer(description, 7).encode(case["text"])
    assert [each - 7 for each in made.ids] == case["ids"]
    assert made.spans is not None and len(made.spans) == len(made.ids)
    assert all(0 <= begin <= end <= len(case["text"]) for begin, end in made.spans)
    assert seen == ["".join(case["text"].split()).lower().upper()]


def test_spans_are_of_words(description: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    noun, particle = "\u540d\u8a5e", "\u52a9\u8a5e"
    words = [
        {"string": "\u6843", "pron": "\u30e2\u30e2", "mora_size": 2, "chain_flag": 0, "pos": noun},
        {"string": "\u3082", "pron": "\u30e2", "mora_size": 1, "chain_flag": 1, "pos": particle},
    ]
    analyser = types.ModuleType("pyopenjtalk")
    analyser.run_frontend = lambda text: words  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyopenjtalk", analyser)
    made = JapaneseTokenizer(description, 0).encode(" \u6843 \u3082")
    assert made.spans == [(0, 0), *[(1, 2)] * 4, *[(3, 4)] * 2, (4, 4)]


def words_of(*strings: str) -> Any:
    """An analyser that gives these words, each read as it is written."""
    noun = "\u540d\u8a5e"
    words = [
        {"string": each, "pron": each, "mora_size": 1, "chain_flag": 0, "pos": noun}
        for each in strings
    ]
    analyser = types.ModuleType("pyopenjtalk")
    analyser.run_frontend = lambda text: words  # type: ignore[attr-defined]
    return analyser


def test_half_width_kana_have_their_place(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyopenjtalk", words_of("\u30ac", "\u30d1"))
    made = JapaneseTokenizer(description, 0).encode("\uff76\uff9e \uff8a\uff9f")
    assert made.spans is not None
    assert [*map(tuple, made.spans)] == [(0, 0), *[(0, 2)] * 2, *[(3, 5)] * 2, (5, 5)]


def test_words_without_a_place_are_spoken(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyopenjtalk", words_of("\u30ac"))
    made = JapaneseTokenizer(description, 0).encode("\u25cb")
    assert made.num_spoken == 2 and not made.is_silent
    monkeypatch.setitem(sys.modules, "pyopenjtalk", words_of())
    assert JapaneseTokenizer(description, 0).encode("\u25cb").is_silent


@pytest.mark.parametrize(
    ("accent", "moras", "expected"),
    [(0, 0, ""), (0, 1, "0"), (1, 1, "1"), (0, 4, "0111"), (1, 3, "100"), (2, 4, "0100"),
     (3, 3, "011"), (9, 3, "011")],
)  # fmt: skip
def test_pitches(accent: int, moras: int, expected: str) -> None:
    assert "".join(map(str, pitches(accent, moras))) == expected


def test_the_analyser_speaks(description: dict[str, Any]) -> None:
    needed("pyopenjtalk", "ja")
    made = JapaneseTokenizer(description, 0).encode("\u3053\u3093\u306b\u3061\u306f\u3002")
    tokens = description["tokens"]
    assert "".join(tokens[each] for each in made.ids) == (
        " 0\u30b31\u30f31\u30cb1\u30c11\u30ef\u3002 "
    )


def test_a_missing_package_is_named(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyopenjtalk", None)
    with pytest.raises(ConfigError, match=r"Japanese needs the package pyopenjtalk.*extra ja"):
        JapaneseTokenizer(description, 0).encode("\u3053")
