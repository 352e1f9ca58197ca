"""Cutting what has pronunciations and several languages: parts of chunks, and their places."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.text.cutting import merged, pieces_of
from ttsrt_rt.text.passages import Part
from ttsrt_rt.text.traced import Traced


class Piece(NamedTuple):
    text: str
    spans: NDArray[np.int32]


def part(text: str, begin: int, language: str = "", phonemes: str = "") -> Part:
    spans = [(each, each + 1) for each in range(begin, begin + len(text))]
    if phonemes:
        return Part(Traced(phonemes, [(begin, begin + len(text))] * len(phonemes)), True, language)
    return Part(Traced(text, spans), False, language)


def halves(text: str) -> list[Piece]:
    """Cuts behind a full stop; the first letter of a piece becomes large, "*" vanishes."""
    made, begin = [], 0
    for sentence in text.split(". "):
        kept = [(begin + at, letter) for at, letter in enumerate(sentence) if letter != "*"]
        letters = "".join(letter for _, letter in kept)
        spans = np.array([(at, at + 1) for at, _ in kept], np.int32).reshape(-1, 2)
        made.append(Piece(letters[:1].upper() + letters[1:], spans))
        begin += len(sentence) + 2
    return made


def test_parts_of_one_language_are_one() -> None:
    parts = [part("a ", 0), part("b ", 2, "en-US"), part("c", 4, "de"), part("x", 5, "", "p")]
    made = merged([*parts, part(" d", 6, "en")], lambda language: language.startswith("en"))
    assert [(each.text.text, each.language, each.is_phonemes) for each in made] == [
        *(("a b ", "", False), ("c", "de", False), ("p", "", True), (" d", "", False)),
    ]
    assert made[0].text.spans == [(0, 1), (1, 2), (2, 3), (3, 4)]


def test_pronunciations_stay_whole_and_keep_their_places() -> None:
    word = part("word", 4, phonemes="wd")
    parts = [part("one ", 0), word, part(". t*wo ", 8), part("drei", 15, "de"), part(". vier", 19)]
    chunks = [*pieces_of(parts, halves)]  # type: ignore[arg-type]
    told = [[(each.text.text, each.language) for each in chunk] for chunk in chunks]
    assert told == [[("One ", ""), ("wd", "")], [("Two ", ""), ("drei", "de")], [("Vier", "")]]
    assert chunks[0][1] is word
    assert chunks[1][0].text.spans == [(10, 11), (12, 13), (13, 14), (14, 15)]
    assert chunks[1][1].text.spans == [(15, 16), (16, 17), (17, 18), (18, 19)]


def test_a_pronunciation_at_the_beginning_is_no_letter() -> None:
    first = part("a", 0, phonemes="p")
    (chunk,) = pieces_of([first, part(" b", 1)], halves)  # type: ignore[arg-type]
    assert chunk[0] is first and chunk[1].text.text == " b"
