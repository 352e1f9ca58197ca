"""Turns digits, dates and the like into words before a text is read, where a request asks for it.

Nothing is normalized unless asked for, and nothing passes through: a missing package or a language
that it lacks is an error. The result says what ran.
"""

from __future__ import annotations

import functools
import importlib
import re
import threading
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from ttsrt_rt.cache_folder import cache_folder
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import quote, shorten, show

__all__ = ["MODES", "Normalized", "build_normalizer", "normalize", "number_words", "primary"]

MODES = ("off", "numbers", "nemo")
MAX_LETTERS = 4096
MAX_SECONDS = 5.0  # of the grammars for one text
MAX_DIGITS = 15  # of a number that is read as one; longer ones are read digit by digit
# Languages of num2words whose words are right, by its names. Its Hindi is not written.
NUMBERS = {"en": "en", "de": "de", "es": "es", "fr": "fr", "it": "it", "pt": "pt_BR"}
NUMBERS |= {"vi": "vi", "ja": "ja", "ar": "ar", "ko": "ko"}
WITHOUT_SPACES = ("ja",)
NEMO: tuple[str, ...] = ("ar", "de", "en", "es", "fr", "he", "hi", "hu", "hy", "it", "ja", "ko")
NEMO += ("mr", "pt", "ru", "rw", "sv", "vi", "zh")
# How the languages write the mark of decimals, and say it. num2words reads decimals wrong in some.
POINTS = {"en": (".", " point "), "de": (",", " Komma "), "es": (",", " coma ")}
POINTS |= {"fr": (",", " virgule "), "it": (",", " virgola "), "pt": (",", " v\u00edrgula ")}
POINTS |= {"vi": (",", " ph\u1ea9y "), "ja": (".", "\u70b9"), "ko": (".", " \uc810 ")}
POINTS |= {"ar": (".", " \u0641\u0627\u0635\u0644\u0629 ")}
INSTALL = {
    "num2words": "pip install num2words (the extra numbers)",
    "nemo_text_processing": "pip install nemo_text_processing==1.2.0 (the extra normalize)",
}


@dataclass(frozen=True)
class Normalized:
    """A text in words.

    Attributes:
        text: The text.
        ran: What made it: "off", or the package and its version.
    """

    text: str
    ran: str


def primary(language: str) -> str:
    """The first part of a language's name: "pt" of "pt-BR"."""
    return language.replace("_", "-").partition("-")[0].lower()


def normalize(text: str, mode: str, language: str, *, where: str = "normalize") -> Normalized:
    """Returns a text in words.

    Args:
        text: The text.
        mode: "off"; "numbers" for whole numbers and decimals, by num2words; "nemo" for numbers,
            dates, currencies and so on, by nemo_text_processing.
        language: Of the text, such as "en" or "pt-BR".
        where: The name of the option in errors.

    Raises:
        ConfigError: The mode or the language is unknown, the package is absent or fails, or the
            text is longer than 4,096 characters or takes longer than 5 seconds.
    """
    if mode not in MODES:
        raise ConfigError(f"{where}: expected one of {', '.join(MODES)}, got {show(mode)}")
    if mode == "off":
        return Normalized(text, "off")
    if len(text) > MAX_LETTERS:
        raise ConfigError(
            f"{where}: expected at most {MAX_LETTERS} characters to normalize at once, got "
            f"{len(text)}"
        )
    if mode == "numbers":
        return Normalized(_in_numbers(text, language, where), _version("num2words"))
    return Normalized(_by_nemo(text, language, where), _version("nemo_text_processing"))


def number_words(number: int | str, language: str, kind: str = "cardinal") -> str:
    """A number in words, by num2words.

    Args:
        number: The number; digits as text are read one by one.
        language: Whose words they are.
        kind: "cardinal" or "ordinal".

    Raises:
        ConfigError: The package is absent, or it lacks the language.
    """
    name = NUMBERS.get(primary(language))
    if name is None:
        raise ConfigError(
            f"normalize: expected a language among {', '.join(NUMBERS)} for numbers, got "
            f"{quote(language)}"
        )
    words = _package("num2words").num2words
    numbers = [number] if isinstance(number, int) else [int(digit) for digit in number]
    try:
        made = [str(words(each, lang=name, to=kind)) for each in numbers]
    except (RuntimeError, ValueError, TypeError, ArithmeticError, KeyError) as error:
        raise ConfigError(
            f"normalize: expected a number that num2words has in {name}, got {number} and an "
            f"error: {shorten(str(error))}"
        ) from error
    return " ".join(made).replace(",", "")


def build_normalizer(language: str) -> Path:
    """Builds the grammars of a language for "nemo", which takes up to minutes, or loads those that
    were built before; returns the folder where they are kept.

    Raises:
        ConfigError: The package or the language is absent, or the folder can't be written.
    """
    _grammars(language, "normalize")
    return _grammar_folder()


def _in_numbers(text: str, language: str, where: str) -> str:
    number_words(0, language)  # a language that is not there is an error without digits, too
    joins = primary(language) in WITHOUT_SPACES
    mark, point = POINTS[primary(language)]
    parts: list[str] = []
    done = 0
    for found in _numbers_with(mark).finditer(text):
        begin, end = found.span()
        digits, _, fraction = found[0].partition(mark)
        is_one = len(digits) <= MAX_DIGITS and (len(digits) == 1 or int(digits[0]) != 0)
        before = "" if joins or begin == 0 or not text[begin - 1].isalpha() else " "
        after = "" if joins or end == len(text) or not text[end].isalpha() else " "
        words = number_words(int(digits) if is_one else digits, language)
        if fraction:
            read = number_words(fraction, language)
            words += point + (read.replace(" ", "") if joins else read)
        parts += [text[done:begin], before, words, after]
        done = end
    return "".join([*parts, text[done:]])


@functools.cache
def _numbers_with(mark: str) -> re.Pattern[str]:
    """Numbers with a mark between digits, but not of "1.2.3" or "1,5.2"; or else runs of digits."""
    return re.compile(rf"(?<![\d.,])\d+{re.escape(mark)}\d+(?![.,]?\d)|\d+")


_LOCK = threading.Lock()
_BUILT: dict[tuple[str, Path], Any] = {}  # grammars by language and folder; they take seconds


def _grammar_folder() -> Path:
    return cache_folder() / "grammars"


def _grammars(language: str, where: str) -> Any:
    name = primary(language)
    if name not in NEMO:
        raise ConfigError(
            f"{where}: expected a language among {', '.join(NEMO)} for nemo, got {quote(language)}"
        )
    _package("nemo_text_processing")
    module = importlib.import_module("nemo_text_processing.text_normalization.normalize")
    folder = _grammar_folder()
    with _LOCK:
        if (name, folder) not in _BUILT:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                made = module.Normalizer(input_case="cased", lang=name, cache_dir=str(folder))
            except OSError as error:
                raise ConfigError(
                    f"{where}: {folder}: expected a folder for grammars that can be written: "
                    f"{error.strerror}"
                ) from error
            _BUILT[name, folder] = made
        return _BUILT[name, folder]


def _by_nemo(text: str, language: str, where: str) -> str:
    grammars = _grammars(language, where)
    made: list[str] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            made.append(str(grammars.normalize(text, punct_post_process=True)))
        except Exception as error:  # told by the caller
            failed.append(error)

    thread = threading.Thread(target=work, name="ttsrt-normalize", daemon=True)
    thread.start()
    thread.join(MAX_SECONDS)
    if failed:
        raise ConfigError(
            f"{where}: expected text that nemo_text_processing normalizes, got an error: "
            f"{shorten(str(failed[0]))}"
        ) from failed[0]
    if not made:
        raise ConfigError(
            f"{where}: expected text that is normalized in {MAX_SECONDS:g} s, got one of "
            f"{len(text)} characters that takes longer; split it"
        )
    return made[0]


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"normalize: expected the package {name}, which is not installed: {INSTALL[name]}"
        ) from error


def _version(name: str) -> str:
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name
