"""Defaults of requests and the ids that end a text, from all files that name them."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.llm_config import read_llm_config
from ttsrt_rt.convert.llm_generation import (
    LlmDefaults,
    read_defaults,
    read_generation,
    read_stop_ids,
)
from ttsrt_rt.errors import ConfigError

from .llm_models import LLAMA, write_config


def defaults(folder: Path, generation: dict[str, Any] | None) -> LlmDefaults:
    config = read_llm_config(write_config(folder, LLAMA))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation), "utf-8")
    return read_defaults(read_generation(folder), config)


def stop_ids(folder: Path, ours: Any, theirs: Any, tokenizer: int | None = None) -> tuple[int, ...]:
    config = read_llm_config(write_config(folder, LLAMA, eos_token_id=ours))
    if theirs is not ...:
        text = json.dumps({"eos_token_id": theirs})
        (folder / "generation_config.json").write_text(text, "utf-8")
    return read_stop_ids(read_generation(folder), config, config.vocab, tokenizer)


def test_without_a_file_a_model_is_greedy(tmp_path: Path) -> None:
    made = defaults(tmp_path, None)
    assert (made.temperature, made.top_k, made.top_p, made.min_p) == (0.0, 50, 1.0, 0.0)
    assert made.max_frames == 64  # as many as there are positions


def test_a_temperature_without_do_sample_stays_greedy(tmp_path: Path) -> None:
    made = defaults(tmp_path, {"temperature": 0.9, "top_p": 0.6})
    assert made.temperature == 0.0
    assert defaults(tmp_path, {"do_sample": True}).temperature == 1.0
    given = {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 0, "min_p": 0.1}
    drawn = defaults(tmp_path, given)
    assert (drawn.temperature, drawn.top_p, drawn.top_k, drawn.min_p) == (0.6, 0.9, 0, 0.1)


def test_what_is_left_out_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        told = {"no_repeat_ngram_size": 2, "suppress_tokens": [1], "typical_p": 1.0}
        made = defaults(tmp_path, {"repetition_penalty": 1.1, "num_beams": 4, **told})
    assert made.repetition_penalty == 1.1
    assert "num_beams 4 was left out" in caplog.text
    assert "no_repeat_ngram_size 2 was left out" in caplog.text
    assert "suppress_tokens [1] was left out" in caplog.text
    assert "typical_p" not in caplog.text  # at the value that changes nothing


@pytest.mark.parametrize(
    "generation", [{"top_p": 2}, {"top_k": -1}, {"temperature": "hot"}, {"do_sample": 1}]
)
def test_wrong_values_are_named(tmp_path: Path, generation: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=rf"generation_config\.json: {next(iter(generation))}"):
        defaults(tmp_path, generation)


@pytest.mark.parametrize(
    ("ours", "theirs", "tokenizer", "expected"),
    [
        (2, ..., None, (2,)),
        (2, 2, 2, (2,)),
        (2, [5, 2, 7], 9, (5, 2, 7, 9)),
        ([3, 4], ..., None, (3, 4)),
        (None, ..., 6, (6,)),
        (..., ..., None, (2,)),
        (..., 30, None, (30,)),
        (2, None, 99, (2,)),
    ],
)
def test_ids_of_all_files_end_a_text(
    tmp_path: Path, ours: Any, theirs: Any, tokenizer: int | None, expected: tuple[int, ...]
) -> None:
    assert stop_ids(tmp_path, ours, theirs, tokenizer) == expected


@pytest.mark.parametrize("ours", [40, -1, "2", [2, 40], True])
def test_ids_outside_the_table_are_refused(tmp_path: Path, ours: Any) -> None:
    with pytest.raises(ConfigError, match="eos_token_id: expected"):
        stop_ids(tmp_path, ours, ...)


def test_a_model_without_an_end_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="eos_token_id: expected an id that ends a text, got none"
    ):
        stop_ids(tmp_path, None, ...)
