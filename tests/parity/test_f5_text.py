"""Tokens and chunks of texts against F5-TTS's own: stored ones, and the original itself on random
texts where `rjieba` and `pypinyin` are installed.
"""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from tests.needs_extras import needed
from tests.parity.f5_cases import DATA, TEXTS
from ttsrt_rt.f5.rules import chunk_text
from ttsrt_rt.text.f5_tokenizer import to_tokens
from ttsrt_rt.text.segments import has_han, plain_segments

GOLDEN: dict[str, Any] = json.loads((DATA / "front_end.json").read_text("utf-8"))
LETTERS = (
    "abcXYZ019+#&._%-cC+#AT&T   \t\n\r,.!?;:'\"()"
    "\u201c\u201d\u2018\u2019\u00e9\u00f6\u00bd\u043f\u0928\u092e\u0938\u094d\u0924\u0947"
    "\u0964\u0cac\u0cc6\ud55c\u3053\u30ab\u3002\u3001\uff01\u3105\u3200\u3131\u2177\U0001f600"
)


@pytest.mark.parametrize("text", TEXTS)
def test_tokens(text: str) -> None:
    if has_han(text):
        needed("rjieba", "f5")
        needed("pypinyin", "f5")
    assert to_tokens(text) == GOLDEN["tokens"][text]


@pytest.mark.parametrize("text", TEXTS)
def test_chunks(text: str) -> None:
    assert chunk_text(text, 24) == GOLDEN["chunks"][text]


def test_segments_without_han_are_those_of_jieba() -> None:
    rjieba = needed("rjieba", "f5")
    source = random.Random(5)
    for _ in range(20_000):
        text = "".join(source.choices(LETTERS, k=source.randint(1, 14)))
        assert list(plain_segments(text)) == rjieba.cut(text), text
