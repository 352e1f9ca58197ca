"""What `ttsrt say` says: its arguments, a file, or standard input as a whole or by sentences."""

from __future__ import annotations

import argparse
import functools
import os
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from ttsrt_rt.cli.files import told_of
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.checks import MAX_TEXT_BYTES

__all__ = ["sentences_of", "spaced", "texts_of"]

_MAX_LINE = 1 << 20
# As cpp/src/text/split.cpp ends sentences: where white space follows, but not behind a title; or
# behind the marks of scripts that have no spaces, and behind dandas. Closing quotes go with them.
_END = re.compile(
    "(?P<mark>[.?!])[\"'\u201d\u2019)\\]]*(?=\\s)"
    "|[\u3002\uff01\uff1f\u0964\u0965]+[\"'\u201d\u2019)\\]\u300d\u300f]*"
)
_TITLE = re.compile(
    r"(?:^|\s)(?:mr|mrs|ms|dr|prof|sr|jr|rev|gov|gen|col|lt|sgt|capt)$", re.IGNORECASE
)
_LONGEST_TITLE = 5  # with the space in front of it


def texts_of(args: argparse.Namespace) -> Iterable[str]:
    """The texts to say one after the other; one, but for `--stream_input`. They are `spaced`, but
    for markup, which has rules of its own.

    Raises:
        ConfigError: A file or standard input can't be read, is too large or no UTF-8.
    """
    if args.stream_input:
        return sentences_of(sys.stdin.buffer)
    if args.file is not None:
        from ttsrt_rt.regular_file import read_regular

        with told_of("--file"):
            data = read_regular(Path(args.file), MAX_TEXT_BYTES)
        text = _text(data, f"--file: {args.file}")
        return [_said(text, args, f"--file: {args.file}")]
    if args.text == ["-"]:
        data = sys.stdin.buffer.read(MAX_TEXT_BYTES + 1)
        if len(data) > MAX_TEXT_BYTES:
            raise ConfigError(f"standard input: expected at most {MAX_TEXT_BYTES} bytes, got more")
        return [_said(_text(data, "standard input"), args, "standard input")]
    given = os.fsencode(" ".join(args.text))  # UTF-8, whatever the locale of the terminal
    return [_said(_text(given, "TEXT"), args, "TEXT")]


def spaced(text: str) -> str:
    """The text with one space for all white space in a row, and none around it. The tokenizers have
    no symbol for line ends and tabs, and would join the words beside them; between characters of
    scripts without spaces, a line end is nothing.
    """
    if not any(letter in text for letter in "\r\n"):
        return " ".join(text.split())
    return " ".join(_wrapped().sub("", text).split())


@functools.cache
def _wrapped() -> re.Pattern[str]:
    """A line end between characters of scripts without spaces."""
    from ttsrt_rt.text.words import ALONE

    marks = "\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f"
    return re.compile(rf"(?<=[{ALONE}{marks}])[ \t]*[\r\n]\s*(?=[{ALONE}])")


def _said(text: str, args: argparse.Namespace, where: str) -> str:
    if not text.strip():
        raise ConfigError(f"{where}: expected a text, got {'white space' if text else 'none'}")
    return text if args.ssml else spaced(text)


def sentences_of(lines: BinaryIO) -> Iterator[str]:
    """Yields sentences as soon as they are complete. An empty line and the end complete one, too.

    Raises:
        ConfigError: The lines are no UTF-8, or one is too long.
    """
    held: list[str] = []  # of the sentence that is not over; no mark in it ends one
    num_held = 0
    while line := lines.readline(_MAX_LINE + 1):
        if len(line) > _MAX_LINE:
            raise ConfigError(
                f"standard input: expected lines of at most {_MAX_LINE} bytes, got a longer one"
            )
        text = _text(line, "standard input")
        begin = 0
        for end in _ends(text):
            yield from _spoken("".join([*held, text[begin:end]]))
            held.clear()
            num_held, begin = 0, end
        held.append(text[begin:])
        num_held += len(text) - begin
        if not text.strip() or num_held > _MAX_LINE:
            yield from _spoken("".join(held))
            held.clear()
            num_held = 0
    yield from _spoken("".join(held))


def _ends(line: str) -> Iterator[int]:
    """Where sentences end in a line, whose end is white space."""
    for found in _END.finditer(line):
        at = found.start()
        if found["mark"] != "." or not _TITLE.search(line[max(0, at - _LONGEST_TITLE) : at]):
            yield found.end()


def _spoken(text: str) -> Iterator[str]:
    """A text that has letters or digits; marks alone have no sound."""
    if any(letter.isalnum() for letter in text):
        yield spaced(text)


def _text(data: bytes, where: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{where}: expected text in UTF-8, got other bytes at {error.start}"
        ) from error
