"""Rules of the front ends, by hand; tests/parity compares them with the originals."""

from __future__ import annotations

import numpy as np
import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.rules import (
    RULES,
    chunk_seed,
    chunk_text,
    end_reference,
    frames_of,
    join_waves,
    max_chunk_bytes,
    share_duration,
    spaced_reference,
)

F5, INDIC = RULES["f5"], RULES["indicf5"]
DANDA = "\u0964"


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("a", "a. "),
        ("a.", "a. "),
        ("a. ", "a. "),
        ("a\u3002", "a\u3002"),
        ("a!", "a!. "),
        (f"\u0915{DANDA}", f"\u0915{DANDA}. "),
    ],
)
def test_references_end_a_sentence(text: str, ended: str) -> None:
    assert end_reference(text) == ended


def test_ascii_gets_a_space_even_twice() -> None:
    assert spaced_reference("a. ") == "a.  "
    assert spaced_reference("\u3002") == "\u3002"
    assert spaced_reference("") == ""


def test_frames_count_bytes_and_slow_short_texts() -> None:
    reference = "x" * 20
    assert frames_of(400, reference, "y" * 10, F5) == 600
    assert frames_of(400, reference, "y" * 9, F5) == 400 + int(400 / 20 * 9 / 0.3)
    assert frames_of(400, reference, "y" * 9, INDIC) == 580
    assert frames_of(400, reference, "\u0915" * 9, F5) == 940  # 27 bytes
    assert frames_of(400, reference, "y" * 10, F5, 2.0) == 500


def test_budgets() -> None:
    assert max_chunk_bytes("x" * 50, 5.0, F5) == 170
    assert max_chunk_bytes("x" * 50, 5.0, F5, 2.0) == 340
    assert max_chunk_bytes("x" * 50, 5.0, INDIC, 2.0) == 200
    with pytest.raises(ConfigError, match=r"expected a prompt below 22 seconds, got 23.00"):
        max_chunk_bytes("x" * 50, 23.0, F5)


def test_long_texts_are_cut_behind_punctuation() -> None:
    assert chunk_text("One, two. Three! Four", 10) == ["One, two.", "Three!", "Four"]
    assert chunk_text("One, two. Three! Four", 100) == ["One, two. Three! Four"]
    assert chunk_text("a,b", 1) == ["a,b"]  # no space behind the comma
    assert chunk_text("", 10) == []


def test_the_danda_is_a_boundary_only_if_asked_for() -> None:
    text = f"\u0915{DANDA} \u0916{DANDA} \u0917"
    assert chunk_text(text, 8) == [text]
    assert chunk_text(text, 8, boundaries="extended") == [
        f"\u0915{DANDA}",
        f"\u0916{DANDA}",
        "\u0917",
    ]
    with pytest.raises(ConfigError, match="boundaries: expected original or extended"):
        chunk_text(text, 8, boundaries="all")


def test_sentences_that_are_too_long_are_cut_between_words_if_asked_for() -> None:
    text = "one two three four five"
    assert chunk_text(text, 10) == [text]
    assert chunk_text(text, 10, boundaries="extended") == ["one two", "three four", "five"]
    assert chunk_text("unbreakable", 4, boundaries="extended") == ["unbreakable"]
    words = " ".join(chunk_text(text * 3, 12, boundaries="extended")).split()
    assert words == (text * 3).split()


def test_a_given_duration_is_shared_by_bytes() -> None:
    assert share_duration(10.0, 3.0, ["all of it"], 0.15) == [10.0]
    shared = share_duration(10.0, 4.0, ["aaa", "b"], 0.2)
    assert shared == pytest.approx([4 + 6.2 * 0.75, 4 + 6.2 * 0.25])


def test_chunks_have_seeds_of_their_own() -> None:
    seeds = [chunk_seed(7, index) for index in range(1000)]
    assert seeds[0] == 7
    assert len(set(seeds)) == 1000
    assert seeds == [chunk_seed(7, index) for index in range(1000)]
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert chunk_seed(8, 1) != chunk_seed(7, 1)


def test_joins() -> None:
    one, two = np.ones(10, np.float32), np.full(10, 3, np.float32)
    np.testing.assert_array_equal(join_waves([one, two], 0, 10), [*one, *two])
    made = join_waves([one, two], 0.4, 10)
    assert (made.dtype, len(made)) == (np.float32, 16)
    np.testing.assert_allclose(made[6:10], [1, 1 + 2 / 3, 1 + 4 / 3, 3], rtol=1e-6)
    short = join_waves([one, np.full(2, 5, np.float32)], 9, 10)
    np.testing.assert_allclose(short[8:], [1, 5])
    np.testing.assert_array_equal(join_waves([one], 0.4, 10), one)


def test_spaces_alone_are_no_chunk() -> None:
    """Where a chunk ends behind full-width punctuation, spaces may be all that is left."""
    text = "a" * 40 + "\u3002  " + "b" * 40
    assert chunk_text(text + "\u3002  ", 42) == ["a" * 40 + "\u3002", "b" * 40 + "\u3002"]
