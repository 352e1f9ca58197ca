"""The rows of voices, against plain loops."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.t3_random import (
    BOS,
    DIM,
    HEADS,
    MAX_PROMPT,
    QUERIES,
    SPEAKER,
    Floats,
    t3_model,
    t3_tensors,
    write_t3,
)
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.t3_prefix import Voice, prefix_rows, read_prefix_weights, voice_hash


def make_voice(tokens: int = 9, emotion: float = 0.5) -> Voice:
    random = np.random.default_rng(1)
    return Voice(
        "one",
        (random.normal(size=SPEAKER) / 16).astype(np.float32),
        random.integers(0, BOS, tokens).astype(np.int32),
        emotion,
    )


def norm(row: Floats, weight: Floats, bias: Floats) -> Floats:
    mean = sum(row) / len(row)
    variance = sum((each - mean) ** 2 for each in row) / len(row)
    return (row - mean) / math.sqrt(variance + 1e-5) * weight + bias


def attend(tensors: dict[str, Floats], queries: list[Floats], memory: list[Floats]) -> list[Floats]:
    """The attention block of the perceiver in double precision, one query and head at a time."""
    get = {name: values.astype(np.float64) for name, values in tensors.items()}
    weight, bias = get["conditioning.norm"], get["conditioning.norm_bias"]
    q_matrix, k_matrix, v_matrix = np.split(get["conditioning.qkv"], 3)
    q_bias, k_bias, v_bias = np.split(get["conditioning.qkv_bias"], 3)
    keys = [k_matrix @ norm(row, weight, bias) + k_bias for row in memory]
    values = [v_matrix @ norm(row, weight, bias) + v_bias for row in memory]
    size = DIM // HEADS
    made = []
    for row in queries:
        query = q_matrix @ norm(row, weight, bias) + q_bias
        parts = []
        for head in range(HEADS):
            at = slice(head * size, (head + 1) * size)
            scores = [math.exp(float(query[at] @ key[at]) / math.sqrt(size)) for key in keys]
            mixed = sum(s * value[at] for s, value in zip(scores, values, strict=True))
            parts.append(mixed / sum(scores))
        out = get["conditioning.out"] @ np.concatenate(parts)
        made.append(row + out + get["conditioning.out_bias"])
    return made


def expected_rows(variant: str, voice: Voice) -> Floats:
    tensors = t3_tensors(t3_model(variant), 5)
    speaker = tensors["conditioning.speaker"].astype(np.float64) @ voice.speaker
    rows = [speaker + tensors["conditioning.speaker_bias"]]
    speech = [tensors["speech_embedding"][token] for token in voice.tokens]
    if variant == "turbo":
        return np.array([*rows, *speech])
    if speech:
        memory = [row + tensors["speech_positions"][at] for at, row in enumerate(speech)]
        first = attend(tensors, list(tensors["conditioning.query"].astype(np.float64)), memory)
        rows += attend(tensors, first, first)
    return np.array([*rows, voice.emotion * tensors["conditioning.emotion"]])


@pytest.mark.parametrize("tokens", [0, 1, 9, MAX_PROMPT])
@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_rows_are_those_of_plain_loops(variant: str, tokens: int, tmp_path: Path) -> None:
    voice = make_voice(tokens)
    source = open_t3(write_t3(tmp_path / "checkpoint", variant))
    rows = prefix_rows(read_prefix_weights(source), voice)
    expected = expected_rows(variant, voice)
    wanted = 1 + tokens if variant == "turbo" else 2 + (QUERIES if tokens else 0)
    assert rows.dtype == np.float32
    assert rows.shape == expected.shape == (wanted, DIM)
    np.testing.assert_allclose(rows, expected, atol=1e-5 * np.abs(expected).max())


def test_emotion_changes_only_the_last_row(tmp_path: Path) -> None:
    weights = read_prefix_weights(open_t3(write_t3(tmp_path / "checkpoint", "english")))
    calm = prefix_rows(weights, make_voice(emotion=0.5))
    lively = prefix_rows(weights, make_voice(emotion=1.5))
    assert np.array_equal(calm[:-1], lively[:-1])
    assert not np.array_equal(calm[-1], lively[-1])


def test_hash_follows_checkpoint_voice_and_emotion(tmp_path: Path) -> None:
    first = open_t3(write_t3(tmp_path / "a", "english")).conditioning_hash()
    second = open_t3(write_t3(tmp_path / "b", "english", seed=6)).conditioning_hash()
    again = open_t3(write_t3(tmp_path / "c", "english")).conditioning_hash()
    assert first == again != second
    voice = make_voice()
    hashes = {
        voice_hash(first, voice),
        voice_hash(second, voice),
        voice_hash(first, make_voice(emotion=0.6)),
        voice_hash(first, make_voice(tokens=8)),
        voice_hash(first, dataclasses.replace(voice, speaker=voice.speaker + 1)),
    }
    assert len(hashes) == 5
    assert voice_hash(first, dataclasses.replace(voice, name="other")) in hashes


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"speaker": np.zeros(3, np.float32)}, r"speaker_emb: expected \[256\], got \[3\]"),
        ({"tokens": np.zeros(MAX_PROMPT + 1, np.int32)}, "at most 12 tokens, got"),
        ({"tokens": np.array([-1], np.int32)}, r"expected ids in 0\.\.95, got -1\.\.-1"),
        ({"tokens": np.array([96], np.int32)}, r"expected ids in 0\.\.95, got 96\.\.96"),
        ({"emotion": math.nan}, "expected finite values, got NaN"),
    ],
)
def test_bad_voices_are_refused(change: dict[str, object], message: str, tmp_path: Path) -> None:
    weights = read_prefix_weights(open_t3(write_t3(tmp_path / "checkpoint", "english")))
    with pytest.raises(rt.ConfigError, match=message):
        prefix_rows(weights, dataclasses.replace(make_voice(), **change))


@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_rows_are_those_of_the_executor(variant: str, tmp_path: Path) -> None:
    checkpoint = write_t3(tmp_path / "checkpoint", variant)
    rt.build(checkpoint, tmp_path / "engine", dtype="float32")
    voice = make_voice(emotion=0.75)
    rows = prefix_rows(read_prefix_weights(open_t3(checkpoint)), voice)
    with rt.Executor(tmp_path / "engine", device="cpu") as executor:
        executor.add_voice(
            "one",
            speaker_emb=voice.speaker,
            cond_prompt_speech_tokens=voice.tokens,
            emotion=voice.emotion if variant == "english" else None,
        )
        expected = executor.voice_embeddings("one")
    np.testing.assert_allclose(rows, expected, atol=1e-5 * np.abs(expected).max())
