"""Text front ends for made-up Magpie models: configurations as the original has them, with small
dictionaries of our own, whose vocabularies add up to the rows of the model's table.

The full size has the tokenizers of the published model's languages in its order; where that one
has a dictionary that is not ours to write, a tokenizer of characters or bytes stands for it.
"""

# ruff: noqa: RUF001  IPA has letters that look like others.
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ttsrt_rt.synth.english_words import ENGLISH, HETERONYMS

__all__ = ["SynthFrontEnd", "front_end_of"]

_CLASSES = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
_DICTIONARY = "0123456789abcdef0123456789abcdef_english.dict"
_HETERONYMS = "0123456789abcdef0123456789abcdef_heteronyms"
# Of the smallest size, where there is room for three symbols beside letters.
_FEW_WORDS = """\
HELLO HəˈLO
WORLD ˈWəLD
THE ˈTHə
QUICK ˈKWIK
BROWN ˈBROWN
FOX ˈFOKS
JUMPS ˈJəMPS
OVER ˈOVə
LAZY ˈLAZY
DOG ˈDOG
GOOD ˈGOOD
MORNING ˈMORNING
THIS ˈTHIS
IS ˈIZ
UNDERSTAND ˌəNDəˈSTAND
"""


@dataclass(frozen=True)
class SynthFrontEnd:
    """The front end of one model.

    Attributes:
        tokenizers: the configuration's `text_tokenizers`.
        files: members of the archive, by their names.
    """

    tokenizers: dict[str, Any] = field(default_factory=lambda: {"english_phoneme": {}})
    files: dict[str, bytes] = field(default_factory=dict)


def front_end_of(text_vocab: int) -> SynthFrontEnd:
    """Returns the front end of a model with so many rows of text embeddings; for other numbers
    than those of the named sizes, a configuration without one.
    """
    made = _SIZES.get(text_vocab)
    if made is None:
        return SynthFrontEnd()
    punctuation, words, others = made
    files = {_DICTIONARY: words.encode()}
    if words is ENGLISH:
        files[_HETERONYMS] = HETERONYMS.encode()
    tokenizers = {"english_phoneme": _english(punctuation, has_heteronyms=words is ENGLISH)}
    return SynthFrontEnd(tokenizers | others, files)


def _english(punctuation: str, *, has_heteronyms: bool) -> dict[str, Any]:
    g2p: dict[str, Any] = {
        "_target_": "nemo.collections.tts.g2p.models.i18n_ipa.IpaG2p",
        "phoneme_dict": f"nemo:{_DICTIONARY}",
        "phoneme_probability": 0.8,
        "ignore_ambiguous_words": False,
        "use_chars": True,
        "use_stresses": True,
    }
    if has_heteronyms:
        g2p["heteronyms"] = f"nemo:{_HETERONYMS}"
    return {
        "_target_": f"{_CLASSES}.IPATokenizer",
        "punct": True,
        "non_default_punct_list": list(punctuation),
        "apostrophe": True,
        "pad_with_space": False,
        "g2p": g2p,
    }


def _characters(name: str, **options: Any) -> dict[str, Any]:
    return {"_target_": f"{_CLASSES}.{name}CharsTokenizer", **options}


def _bytes() -> dict[str, Any]:
    return {"_target_": "AutoTokenizer", "pretrained_model": "google/byt5-small"}


def _arabic() -> dict[str, Any]:
    return _characters("Arabic", pad_with_space=True, charset_version=1)


_FULL = {
    "text_ce_tokenizer": _bytes(),
    "spanish": _characters("Spanish"),
    "german": _characters("German"),
    "japanese_phoneme": {
        "_target_": f"{_CLASSES}.JapanesePhonemeTokenizer",
        "apostrophe": False,
        "pad_with_space": True,
        "g2p": {
            "_target_": "nemo.collections.tts.g2p.models.ja_jp_ipa.JapaneseKatakanaAccentG2p",
            "ascii_letter_case": "upper",
        },
    },
    "portuguese_Brazilian": _bytes(),
    "hindi_chartokenizer": _characters("Hindi", charset_version=2, punct_version=2),
    "arabic_AE_chartokenizer": _arabic(),
    "arabic_SA_chartokenizer": _arabic(),
    "arabic_MSA_chartokenizer": _arabic(),
    "french_chartokenizer": _bytes(),
    "italian_chartokenizer": _bytes(),
    "vietnamese_chartokenizer": _bytes(),
    "korean_chartokenizer": _bytes(),
}
_TYPOGRAPHY = "\u2026\u2013\u2014\u201c\u201d\u00ab\u00bb"
# By the rows of the table: punctuation and words of English, and the other tokenizers.
_SIZES: dict[int, tuple[str, str, dict[str, Any]]] = {
    40: (",.!?-", _FEW_WORDS, {}),
    98: (',.!?-:;/"()[]{}' + _TYPOGRAPHY + "\u2022\u00bf\u00a1\u2039\u203a", ENGLISH, {}),
    386: (
        ',.!?-:;/"()\u2026',
        ENGLISH,
        {
            "german": _characters("German"),
            "spanish": _characters("Spanish"),
            "french_chartokenizer": _characters("French"),
            "italian": _characters("Italian"),
        },
    ),
    3359: (',.!?-:;/"()[]{}' + _TYPOGRAPHY + "\u2018", ENGLISH, _FULL),
}
