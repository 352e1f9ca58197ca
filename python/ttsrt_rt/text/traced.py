"""A text that is rewritten, while every character remembers where it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ttsrt_rt.text.tokens import Span

__all__ = ["Traced"]


class Traced:
    """A text and, for each of its characters, a span in the text that it was made of. Immutable."""

    def __init__(self, text: str, spans: Sequence[Span] | Any = None) -> None:
        """Keeps a text.

        Args:
            text: the text.
            spans: of its characters, as pairs or as an array [characters, 2]; without them, it is
                the text that it is made of.
        """
        self.text = text
        self.is_original = spans is None
        self._given = spans

    @cached_property
    def spans(self) -> Sequence[Span]:
        """Where each character comes from."""
        if self.is_original:
            return [(each, each + 1) for each in range(len(self.text))]
        spans: Sequence[Span] = self._given
        return spans

    def __getitem__(self, part: slice) -> Traced:
        return Traced(self.text[part], self.spans[part])

    def __add__(self, other: Traced) -> Traced:
        return Traced(self.text + other.text, [*self.spans, *other.spans])

    def replace(self, old: str, new: str) -> Traced:
        """As `str.replace`: characters of `new` come from all that was replaced."""
        at = self.text.find(old)
        if at < 0:
            return self
        parts: list[str] = []
        spans: list[Span] = []
        done = 0
        while at >= 0:
            end = at + len(old)
            parts += [self.text[done:at], new]
            spans += self.spans[done:at]
            spans += [(self.spans[at][0], self.spans[end - 1][1])] * len(new)
            done = end
            at = self.text.find(old, done)
        return Traced("".join([*parts, self.text[done:]]), [*spans, *self.spans[done:]])

    def with_first(self, letters: str) -> Traced:
        """With other letters in the place of the first one."""
        return Traced(letters + self.text[1:], [self.spans[0]] * len(letters) + [*self.spans[1:]])

    def collapsed(self) -> Traced:
        """With one space for every run of white space, and none at the ends."""
        letters: list[str] = []
        spans: list[Span] = []
        gap: Span | None = None
        for letter, span in zip(self.text, self.spans, strict=True):
            if letter.isspace():
                gap = span if gap is None else (gap[0], span[1])
                continue
            if gap is not None and letters:
                letters.append(" ")
                spans.append(gap)
            gap = None
            letters.append(letter)
            spans.append(span)
        return Traced("".join(letters), spans)

    def stripped_end(self) -> Traced:
        """Without spaces at its end."""
        return self[: len(self.text.rstrip(" "))]

    def span_of(self, begin: int, end: int) -> Span:
        """Where characters from `begin` to `end` come from; an empty span at the end for none."""
        if begin >= end:
            place = int(self.spans[begin][0]) if begin < len(self.text) else self.end
            return (place, place)
        first = int(self.spans[begin][0])
        return (first, max(int(self.spans[end - 1][1]), first))

    @property
    def end(self) -> int:
        """Where it ends in the text that it is made of."""
        if self.is_original or not self.text:
            return len(self.text)
        return int(self.spans[-1][1])
