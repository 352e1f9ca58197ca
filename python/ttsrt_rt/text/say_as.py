"""What `<say-as>` speaks: letters, digits and telephone numbers by own rules, others by packages.

Digits are words of the language, so that no tokenizer has to know them. A language without a table,
or a missing package, is an error.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import quote
from ttsrt_rt.text.normalize import normalize, number_words, primary

__all__ = ["INTERPRETATIONS", "digit_words", "spoken_as"]

DIGITS = {
    "en": "zero one two three four five six seven eight nine",
    "de": "null eins zwei drei vier fünf sechs sieben acht neun",
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf",
    "it": "zero uno due tre quattro cinque sei sette otto nove",
    "pt": "zero um dois três quatro cinco seis sete oito nove",
    "vi": "không một hai ba bốn năm sáu bảy tám chín",
    "hi": "शून्य एक दो तीन चार पाँच छह सात आठ नौ",
    "ar": "صفر واحد اثنان ثلاثة أربعة خمسة ستة سبعة ثمانية تسعة",
    "ja": "ゼロ いち に さん よん ご ろく なな はち きゅう",
    "zh": "零 一 二 三 四 五 六 七 八 九",
    "ko": "영 일 이 삼 사 오 육 칠 팔 구",
}
PLUS = {"en": "plus", "de": "plus", "es": "más", "fr": "plus", "it": "più", "pt": "mais"}
PLUS |= {"vi": "cộng", "hi": "प्लस", "ar": "زائد", "ja": "プラス", "zh": "加", "ko": "플러스"}
SEPARATORS = " -./()\u00a0\u2010\u2011\u2013"
# A whole number: digits alone, or groups of three behind commas or spaces.
WHOLE = re.compile(r"(-?)(\d{1,3}(?:,\d{3})+|\d{1,3}(?:[ \u00a0\u202f]\d{3})+|\d+)")


def digit_words(language: str) -> list[str]:
    """The words for 0 to 9.

    Raises:
        ConfigError: There is no table of the language.
    """
    words = DIGITS.get(primary(language))
    if words is None:
        raise ConfigError(
            f"say-as: expected a language among {', '.join(DIGITS)} for digits, got "
            f"{quote(language)}"
        )
    return words.split()


def spoken_as(interpretation: str, text: str, language: str) -> str:
    """Returns how a text is spoken.

    Args:
        interpretation: One of INTERPRETATIONS.
        text: Without white space at its ends.
        language: Whose words are used.

    Raises:
        ConfigError: The text is of another kind, the language is not known, or a package is absent.
    """
    return INTERPRETATIONS[interpretation](text, language)


def _characters(text: str, language: str) -> str:
    """Each character as a word of its own. Combining marks stay with their letters."""
    found: list[str] = []
    for letter in unicodedata.normalize("NFC", text):
        if unicodedata.category(letter).startswith("M") and found:
            found[-1] += letter
        elif letter.isdecimal():
            found.append(digit_words(language)[unicodedata.decimal(letter)])
        elif not letter.isspace():
            found.append(letter)
    return " ".join(found)


def _digits(text: str, language: str) -> str:
    words = digit_words(language)
    found = [letter for letter in text if letter not in SEPARATORS]
    for letter in found:
        if not letter.isdecimal():
            raise ConfigError(f"say-as: expected digits, got {quote(letter)}")
    return " ".join(words[unicodedata.decimal(letter)] for letter in found)


def _telephone(text: str, language: str) -> str:
    """Digits, with a comma for a pause between their groups."""
    rest = text
    groups: list[str] = []
    if rest.startswith("+"):
        digit_words(language)  # the languages of both tables are the same
        groups.append(PLUS[primary(language)])
        rest = rest[1:]
    for letter in SEPARATORS:
        rest = rest.replace(letter, " ")
    parts = [_digits(group, language) for group in rest.split()]
    if not parts:
        raise ConfigError(f"say-as: expected digits, got {quote(text)}")
    return " ".join([*groups, ", ".join(parts)])


def _number(kind: str) -> Callable[[str, str], str]:
    def spoken(text: str, language: str) -> str:
        found = WHOLE.fullmatch(text)
        if found is None or (found[1] and kind == "ordinal"):
            raise ConfigError(f"say-as: expected a whole number, got {quote(text)}")
        sign, digits = found[1], "".join(filter(str.isdecimal, found[2]))
        return number_words(int(sign + digits) if len(digits) <= 15 else digits, language, kind)

    return spoken


def _nemo(text: str, language: str) -> str:
    return normalize(text, "nemo", language).text


INTERPRETATIONS: dict[str, Callable[[str, str], str]] = {
    "characters": _characters,
    "spell-out": _characters,
    "digits": _digits,
    "telephone": _telephone,
    "cardinal": _number("cardinal"),
    "ordinal": _number("ordinal"),
    "date": _nemo,
    "time": _nemo,
    "currency": _nemo,
    "fraction": _nemo,
}
