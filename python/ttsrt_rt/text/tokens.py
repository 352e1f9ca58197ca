"""What a front end makes of a text: ids, where they come from, and what could not be spoken."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["Span", "Symbols", "TextTokens"]

Span = tuple[int, int]
"""Begin and end in the text, in code points; the end is not part of it."""


@dataclass(frozen=True, eq=False)
class TextTokens:
    """The ids of a text.

    Attributes:
        ids: without the id that ends a text.
        spans: of each id, as pairs or as an array [ids, 2]; None where a front end does not know
            them.
        dropped: characters that have no id, with how often each was dropped.
        told_spoken: how many of the ids speak, as opposed to spaces around a text; None where the
            tokenizer doesn't tell: then those that come from somewhere in the text.
    """

    ids: Sequence[int] | NDArray[np.int32]
    spans: Sequence[Span] | NDArray[np.int32] | None
    dropped: Mapping[str, int] = field(default_factory=dict)
    told_spoken: int | None = None

    @property
    def num_spoken(self) -> int:
        """How many of the ids speak."""
        if self.told_spoken is not None:
            return self.told_spoken
        if self.spans is None:
            return len(self.ids)
        pairs = np.asarray(self.spans, np.int32).reshape(-1, 2)
        return int((pairs[:, 0] != pairs[:, 1]).sum())

    @property
    def is_silent(self) -> bool:
        """Whether nothing of the text is spoken."""
        return self.num_spoken == 0


class Symbols:
    """Collects symbols as the character tokenizers of NeMo do: spaces collapse, none leads.

    Attributes:
        dropped: what was not accepted, with how often.
    """

    def __init__(self, tokens: Sequence[str]) -> None:
        """Keeps the vocabulary. Of a symbol that stands twice, the last id counts."""
        self._ids = {token: index for index, token in enumerate(tokens)}
        self._found: list[tuple[str, Span]] = []
        self.dropped: dict[str, int] = {}

    def space(self, span: Span) -> None:
        """Adds a space, unless it would lead or follow another."""
        if self._found and self._found[-1][0] != " ":
            self._found.append((" ", span))

    def add(self, symbol: str, span: Span) -> None:
        """Adds a symbol of the vocabulary."""
        self._found.append((symbol, span))

    def drop(self, symbol: str) -> None:
        """Counts a symbol that is not spoken."""
        self.dropped[symbol] = self.dropped.get(symbol, 0) + 1

    def has(self, symbol: str) -> bool:
        """Whether the vocabulary has the symbol."""
        return symbol in self._ids

    def take(self, symbol: str, span: Span, known: Container[str]) -> None:
        """Adds a symbol if it is a space, or is in the vocabulary and is a letter, a digit, an
        apostrophe or one of `known`; else counts it as not spoken.
        """
        if symbol == " ":
            self.space(span)
        elif self.has(symbol) and (symbol.isalnum() or symbol == "'" or symbol in known):
            self.add(symbol, span)
        else:
            self.drop(symbol)

    def finish(self, offset: int, end: int, *, pad_with_space: bool) -> TextTokens:
        """Removes trailing spaces and looks the ids up.

        Args:
            offset: of the vocabulary among those of the model.
            end: of the text, where the space behind it lies.
            pad_with_space: whether a space comes in front and behind.
        """
        found = self._found
        while found and found[-1][0] == " ":
            found.pop()
        num_spoken = len(found)
        if pad_with_space:
            found = [(" ", (0, 0)), *found, (" ", (end, end))]
        return TextTokens(
            [offset + self._ids[symbol] for symbol, _ in found],
            [span for _, span in found],
            self.dropped,
            num_spoken,
        )
