"""Punctuation and letters of the languages that Magpie's text tokenizers know.

The order counts, because it decides ids. The sets are those of the original
(`ipa_lexicon.py`), duplicates included; a test compares the vocabularies made of them.
"""

from __future__ import annotations

import string

__all__ = ["ALPHABETS", "BASE_PUNCTUATION", "KATAKANA", "LOCALES", "MANDARIN_PUNCTUATION",
           "punctuation_of"]  # fmt: skip

LOCALES = (
    *("en-US", "de-DE", "es-ES", "it-IT", "fr-FR", "vi-VN", "ja-JP", "hi-IN", "ar-MSA", "pt-BR"),
    "ko-KR",
)
BASE_PUNCTUATION = tuple(',.!?-:;/"()[]{}')
_GUILLEMETS = "\u00ab\u00bb\u2039\u203a"
_GERMAN_QUOTES = "\u201e\u201c\u201a\u2018\u2012\u2013\u2014"
# What a locale has beside the base: single characters, and longer marks apart from them.
_MORE: dict[str, str] = {
    "de-DE": _GUILLEMETS + _GERMAN_QUOTES,
    "es-ES": _GUILLEMETS + "\u00bf\u00a1",
    "fr-FR": _GUILLEMETS + "\u2013\u201c\u201d\u2026\u0300\u0301\u0302\u0308\u0327",
    "it-IT": _GUILLEMETS
    + _GERMAN_QUOTES
    + "\u02b4\u02b0\u02b1\u02b2\u02b7\u02e0\u02e4\u2191\u2192\u2197\u2198\u201d\u2019",
    "ja-JP": _GUILLEMETS
    + "\u3010\u3011\u2026\u2025\u300c\u300d\u300e\u300f\u301c\u3002\u3001\u30fc\u3003\u3014\u3015"
    + "\uff5f\uff60\u3008\u3009\u300a\u300b\u3016\u3017\u3018\u3019\u301a\u301b\u2022\u25e6\ufe45"
    + "\ufe46\u203b\uff0a\u303d\u3013\u3012\uff01\uff1f\u30fb",
    "pt-BR": _GUILLEMETS + "\u201c\u201d\u2018\u2019\u2013\u2014\u2026",
    "ar-MSA": "\u060c\u061b\u061f",
    "hi-IN": "\u0964\u0965",
    "ko-KR": "\u300e\u300f\u300c\u300d\u300a\u300b\u2026\u00b7\u2014\u2013\u301c",
}
_MORE_MARKS = {"it-IT": ("\u02de\u2193",), "ja-JP": ("\u30fb" * 3,)}

MANDARIN_PUNCTUATION = (
    *"\uff0c\u3002\uff1f\uff01\uff1b\uff1a\u3001\u2018\u2019\u201c\u201d\uff08\uff09\u3010\u3011",
    *"\u300c\u300d\u300a\u300b",
    *BASE_PUNCTUATION,
)

# The katakana of the Japanese tokenizer: without the historic letters WI and WE.
KATAKANA = "".join(
    chr(code) for code in (*range(0x30A1, 0x30F7), 0x30FC) if code not in (0x30F0, 0x30F1)
)

_A_TO_Z, _a_to_z = string.ascii_uppercase, string.ascii_lowercase
_GERMAN = _A_TO_Z + "\u00c4\u00d6\u00dc\u1e9e"
_FRENCH = _A_TO_Z + (
    "\u00c0\u00c2\u00c4\u00c6\u00c7\u00c8\u00c9\u00ca\u00cb\u00cd\u00ce\u00cf\u00d1\u00d4\u00d6"
    "\u00d9\u00db\u00dc\u014c\u0152"
)
_VIETNAMESE = _A_TO_Z + (
    "\u0110\u00c1\u00c0\u00c3\u1ea2\u1ea0\u0102\u1eae\u1eb0\u1eb4\u1eb2\u1eb6\u00c2\u1ea4\u1ea6"
    "\u1eaa\u1ea8\u1eac\u00d3\u00d2\u00d5\u1ece\u1ecc\u00d4\u1ed0\u1ed2\u1ed6\u1ed4\u1ed8\u01a0"
    "\u1eda\u1edc\u1ee0\u1ede\u1ee2\u00c9\u00c8\u1ebc\u1eba\u1eb8\u00ca\u1ebe\u1ec0\u1ec4\u1ec2"
    "\u1ec6\u00da\u00d9\u0168\u1ee6\u1ee4\u01af\u1ee8\u1eea\u1eee\u1eec\u1ef0\u00cd\u00cc\u0128"
    "\u1ec8\u1eca\u00dd\u1ef2\u1ef8\u1ef6\u1ef4"
)
_DEVANAGARI = (
    "\u0905\u0906\u0907\u0908\u0909\u090a\u090b\u0960\u090f\u0910\u0913\u0914\u090d\u0911\u0915"
    "\u0916\u0917\u0918\u0919\u091a\u091b\u091c\u091d\u091e\u091f\u0920\u0921\u0922\u0923\u0924"
    "\u0925\u0926\u0927\u0928\u092a\u092b\u092c\u092d\u092e\u092f\u0930\u0932\u0935\u0936\u0937"
    "\u0938\u0939\u0933\u0929\u0931\u093e\u093f\u0940\u0941\u0942\u0943\u0944\u0947\u0948\u094b"
    "\u094c\u0945\u0949\u0901\u0902\u0903\u094d\u093c\u094a\u0962\u0963\u0946\u0964"
)
_ARABIC = (
    "\u0621\u0622\u0623\u0625\u0624\u0626\u0627\u0628\u0629\u062a\u062b\u062c\u062d\u062e\u062f"
    "\u0630\u0631\u0632\u0633\u0634\u0635\u0636\u0637\u0638\u0639\u063a\u0641\u0642\u0643\u0644"
    "\u0645\u0646\u0647\u0648\u0649\u064a\u064b\u064c\u064d\u064e\u064f\u0650\u0651\u0670\u0652"
)


def _both(upper: str) -> str:
    """The letters in both cases; scripts without cases have every letter twice."""
    return upper + upper.lower()


# Letters of the character tokenizers, by class and charset_version where that has a say.
ALPHABETS: dict[tuple[str, int], str] = {
    ("EnglishCharsTokenizer", 0): _a_to_z,
    ("GermanCharsTokenizer", 0): _both(_GERMAN),
    ("SpanishCharsTokenizer", 0): _a_to_z + "\u00e1\u00e9\u00ed\u00f1\u00f3\u00fa\u00fc",
    ("FrenchCharsTokenizer", 0): _FRENCH.lower(),
    ("ItalianCharsTokenizer", 0): _a_to_z + "\u00e0\u00e8\u00e9\u00ec\u00f2\u00f9\u00f3",
    ("VietnameseCharsTokenizer", 0): _both(_VIETNAMESE),
    ("HindiCharsTokenizer", 1): _both(_DEVANAGARI) + string.ascii_lowercase,
    ("HindiCharsTokenizer", 2): _DEVANAGARI + string.ascii_letters,
    ("ArabicCharsTokenizer", 1): _both(_ARABIC) + string.ascii_letters,
    ("ArabicCharsTokenizer", 2): _ARABIC + string.ascii_letters,
}  # fmt: skip


def punctuation_of(locale: str | None) -> list[str]:
    """The punctuation of a locale, sorted by code points; that of None is the base."""
    marks = {*BASE_PUNCTUATION}
    if locale is not None:
        marks |= {*_MORE.get(locale, ""), *_MORE_MARKS.get(locale, ())}
    return sorted(marks)
