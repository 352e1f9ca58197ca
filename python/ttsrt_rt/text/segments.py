"""Cuts text into the segments that jieba cuts, for text without Han characters.

Without them, jieba's dictionary has five words, and the rest follows from two rules: letters,
digits and the signs `+#&._%-` form blocks, in which words, numbers and the signs between them are
segments; everything else is a segment of its own. So such text needs no jieba.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["has_han", "plain_segments"]

# What jieba looks up in its dictionary, and what pypinyin reads besides.
HAN = re.compile(
    "[\u3007\u3400-\u4dbf\u4e00-\u9fff\ue815-\ue864\uf900-\ufaff\U00020000-\U0002ebef"
    "\U0002f800-\U0002fa1f]"
)
PIECES = re.compile(r"[a-zA-Z0-9+#&._%\-]+|\r\n|[\s\S]")
WORDS = re.compile(r"(AT&T|[cC]#|[cC]\+\+)")
TERMS = re.compile(r"([a-zA-Z0-9]+(?:[._\-][a-zA-Z0-9]+)*%?)")


def has_han(text: str) -> bool:
    """Whether a text needs jieba and pypinyin."""
    return HAN.search(text) is not None


def plain_segments(text: str) -> Iterator[str]:
    """Yields the segments of a text without Han characters; together they are the text."""
    for piece in PIECES.findall(text):
        if len(piece) == 1 or piece == "\r\n":
            yield piece
            continue
        for index, part in enumerate(WORDS.split(piece)):
            if index % 2:
                yield part
            else:
                yield from filter(None, TERMS.split(part))
