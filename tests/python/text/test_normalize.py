"""Normalization: numbers by num2words, all else by nemo_text_processing, and what is refused."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.needs_extras import needed
from ttsrt_rt.cli import main
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text import normalize as module
from ttsrt_rt.text.normalize import normalize, number_words


@pytest.fixture
def fake_numbers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, str]]:
    """A num2words that keeps its calls and says numbers in angle brackets."""
    calls: list[tuple[int, str, str]] = []

    def num2words(number: int, lang: str, to: str) -> str:
        calls.append((number, lang, to))
        return f"<{number:,}>"

    fake = types.ModuleType("num2words")
    fake.num2words = num2words  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "num2words", fake)
    return calls


@pytest.fixture
def fake_nemo(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[str], str]], list[Any]]:
    """Puts a nemo_text_processing in place, whose grammars are a function."""

    def put(work: Callable[[str], str]) -> list[Any]:
        made: list[Any] = []

        class Normalizer:
            def __init__(self, **options: Any) -> None:
                made.append(options)

            def normalize(self, text: str, punct_post_process: bool) -> str:
                return work(text)

        inner = types.ModuleType("nemo_text_processing.text_normalization.normalize")
        inner.Normalizer = Normalizer  # type: ignore[attr-defined]
        monkeypatch.setitem(
            sys.modules, "nemo_text_processing", types.ModuleType("nemo_text_processing")
        )
        name = "nemo_text_processing.text_normalization"
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        monkeypatch.setitem(sys.modules, f"{name}.normalize", inner)
        monkeypatch.setattr(module, "_BUILT", {})
        return made

    return put


def test_off_changes_nothing() -> None:
    made = normalize("3 \U0001f600 apples" * 1000, "off", "xx")
    assert made.text == "3 \U0001f600 apples" * 1000 and made.ran == "off"


def test_numbers(fake_numbers: list[tuple[int, str, str]]) -> None:
    made = normalize("I have 12 apples, 1000kg and v2.5.", "numbers", "en-US")
    assert made.text == "I have <12> apples, <1000> kg and v <2> point <5>."
    assert made.ran.startswith("num2words")
    assert {lang for _, lang, _ in fake_numbers} == {"en"}
    assert normalize("\u0663", "numbers", "ar").text == "<3>"
    assert normalize("a1b", "numbers", "ja").text == "a<1>b"


def test_decimals(fake_numbers: list[tuple[int, str, str]]) -> None:
    for language, text, words in (
        ("en", "3.5, 0.05 and 2.0.", "<3> point <5>, <0> point <0> <5> and <2> point <0>."),
        ("en", "1.2.3 and 1,234.5", "<1>.<2>.<3> and <1>,<234>.<5>"),
        ("de", "3,5 und 3.5", "<3> Komma <5> und <3>.<5>"),
        ("ja", "3.14", "<3>\u70b9<1><4>"),
    ):
        assert normalize(text, "numbers", language).text == words
    assert set(module.POINTS) == set(module.NUMBERS)


def test_decimals_in_words() -> None:
    needed("num2words", "numbers")
    assert normalize("3.50 m", "numbers", "en").text == "three point five zero m"
    assert normalize("0,5 l", "numbers", "it").text == "zero virgola cinque l"


def test_long_numbers_are_read_digit_by_digit(fake_numbers: list[tuple[int, str, str]]) -> None:
    assert normalize("007", "numbers", "en").text == "<0> <0> <7>"
    assert normalize("1" * 16, "numbers", "en").text == " ".join(["<1>"] * 16)
    assert normalize("0", "numbers", "en").text == "<0>"


def test_languages_of_numbers(fake_numbers: list[tuple[int, str, str]]) -> None:
    normalize("1", "numbers", "pt-BR")
    assert fake_numbers[-1][1] == "pt_BR"
    for text in ("1", "no digit"):
        with pytest.raises(ConfigError, match=r"among en, de, .* for numbers, got 'hi'"):
            normalize(text, "numbers", "hi")
    assert number_words(3, "en", "ordinal") == "<3>" and fake_numbers[-1][2] == "ordinal"


def test_the_real_numbers() -> None:
    needed("num2words", "numbers")
    made = normalize("In 1999 I had 1234 apples.", "numbers", "en")
    assert made.text == (
        "In one thousand nine hundred and ninety-nine I had one thousand two hundred and "
        "thirty-four apples."
    )
    for language in ("de", "es", "fr", "it", "pt-BR", "vi", "ja", "ar", "ko"):
        said = normalize("21 7", "numbers", language).text
        assert not any(letter.isdecimal() for letter in said), (language, said)


def test_limits_and_modes(fake_numbers: list[tuple[int, str, str]]) -> None:
    assert normalize("x" * 4096, "numbers", "en").text == "x" * 4096
    with pytest.raises(ConfigError, match="at most 4096 characters to normalize at once, got 4097"):
        normalize("x" * 4097, "numbers", "en")
    with pytest.raises(
        ConfigError, match="normalize: expected one of off, numbers, nemo, got 'no'"
    ):
        normalize("x", "no", "en")


@pytest.mark.parametrize(
    ("mode", "package"), [("numbers", "num2words"), ("nemo", "nemo_text_processing")]
)
def test_a_missing_package_is_an_error(
    mode: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigError, match=rf"expected the package {package}.*pip install"):
        normalize("no digit", mode, "en")


def test_nemo(
    fake_nemo: Callable[[Callable[[str], str]], list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path))
    made = fake_nemo(str.upper)
    assert normalize("am 3. mai", "nemo", "de-DE").text == "AM 3. MAI"
    assert normalize("a", "nemo", "de").ran.startswith("nemo_text_processing")
    folder = str(tmp_path / "grammars")
    assert made == [{"input_case": "cased", "lang": "de", "cache_dir": folder}]  # built once
    assert main(["text", "build-normalizer", "de", "en"]) == 0
    assert f"en: {folder}, " in capsys.readouterr().out
    assert [each["lang"] for each in made] == ["de", "en"]
    with pytest.raises(ConfigError, match=r"among ar, de, .* for nemo, got 'xx'"):
        normalize("a", "nemo", "xx")


def test_nemo_that_fails_or_takes_too_long(
    fake_nemo: Callable[[Callable[[str], str]], list[Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TTSRT_CACHE_DIR", str(tmp_path))

    def fail(text: str) -> str:
        raise KeyError("grammar")

    fake_nemo(fail)
    with pytest.raises(ConfigError, match="got an error: 'grammar'"):
        normalize("a", "nemo", "en")
    monkeypatch.setattr(module, "MAX_SECONDS", 0.05)
    fake_nemo(lambda text: time.sleep(0.5) or text)
    with pytest.raises(ConfigError, match=r"normalized in 0.05 s, got one of 1 characters"):
        normalize("a", "nemo", "en")
