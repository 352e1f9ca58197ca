"""Texts of 10 MB take ten times as long as those of 1 MB: nothing in a front end is quadratic.

Times are of the processor, so that other work on the machine doesn't count, and of several kinds of
text: sentences, one word, one symbol after the other, marks, bars without a partner.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text_options import TextOptions

from .test_magpie_front_end import made

DATA = Path(__file__).resolve().parents[2] / "data" / "text"
MB = 1_000_000
MOST = 30.0  # ten times as much text; quadratic work takes a hundred times as long
TEXTS = {
    "sentences": "The blue-bird sings, it's 5 o'clock. ",
    "word": "a",
    "hyphens": "a-",
    "bars": "|a",
    "marks": "e\u0301",
    "blanks": " \t",
    "han": "\u6f22\u3002",
    "emoji": "\U0001f600 ",
}


@pytest.fixture(scope="module")
def core() -> _core.TextFrontEnd:
    return _core.TextFrontEnd.open(DATA / "golden")


def sized(unit: str, count: int) -> str:
    return unit * (count // len(unit.encode("utf-8")))


def seconds(work: Callable[[], object]) -> float:
    begin = time.process_time()
    try:
        work()
    except ConfigError as error:  # of a text that says nothing
        assert "no speakable symbol" in str(error)
    return time.process_time() - begin


def check_linear(encode: Callable[[str], object], unit: str) -> None:
    small, large = sized(unit, MB), sized(unit, 10 * MB)
    base = min(seconds(lambda: encode(small)) for _ in range(2))
    assert seconds(lambda: encode(large)) < MOST * base + 0.5


@pytest.mark.parametrize("kind", TEXTS)
def test_ten_megabytes_for_a_dictionary(core: _core.TextFrontEnd, kind: str) -> None:
    check_linear(lambda text: core.encode(text, "english_phoneme"), TEXTS[kind])


@pytest.mark.parametrize("kind", ["sentences", "marks"])
def test_ten_megabytes_for_bytes_and_characters(core: _core.TextFrontEnd, kind: str) -> None:
    for wanted in ("bytes", "chars"):
        name = next(each.name for each in core.tokenizers() if each.kind == wanted)
        check_linear(lambda text, name=name: core.encode(text, name), TEXTS[kind])  # type: ignore[misc]


@pytest.mark.parametrize("kind", ["sentences", "hyphens"])
def test_cutting_ten_megabytes(core: _core.TextFrontEnd, kind: str) -> None:
    check_linear(lambda text: core.encode_chunks(text, "en", split="phrases"), TEXTS[kind])


def test_ten_megabytes_through_python(tmp_path: Path) -> None:
    front_end, whole = made(tmp_path / "text", ["english_phoneme"]), TextOptions(split="never")
    check_linear(lambda text: front_end.speak(text, "en", whole), TEXTS["sentences"])
