"""The chunks of a text, put together."""

from __future__ import annotations

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.tokens import TextTokens


def test_chunks_pauses_and_voices() -> None:
    chunks = Chunks(9)
    chunks.pause(100)
    chunks.add(TextTokens([1, 2], [(0, 1), (1, 2)], {"?": 1}), 2, padding=[0])
    chunks.pause(200)
    chunks.add(
        TextTokens([7], [(3, 3)], {"?": 2, "!": 1}), 4
    )  # silent: its pause is the next one's
    chunks.pause(300)
    chunks.add(TextTokens([3], [(5, 6)]), 6, voice="Ben")
    chunks.pause(50)
    spoken = chunks.spoken("ab ! c", "en", normalized_text="ab ! c")
    assert spoken.ids.tolist() == [1, 2, 0, 9, 3, 9] and spoken.chunks == (4, 2)
    assert spoken.spans is not None
    assert spoken.spans.tolist() == [[0, 1], [1, 2], [2, 2], [2, 2], [5, 6], [6, 6]]
    assert spoken.pauses == (100, 500, 50) and spoken.voices == (None, "Ben")
    assert spoken.dropped == {"?": 3, "!": 1} and spoken.normalized_text == "ab ! c"


def test_tokenizers_with_their_own_end_and_without_places() -> None:
    chunks = Chunks(None)
    chunks.add(TextTokens([1], [(0, 1)]), 1)
    chunks.add(TextTokens([2, 3], None), 2)
    spoken = chunks.spoken("ab", "en")
    assert spoken.ids.tolist() == [1, 2, 3] and spoken.chunks == (1, 2) and spoken.spans is None


def test_what_can_not_be_spoken() -> None:
    with pytest.raises(ConfigError, match=r"^text: expected .*: text has no speakable symbol$"):
        Chunks(9).spoken("", "en")
    chunks = Chunks(9)
    chunks.add(TextTokens([], [], {"?": 1}), 1)
    with pytest.raises(ConfigError, match=r"no speakable symbol; en has none for '\?'"):
        chunks.spoken("?", "en")
    chunks.add(TextTokens([1], [(1, 2)]), 2)
    assert chunks.spoken("?a", "en").chunks == (2,)
    with pytest.raises(ConfigError, match=r"characters that the vocabulary of en has, got '\?'"):
        chunks.spoken("?a", "en", is_strict=True)
