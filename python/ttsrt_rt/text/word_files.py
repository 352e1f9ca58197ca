"""Writes words and their times as JSON, SRT or WebVTT."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.words import Word

__all__ = ["WORD_FORMATS", "word_format", "words_as"]

WORD_FORMATS = ("json", "srt", "vtt")


def word_format(name: str, where: str) -> str:
    """The format that the name of a file ends in.

    Raises:
        ConfigError: There is none of this ending.
    """
    ending = Path(name).suffix.lower().removeprefix(".")
    if ending not in WORD_FORMATS:
        known = ", ".join(f".{each}" for each in WORD_FORMATS)
        raise ConfigError(f"{where}: expected a name that ends in {known}; got {name}")
    return ending


def words_as(kind: str, text: str, words: Sequence[Word]) -> str:
    """Words and their times as the text of a file; a cue of SRT and WebVTT is a word.

    Args:
        kind: "json", "srt" or "vtt".
        text: That the words are of.
        words: In order.
    """
    if kind == "json":
        return _json(text, words)
    cues = [f"{_times(word, kind)}\n{_shown(word.text, kind)}\n" for word in words]
    if kind == "srt":
        return "\n".join(f"{number}\n{cue}" for number, cue in enumerate(cues, 1))
    return "\n".join(["WEBVTT\n", *cues])


def _json(text: str, words: Sequence[Word]) -> str:
    listed = [
        {
            "text": word.text,
            "begin": word.begin,
            "end": word.end,
            "start_seconds": round(word.start_seconds, 6),
            "end_seconds": round(word.end_seconds, 6),
        }
        for word in words
    ]
    return f"{json.dumps({'text': text, 'words': listed}, ensure_ascii=False, indent=1)}\n"


def _times(word: Word, kind: str) -> str:
    """The two times of a cue, which ends after it begins."""
    start = round(word.start_seconds * 1000)
    end = max(round(word.end_seconds * 1000), start + 1)
    point = "," if kind == "srt" else "."
    return f"{_clock(start, point)} --> {_clock(end, point)}"


def _clock(milliseconds: int, point: str) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours:02}:{minute:02}:{second:02}{point}{rest:03}"


def _shown(text: str, kind: str) -> str:
    """A word on one line. WebVTT reads tags and entities, and SRT no arrow."""
    line = " ".join(text.split())
    if kind == "vtt":
        return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return line.replace("-->", "->")
