"""The benchmark of speculation, on a small model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.speculation import TEXTS, main, prompts_of, successors
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
