"""Compares the clean-up with what the original's functions returned (`chatterbox-tts` 0.1.7)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text import clean_punctuation

DATA = Path(__file__).parents[2] / "data" / "chatterbox"
CASES = json.loads((DATA / "punctuation.json").read_text())


@pytest.mark.parametrize("variant", ["english", "multilingual", "turbo"])
def test_the_originals_results(variant: str) -> None:
    for case in CASES:
        assert clean_punctuation(case["text"], variant) == case[variant], case["text"]


def test_nano_is_like_turbo_and_flash_like_english() -> None:
    for case in CASES:
        assert clean_punctuation(case["text"], "nano") == case["turbo"]
        assert clean_punctuation(case["text"], "flash") == case["english"]


def test_the_variants_differ() -> None:
    assert clean_punctuation("a - b; c... d") == "A, b,  c,  d."
    assert clean_punctuation("a - b; c... d", "turbo") == "A - b; c... d."


def test_wrong_arguments_are_refused() -> None:
    with pytest.raises(ConfigError, match="variant: expected one of english, multilingual"):
        clean_punctuation("a", "klingon")
    with pytest.raises(ConfigError, match="text: expected a text, got 3"):
        clean_punctuation(3)  # type: ignore[arg-type]
