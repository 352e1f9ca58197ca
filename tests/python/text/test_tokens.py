"""Ids of a text, and how many of them speak."""

from __future__ import annotations

import numpy as np

from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.tokens import Symbols, TextTokens

TOKENS = [" ", "a", "b", "'", "1", "?"]


def test_symbols_without_spaces_around_them() -> None:
    symbols = Symbols(TOKENS)
    symbols.space((0, 1))
    for at, letter in enumerate("a  b 1'?x", 1):
        symbols.take(letter, (at, at + 1), known=())
    made = symbols.finish(10, 10, pad_with_space=False)
    assert [*made.ids] == [11, 10, 12, 10, 14, 13]
    assert made.dropped == {"?": 1, "x": 1} and made.num_spoken == 6


def test_spaces_around_a_text_say_nothing() -> None:
    symbols = Symbols(TOKENS)
    symbols.take("x", (0, 1), known=())
    made = symbols.finish(0, 1, pad_with_space=True)
    assert [*made.ids] == [0, 0] and made.is_silent
    symbols = Symbols(TOKENS)
    symbols.take("?", (0, 0), known=("?",))
    made = symbols.finish(0, 0, pad_with_space=True)
    assert [*made.ids] == [0, 5, 0] and made.num_spoken == 1 and not made.is_silent


def test_tokenizers_that_do_not_tell() -> None:
    assert TextTokens([], None).is_silent and TextTokens([3], None).num_spoken == 1
    spans = np.array([[0, 0], [0, 2], [2, 2]], np.int32)
    assert TextTokens([1, 2, 3], spans).num_spoken == 1
    assert TextTokens([1, 2], [(0, 0), (5, 5)]).is_silent
    assert not TextTokens([1, 2], [(0, 0), (5, 5)], {}, 1).is_silent


def test_chunks_keep_what_speaks_though_it_has_no_place() -> None:
    chunks = Chunks(9)
    chunks.add(TextTokens([1], [(0, 0)], {"x": 1}, 0), 1)
    chunks.add(TextTokens([1, 2], [(0, 0), (1, 1)], {}, 1), 1)
    spoken = chunks.spoken("x", "ja")
    assert spoken.ids.tolist() == [1, 2, 9] and spoken.chunks == (3,)
    assert spoken.dropped == {"x": 1}
