"""Arguments of `sample` as requests: shapes, texts, numbers for all or for each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.batches import Batch, conditions_of, ids_of, padded, requests_of
from ttsrt_rt.f5.spectra import USUAL
from ttsrt_rt.text import F5Tokenizer

TOKENIZER = F5Tokenizer((" ", "a", "b", "zhong1"))
MELS = np.random.default_rng(1).normal(size=(2, 7, 100)).astype(np.float32)


def batch_of(**changes: Any) -> Batch:
    fields: dict[str, Any] = {"conditions": list(MELS), "ids": [[1, 2], [2]], "duration": 20}
    return Batch(**fields | changes)


def test_prompts() -> None:
    np.testing.assert_array_equal(conditions_of(MELS, USUAL), MELS)
    waves = np.zeros((3, 2560), np.float32)
    assert [mel.shape for mel in conditions_of(waves, USUAL)] == [(11, 100)] * 3
    assert len(conditions_of(waves[0], USUAL)) == 1
    numbers = MELS.astype(np.complex64)
    for wrong in (np.zeros((1, 7, 80)), np.zeros(()), "text", np.zeros((0, 7, 100)), [], numbers):
        with pytest.raises(ConfigError, match="cond: expected"):
            conditions_of(wrong, USUAL)


def test_shorter_spectrograms_end_in_zeros() -> None:
    whole = padded([MELS[0], MELS[1][:4]])
    np.testing.assert_array_equal(whole[0], MELS[0])
    np.testing.assert_array_equal(whole[1][:4], MELS[1][:4])
    assert not whole[1][4:].any()


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ([[1, 2, -1], [3, -1, -1]], [[1, 2], [3]]),
        (np.array([[0, 1]]), [[0, 1]]),
        (["ab ", "x"], [[1, 2, 0], [0]]),
        ([["a", "zhong1"], ["b"]], [[1, 3], [2]]),
    ],
)
def test_texts(text: Any, ids: list[list[int]]) -> None:
    assert ids_of(text, TOKENIZER) == ids


def test_bytes() -> None:
    assert ids_of(["a\u00e9"], F5Tokenizer((), "byte")) == [[97, 0xC3, 0xA9]]


def test_texts_need_a_vocabulary() -> None:
    with pytest.raises(ConfigError, match=r"converted without a vocab.txt"):
        ids_of(["ab"], None)
    assert ids_of([[1, 2]], None) == [[1, 2]]


@pytest.mark.parametrize(
    "text", ["ab", [1, 2], [[0.5]], [[1], [1, 2]], 5, [["a", 1]], [[1, -1, 2]]]
)
def test_other_texts_are_refused(text: Any) -> None:
    with pytest.raises(ConfigError, match="text: expected"):
        ids_of(text, TOKENIZER)


def test_requests() -> None:
    one, two = requests_of(
        batch_of(
            duration=[20, 25],
            lens=np.array([5, 7]),
            edit_mask=np.ones((2, 7), bool),
            noise=np.zeros((2, 25, 100), np.float32),
            seed=3,
        ),
        {"steps": 4, "no_ref_audio": True},
    )
    assert (one.flow.duration, two.flow.duration) == (20, 25)  # type: ignore[union-attr]
    assert (one.flow.lens, two.flow.lens) == (5, 7)  # type: ignore[union-attr]
    assert one.seed == two.seed == 3  # as the original, which seeds every sample anew
    assert one.flow.steps == 4 and one.flow.no_ref_audio  # type: ignore[union-attr]
    assert (one.return_audio, one.return_spectrogram) == (False, True)
    np.testing.assert_array_equal(two.context_embeddings, MELS[1])


def test_masks_are_as_long_as_the_longest_prompt() -> None:
    mask = np.array([[1, 0, 1, 0, 0], [1, 1, 0, 1, 1]], bool)
    one, two = requests_of(batch_of(lens=[3, 5], edit_mask=mask), {})
    np.testing.assert_array_equal(one.edit_mask, mask[0, :3])
    np.testing.assert_array_equal(two.edit_mask, mask[1])


def test_noise_is_as_long_as_the_longest_sample() -> None:
    """A sample has one frame more than its text and its prompt at least, and no more than the
    limit.
    """
    noise = np.arange(2 * 25 * 100, dtype=np.float32).reshape(2, 25, 100)
    one, two = requests_of(batch_of(duration=[3, 30], noise=noise), {"max_duration": 25})
    np.testing.assert_array_equal(one.noise, noise[0, :8])
    np.testing.assert_array_equal(two.noise, noise[1])
    one, two = requests_of(batch_of(duration=[8, 11], noise=[noise[0, :8], noise[1, :11]]), {})
    assert (len(one.noise), len(two.noise)) == (8, 11)  # type: ignore[arg-type]


def test_without_a_seed_samples_differ() -> None:
    seeds = {request.seed for _ in range(3) for request in requests_of(batch_of(), {})}
    assert len(seeds) == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ids": [[1]]}, "text: expected 2 texts, one per prompt, got 1"),
        ({"duration": [1, 2, 3]}, "duration: expected a whole number or 2"),
        ({"duration": 1.5}, "duration: expected a whole number"),
        ({"lens": [[1, 2]]}, "lens: expected a whole number"),
        ({"edit_mask": np.ones(7, bool)}, "edit_mask: expected 2 rows"),
        ({"noise": np.zeros((1, 20, 100))}, "noise: expected 2 rows"),
        ({"noise": 5}, "noise: expected 2 rows"),
        ({"noise": [[[1.0], [1.0, 2.0]], [[1.0]]]}, "noise: expected 2 rows"),
    ],
)
def test_other_numbers_of_samples_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        requests_of(batch_of(**changes), {})
