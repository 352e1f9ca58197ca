"""The benchmark of speculation, on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.speculation import TEXTS, draft_prompts_of, main, prompts_of
from bench.speculation_models import SHARES, successors, zones
from ttsrt_rt.errors import ConfigError


def test_prompts_hold_what_their_names_say() -> None:
    order = successors(320).tolist()
    prompts = prompts_of(320, 60)
    assert list(prompts) == list(TEXTS)
    assert prompts["copy"] == [*order[:61], order[0]]
    assert sorted(prompts["prose"]) == sorted(prompts["copy"])
    assert prompts["half"][:25] == order[:25]
    assert prompts["half"][25:49] != order[25:49]
    assert not set(prompts["new"][1:-1]) & set(order[:62])
    with pytest.raises(ConfigError, match="tokens"):
        prompts_of(320, 200)


def test_copies_take_fewer_rounds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "figures.json"
    arguments = ["--size", "tiny", "--dtype", "float32", "--tokens", "60", "--turns", "1"]
    models = str(tmp_path / "models")
    assert main([models, *arguments, "--output", str(output)]) == 0
    figures = {each["text"]: each for each in json.loads(output.read_text("utf-8"))}
    assert list(figures) == list(TEXTS)
    assert figures["copy"]["tokens_per_round"] > 4.0
    assert figures["copy"]["accepted"] == figures["copy"]["drafted"]
    assert 1.2 < figures["half"]["tokens_per_round"] < figures["copy"]["tokens_per_round"]
    assert figures["prose"]["tokens_per_round"] < 1.2
    assert 0 < figures["prose"]["drafted"] < 30
    assert figures["new"]["tokens_per_round"] < 1.1
    assert "copy" in capsys.readouterr().out


def test_prompts_of_drafts_begin_where_ids_are_known() -> None:
    prompts = draft_prompts_of(320, 60)
    assert list(prompts) == ["100%", "80%", "60%", "40%", "0%"]
    for part, prompt in zip(zones(320), prompts.values(), strict=True):
        assert len(prompt) == 62
        assert prompt[0] == prompt[-1] == part[0]
    assert sum(map(len, zones(320))) == len(successors(320))
    with pytest.raises(ConfigError, match="tokens"):
        draft_prompts_of(320, 63)


def test_drafts_take_fewer_rounds_the_more_they_know(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "figures.json"
    arguments = ["--size", "tiny", "--dtype", "float32", "--tokens", "60", "--turns", "1"]
    arguments += ["--mode", "draft", "--min_confidence", "0", "--output", str(output)]
    assert main([str(tmp_path / "models"), *arguments]) == 0
    figures = json.loads(output.read_text("utf-8"))
    assert len(figures) == len(SHARES)
    rates = [each["tokens_per_round"] for each in figures]
    assert rates[0] > 4.0
    assert figures[0]["accepted"] == figures[0]["drafted"]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == 1.0
    assert 0 < figures[-1]["drafted"] < 30
    assert all(0.0 < each["guessing"] < 1.0 for each in figures)
    assert "60%" in capsys.readouterr().out
