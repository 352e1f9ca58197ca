"""Languages by the names that requests give."""

from __future__ import annotations

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.languages import find_language

KNOWN = {"en": "english", "pt": "portuguese", "pt-BR": "brazilian", "zh": "mandarin"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (None, "en"),
        ("en", "en"),
        ("EN_gb", "en"),
        ("pt-br", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("pt-PT", "pt"),
        ("zh-Hans-CN", "zh"),
    ],
)
def test_names(asked: object, found: str) -> None:
    assert find_language(asked, KNOWN, "en") == found


@pytest.mark.parametrize("asked", ["", "e", "english", "eng", "-en", " en", 3, "de-DE"])
def test_other_names_are_refused(asked: object) -> None:
    with pytest.raises(ConfigError, match="language: expected one of en, pt, pt-BR, zh, got "):
        find_language(asked, KNOWN, "en")
