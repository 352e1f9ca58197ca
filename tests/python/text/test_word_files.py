"""Words as JSON, SRT and WebVTT."""

from __future__ import annotations

import json

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.word_files import word_format, words_as
from ttsrt_rt.text.words import Word

WORDS = [Word("H\u00e9", 0, 2, 0.0, 0.4567), Word("a<b&c-->d", 3, 12, 3661.5, 3661.5)]


def test_json() -> None:
    made = json.loads(words_as("json", "H\u00e9 a<b&c-->d", WORDS))
    assert made["text"] == "H\u00e9 a<b&c-->d"
    assert made["words"][0] == {
        "text": "H\u00e9", "begin": 0, "end": 2, "start_seconds": 0.0, "end_seconds": 0.4567,
    }  # fmt: skip


def test_srt() -> None:
    assert words_as("srt", "", WORDS) == (
        "1\n00:00:00,000 --> 00:00:00,457\nH\u00e9\n\n2\n01:01:01,500 --> 01:01:01,501\na<b&c->d\n"
    )


def test_vtt() -> None:
    assert words_as("vtt", "", WORDS) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.457\nH\u00e9\n\n"
        "01:01:01.500 --> 01:01:01.501\na&lt;b&amp;c--&gt;d\n"
    )
    assert words_as("vtt", "", []) == "WEBVTT\n"


def test_formats() -> None:
    assert word_format("a/b.SRT", "--timestamps") == "srt"
    with pytest.raises(
        ConfigError, match=r"--timestamps: expected a name that ends in .json, .srt"
    ):
        word_format("b.txt", "--timestamps")
