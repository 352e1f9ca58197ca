"""What an engine carries for text, damaged in every way."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import pytest

from ttsrt_rt.convert.llm_front_end import front_end_of
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.llm.front_end import LlmFrontEnd, read_llm_front_end

MODEL = {"vocab": 40, "eos": 2}


def read(front: Any, family: str = "llm") -> LlmFrontEnd:
    described = {"family": family, "model": MODEL, "front_end": front}
    return read_llm_front_end(described, "engine")


def packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def test_what_convert_writes_is_read() -> None:
    files = {"tokenizer.json": b"{}", "chat_template.jinja": b""}
    made = read(front_end_of(files, [5, 2, 5], "here"))
    assert (made.stop_ids, made.files) == ((2, 5), files)


def test_an_engine_without_one() -> None:
    made = read(None)
    assert (made.stop_ids, made.files, made.tokenizer("engine")) == ((2,), {}, None)


def test_an_engine_of_another_family() -> None:
    with pytest.raises(ConfigError, match="engine: family: expected llm, got 't3'"):
        read(None, "t3")


@pytest.mark.parametrize(
    ("front", "message"),
    [
        ([], ": expected an object"),
        ({"stop_ids": 2}, "stop_ids: expected ids of the model"),
        ({"stop_ids": [40]}, "stop_ids: expected ids of the model"),
        ({"stop_ids": [True]}, "stop_ids: expected ids of the model"),
        ({"stop_ids": [1] * 1025}, "stop_ids: expected ids of the model"),
        ({"files": []}, "files: expected an object"),
        ({"files": dict.fromkeys(map(str, range(17)), "")}, "files: expected an object"),
        ({"files": {"a": 5}}, "files.'a': expected a text in base64"),
        ({"files": {"a": "?"}}, "files.'a': expected a compressed file"),
        ({"files": {"a": "\u20ac"}}, "files.'a': expected a compressed file"),
        ({"files": {"a": "AAAA"}}, "files.'a': expected a compressed file"),
        ({"files": {"a": ""}}, "files.'a': expected a whole compressed file"),
        ({"files": {"a": packed(b"abc" * 99)[:-8]}}, "files.'a': expected a"),
        ({"files": {"a": packed(bytes((32 << 20) + 1))}}, "files.'a': expected at most 33554432"),
    ],
)
def test_damaged_ones_are_named(front: Any, message: str) -> None:
    with pytest.raises(FormatError, match=f"engine: front_end.*{message}"):
        read(front)


def test_files_that_are_too_large() -> None:
    import random

    data = random.Random(1).randbytes(10 << 20)
    with pytest.raises(FormatError, match="here: expected files of the tokenizer of at most"):
        front_end_of({"tokenizer.json": data}, [], "here")
