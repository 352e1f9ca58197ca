"""Mandarin against the original: after the segmentation by golden data, and whole with jieba."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.text_files import TextFiles
from ttsrt_rt.convert.text_kinds import describe_tokenizer
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.mandarin import MandarinTokenizer

from ...needs_extras import needed

DATA = Path(__file__).resolve().parents[2] / "data" / "text"
ENTRY: dict[str, Any] = json.loads((DATA / "refs.json").read_text("utf-8"))["tokenizers"][
    "mandarin_phoneme"
]


@pytest.fixture(scope="module")
def description() -> dict[str, Any]:
    files = TextFiles(None, DATA / "golden")
    files.begin("zh", "zh")
    return describe_tokenizer("zh", ENTRY["config"], "zh", None, files)


@pytest.mark.parametrize("case", ENTRY["cases"], ids=lambda case: case["text"][:8])
def test_ids_of_pinyin(case: dict[str, Any], description: dict[str, Any]) -> None:
    assert [*MandarinTokenizer(description, 0).encode_pinyin(case["pinyin"]).ids] == case["ids"]


@pytest.mark.parametrize("case", ENTRY["cases"], ids=lambda case: case["text"][:8])
def test_ids_of_texts(case: dict[str, Any], description: dict[str, Any]) -> None:
    for module in ("jieba", "pypinyin", "pypinyin_dict"):
        needed(module, "zh")
    made = MandarinTokenizer(description, 100).encode(case["text"])
    assert [each - 100 for each in made.ids] == case["ids"]
    assert made.spans is not None and len(made.spans) == len(made.ids)
    begins = [begin for begin, _ in made.spans]
    assert begins == sorted(begins) and made.spans[-1] == (len(case["text"]),) * 2


def test_spans_are_of_characters(description: dict[str, Any]) -> None:
    needed("jieba", "zh"), needed("pypinyin_dict", "zh")
    made = MandarinTokenizer(description, 0).encode("\u4f60\u597d\u3002")
    assert made.spans is not None
    tokens = description["tokens"]
    spoken = [(tokens[each], span) for each, span in zip(made.ids, made.spans, strict=True)]
    assert [span for symbol, span in spoken if symbol.startswith("#")] == [(0, 1), (1, 2)]
    assert ("\u3002", (2, 3)) in spoken


def test_tones_and_unknown_characters_are_counted(description: dict[str, Any]) -> None:
    made = MandarinTokenizer(description, 0).encode_pinyin(["ni3", "7", "zzz1", "!"])
    assert made.dropped == {"7": 1, "zzz1": 1}
    assert not made.is_silent or made.spans


def test_an_empty_text_has_the_ids_of_the_original(description: dict[str, Any]) -> None:
    made = MandarinTokenizer(description, 0).encode_pinyin([])
    assert [description["tokens"][each] for each in made.ids] == [" ", " "]
    assert made.is_silent


def test_other_users_of_pypinyin_read_as_before(description: dict[str, Any]) -> None:
    """The original loads CC-CEDICT for the whole process; here both readings stand side by side."""
    needed("jieba", "zh"), needed("pypinyin_dict", "zh")
    pypinyin = needed("pypinyin", "zh")
    characters = "\u8bb8\u591a\u7684\u884c\u4eba\u90fd\u957f\u5927\u4e86"
    before = pypinyin.lazy_pinyin(list(characters))
    MandarinTokenizer(description, 0).encode(characters)
    assert pypinyin.lazy_pinyin(list(characters)) == before


def test_every_character_is_read_as_with_the_data_loaded() -> None:
    """Against pypinyin in a process that loads CC-CEDICT, as the original does."""
    needed("jieba", "zh"), needed("pypinyin_dict", "zh")
    from ttsrt_rt.text.mandarin import _reader

    text = "".join(map(chr, range(0x4E00, 0x9FA6)))
    script = (
        "from pypinyin import Style, lazy_pinyin\n"
        "from pypinyin_dict.pinyin_data import cc_cedict\n"
        "cc_cedict.load()\n"
        "text = ''.join(map(chr, range(0x4E00, 0x9FA6)))\n"
        "print(' '.join(p for c in text for p in lazy_pinyin(c, style=Style.TONE3,"
        " neutral_tone_with_five=True, errors=lambda x: list(x))))\n"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True,
                          text=True, check=True)  # fmt: skip
    read = _reader()
    assert [item for letter in text for item in read(letter)] == done.stdout.split()


def test_a_missing_package_is_named(
    description: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(ConfigError, match=r"Mandarin needs the package jieba.*extra zh"):
        MandarinTokenizer(description, 0).encode("\u4f60\u597d")
