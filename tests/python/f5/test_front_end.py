"""Front ends of engines: the defaults, and what a damaged engine.json may hold."""

from __future__ import annotations

from typing import Any

import pytest

from ttsrt_rt.errors import FormatError
from ttsrt_rt.f5.front_end import read_front_end
from ttsrt_rt.f5.rules import RULES
from ttsrt_rt.f5.spectra import Spectra


def description(front_end: Any) -> dict[str, Any]:
    model = {"text_vocab": 2, "sample_rate": 22050, "hop": 300, "mel_bins": 80}
    return {"model": model, "front_end": front_end}


def test_front_ends() -> None:
    made = read_front_end(
        description(
            {"tokenizer": "char", "vocab": [" ", "a"], "mel": "bigvgan", "rules": "indicf5"}
        ),
        "engine",
    )
    assert made.tokenizer is not None
    assert (made.rules, made.tokenizer.kind) == (RULES["indicf5"], "char")
    assert made.spectra == Spectra(22050, 300, "bigvgan", 80)
    assert made.tokenizer.encode("a?") == [1, 0]
    bytes_only = read_front_end(description({"tokenizer": "byte", "vocab": None}), "engine")
    assert bytes_only.tokenizer is not None
    assert bytes_only.tokenizer.encode("a") == [97]


@pytest.mark.parametrize("front_end", [None, {}, {"tokenizer": "pinyin", "vocab": None}])
def test_without_a_vocabulary(front_end: Any) -> None:
    made = read_front_end(description(front_end), "engine")
    assert (made.spectra.kind, made.rules, made.tokenizer) == ("vocos", RULES["f5"], None)


@pytest.mark.parametrize(
    ("front_end", "message"),
    [
        ([1], "front_end: expected an object"),
        ("pinyin", "front_end: expected an object"),
        ({"rules": "f6"}, "front_end.rules: expected one of f5, indicf5, got 'f6'"),
        ({"rules": ["f5"]}, "front_end.rules: expected one of"),
        ({"mel": 5}, "front_end.mel: expected one of vocos, bigvgan, got 5"),
        ({"tokenizer": "words"}, "front_end.tokenizer: expected one of pinyin, char, byte"),
        ({"vocab": 5}, "front_end.vocab: expected a list of texts"),
        ({"vocab": {"a": 1}}, "front_end.vocab: expected a list of texts"),
        ({"vocab": [1, 2]}, "front_end.vocab: expected a list of texts"),
        ({"vocab": [" "]}, "front_end.vocab: expected 2 tokens, as the model has, got 1"),
    ],
)
def test_damaged_front_ends_are_refused(front_end: Any, message: str) -> None:
    with pytest.raises(FormatError, match=f"^engine: {message}"):
        read_front_end(description(front_end), "engine")
