"""Without the package `tokenizers`, the error says how to get it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text import T3Tokenizer


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match=r"pip install tokenizers$"):
        T3Tokenizer.open(tmp_path, "english")
