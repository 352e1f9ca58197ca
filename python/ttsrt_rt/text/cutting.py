"""Cuts a passage that has pronunciations or several languages as a plain text is cut.

A pronunciation stands in for one letter while the text is cut, so it is never cut itself, and the
words around it count as they do in a plain text.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ttsrt_rt.text.passages import Part
from ttsrt_rt.text.traced import Traced

if TYPE_CHECKING:
    from ttsrt_rt import _core

__all__ = ["merged", "pieces_of"]

PLACE = "x"  # of a pronunciation

Cut = Callable[[str], "list[_core.TextPiece]"]


def merged(parts: Sequence[Part], is_own: Callable[[str], bool]) -> tuple[Part, ...]:
    """Parts without languages that are the request's own; texts of one language are one part.

    Args:
        parts: Of a passage.
        is_own: Whether a language is read as the request's.
    """
    made: list[Part] = []
    for part in parts:
        if part.language and is_own(part.language):
            part = replace(part, language="")
        last = made[-1] if made else None
        is_text = last is not None and not last.is_phonemes and not part.is_phonemes
        if last is not None and is_text and last.language == part.language:
            made[-1] = replace(last, text=last.text + part.text)
        else:
            made.append(part)
    return tuple(made)


def pieces_of(parts: Sequence[Part], cut: Cut) -> Iterator[list[Part]]:
    """The chunks of a passage.

    Args:
        parts: Of the passage.
        cut: Cuts a plain text.
    """
    letters = [PLACE if part.is_phonemes else part.text.text for part in parts]
    begins = [0, *itertools.accumulate(map(len, letters))]
    owners = [index for index, text in enumerate(letters) for _ in text]
    for piece in cut("".join(letters)):
        spans = piece.spans.tolist()
        made: list[Part] = []
        # A letter that stands for nothing in the text goes with the one behind it.
        at = enumerate(owners[min(begin, len(owners) - 1)] for begin, _ in spans)
        for owner, group in itertools.groupby(at, operator.itemgetter(1)):
            part = parts[owner]
            if part.is_phonemes:
                made.append(part)
                continue
            own = [index for index, _ in group]
            begin = begins[owner]
            places = [
                part.text.span_of(spans[each][0] - begin, spans[each][1] - begin) for each in own
            ]
            text = piece.text[own[0] : own[-1] + 1]
            made.append(replace(part, text=Traced(text, places)))
        yield made
