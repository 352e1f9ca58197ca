"""Every field of a request is a flag, and arrives."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.cli.request_flags import (
    add_request_flags,
    given_fields,
    make_request,
    read_object,
)
from ttsrt_rt.text.lexicon import LexiconEntry


@pytest.fixture(scope="module")
def parser() -> Parser:
    made = Parser(prog="ttsrt run")
    add_request_flags(made)
    return made


@pytest.fixture
def asked(parser: Parser) -> Callable[..., rt.Request]:
    """The request that flags make."""

    def make(*flags: str) -> rt.Request:
        return make_request(given_fields(parser.parse_args(list(flags))))

    return make


@pytest.mark.parametrize(
    ("kind", "prefix"),
    [
        (rt.Request, "--"),
        (rt.AttentionPrior, "--prior_"),
        (rt.MaskGit, "--maskgit_"),
        (rt.BlockDiffusion, "--block_"),
        (rt.Speculation, "--speculation_"),
        (rt.TextOptions, "--text_options_"),
    ],
)
def test_every_field_is_a_flag_with_its_text(parser: Parser, kind: Any, prefix: str) -> None:
    helps = {flag: action.help for action in parser._actions for flag in action.option_strings}
    for field in dataclasses.fields(kind):
        assert helps.get(prefix + field.name), field.name


def test_numbers_and_names_arrive(asked: Callable[..., rt.Request]) -> None:
    values = {
        "cfg_scale": 2.5,
        "temperature": 0.5,
        "top_k": 7,
        "top_p": 0.9,
        "min_p": 0.1,
        "repetition_penalty": 1.0,
        "seed": 3,
        "max_frames": 9,
        "min_frames": 2,
        "eos_method": "argmax_any",
        "chunk_frames": 4,
        "priority": -2,
        "deadline": 8.5,
    }
    flags = [text for name, value in values.items() for text in (f"--{name}", str(value))]
    request = asked(*flags, "--voice", "Aria", "--return_alignment")
    assert {name: getattr(request, name) for name in values} == values
    assert request.voice == "Aria" and request.return_alignment
    assert asked("--voice", "2").voice == 2
    for name in ("true", "--2", "2b"):
        assert asked(f"--voice={name}").voice == name
    assert asked().seed == rt.Request().seed


def test_switches_arrive(asked: Callable[..., rt.Request]) -> None:
    for text, value in (("true", True), ("false", False)):
        assert asked("--use_local_transformer", text).use_local_transformer is value
    assert asked().use_local_transformer is None and asked().return_alignment is False


def test_arrays_arrive(asked: Callable[..., rt.Request], tmp_path: Path) -> None:
    (tmp_path / "d.json").write_text(json.dumps({"ids": [3, 4, 5]}))
    for name in ("text_ids", "context_codes", "context_embeddings", "context_text_ids"):
        request = asked(f"--{name}", str(tmp_path / "d.json"))
        assert np.asarray(getattr(request, name)).tolist() == [3, 4, 5]


def test_options_of_prior_and_maskgit(asked: Callable[..., rt.Request]) -> None:
    expected = rt.AttentionPrior(lookahead=9, apply_layers=[0, 1])
    flags = ["--prior_lookahead", "9", "--prior_apply_layers", "0", "1"]
    assert asked(*flags).prior == expected
    assert asked("--prior", '{"lookahead": 9}', "--prior_apply_layers", "0", "1").prior == expected
    assert asked("--prior", "default").prior == "default" and asked("--prior", "off").prior is None
    assert asked("--maskgit_steps", "2", "--maskgit_dynamic_cfg_scale", "true").maskgit == (
        rt.MaskGit(steps=2, dynamic_cfg_scale=True)
    )
    expected = rt.BlockDiffusion(steps=6, early=0.75)
    assert asked("--block_steps", "6", "--block_early", "0.75").block == expected
    assert asked("--block", '{"steps": 6, "early": 0.75}').block == expected
    guessed = rt.Speculation(mode="ngram", max_ngram=2)
    assert (
        asked("--speculation_mode", "ngram", "--speculation_max_ngram", "2").speculation == guessed
    )
    assert asked("--speculation", '{"mode": "ngram", "max_ngram": 2}').speculation == guessed
    flow = rt.Flow(steps=5, duration=90, no_ref_audio=True)
    flags = ["--flow_duration", "90", "--flow_no_ref_audio", "true"]
    assert asked("--flow", '{"steps": 5}', *flags).flow == flow
    assert make_request({"flow": {"steps": 5, "duration": 90, "no_ref_audio": True}}).flow == flow


def test_texts_and_their_options(asked: Callable[..., rt.Request], tmp_path: Path) -> None:
    request = asked("--text", "Hello.", "--language", "de", "--text_options", '{"strict": true}')
    assert (request.text, request.language) == ("Hello.", "de")
    assert request.text_options == rt.TextOptions(strict=True)
    flags = ["--text_options_split", "never", "--text_options_terminal_punctuation", "true"]
    expected = rt.TextOptions(split="never", terminal_punctuation=True)
    assert asked("--text", "a", *flags).text_options == expected
    words = tmp_path / "words.txt"
    words.write_text("dog d\n", "utf-8")
    options = asked("--text", "a", "--text_options_lexicon", str(words)).text_options
    assert options is not None and [*(options.lexicon or ())] == [LexiconEntry("dog", "d")]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--prior", "strong"], "--prior: expected default, off or options as JSON: .*'strong'"),
        (["--prior", "{]"], "--prior: expected a JSON object"),
        (["--prior", '{"left": 3}', "--prior_left", "3"], "--prior_left: expected it once"),
        (["--text_ids", "hello world"], "text_ids: .*A text needs a front end"),
        (["--text_ids", "hello"], "text_ids: .*A text needs a front end"),
        (["--text_ids", "ids.pkl"], r"ids\.pkl: expected a file that ends in"),
        (["--prior", '{"look": 3}'], "prior: expected some of mode"),
        (["--prior", "off", "--prior_left", "3"], "--prior_left beside off"),
        (["--maskgit", "[1]"], "--maskgit: expected options as JSON"),
        (["--block", "6"], "--block: expected options as JSON"),
        (["--flow", "6"], "--flow: expected options as JSON"),
        (["--text_options", "never"], "--text_options: expected options as JSON"),
        (["--text_options", '{"cut": 1}'], "text_options: expected some of strict"),
        (["--text_ids", "none.json"], "none.json: no such file"),
    ],
)
def test_mistakes(asked: Callable[..., rt.Request], flags: list[str], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        asked(*flags)


def test_what_is_no_object_is_named() -> None:
    for text, got in (("[1, 2]", "a list"), ("3", "a number"), ("null", "null"), ('"x"', "a text")):
        with pytest.raises(rt.ConfigError, match=f"line 1: expected a JSON object, got {got}"):
            read_object(text.encode(), "line 1")


def test_unknown_fields_of_lines() -> None:
    with pytest.raises(rt.ConfigError, match=r"request: expected some of text, .*'texts'"):
        make_request({"texts": "hello"})
    with pytest.raises(rt.ConfigError, match="prior: expected default, off or options, got 3"):
        make_request({"prior": 3})


@pytest.mark.parametrize("name", ["voice", "seed", "top_k", "priority", "max_frames", "cfg_scale"])
def test_a_bool_is_no_number(executor: rt.Executor, name: str) -> None:
    fields: dict[str, Any] = {"text_ids": [3, 4, 5], "voice": 0, name: True}
    with pytest.raises(rt.ConfigError, match=f"{name}: expected .*got True"):
        executor.submit(rt.Request(**fields))
