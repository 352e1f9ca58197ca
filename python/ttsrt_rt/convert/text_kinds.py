"""Describes one text tokenizer of a Magpie configuration for `text/front_end.json`.

The class that `_target_` names is matched against a table and never imported. All options are
resolved here, defaults of the original's classes included, so that the description needs no second
look at the configuration. An option that is not known here is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.text_asian import describe_japanese, describe_mandarin
from ttsrt_rt.convert.text_fields import (
    LETTER_CASES,
    blank,
    check_known,
    class_of,
    flag,
    marks,
    text,
)
from ttsrt_rt.convert.text_files import TextFiles
from ttsrt_rt.convert.text_tables import ALPHABETS, BASE_PUNCTUATION, LOCALES, punctuation_of
from ttsrt_rt.convert.text_versions import versioned_defaults
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import show

__all__ = ["describe_tokenizer"]

BYT5 = re.compile(r"(?:.*/)?byt5-(?:small|base|large|xl|xxl)")
MAX_LETTERS = 4096
MAX_FIXED_VOCAB = 65_536
IPA_G2P = ("IpaG2p", "IPAG2P")
_SHARED = (
    *("_target_", "punct", "apostrophe", "add_blank_at", "pad_with_space"),
    "non_default_punct_list",
)


def describe_tokenizer(
    name: str, config: Mapping[str, Any], where: str, stamp: object, files: TextFiles
) -> dict[str, Any]:
    """Returns the description of one tokenizer.

    Args:
        name: its name in the configuration.
        config: its block.
        where: the path of the block, for messages.
        stamp: `nemo_version` of the model's configuration.
        files: gives dictionaries, and keeps those that the description names.

    Raises:
        FormatError: its class is none that is known here; or a dictionary is damaged.
        ConfigError: an option is unknown or has a wrong value.
    """
    values = {**config, **versioned_defaults(config, stamp)}
    block = Block(values, where, files.error)
    kind = class_of(block)
    if kind not in KINDS:
        known = ", ".join(KINDS)
        raise FormatError(
            f"{where}._target_: expected one of {known}, got {show(block.values['_target_'])}, "
            "which has no text front end here; with front_end=False (--front_end false) the "
            "engine takes ids only"
        )
    return {"name": name, **KINDS[kind](block, files)}


def _ipa(block: Block, files: TextFiles) -> dict[str, Any]:
    check_known(
        block,
        (*_SHARED, "g2p", "locale", "locale_specific_punct", "fixed_vocab", "silence"),
        ("space", " "), ("oov", "<oov>"), ("sep", "|"),
    )  # fmt: skip
    g2p = block.block("g2p")
    if class_of(g2p) not in IPA_G2P:
        raise FormatError(
            f"{g2p.place('_target_')}: expected {' or '.join(IPA_G2P)}, "
            f"got {show(g2p.values['_target_'])}"
        )
    check_known(
        g2p,
        ("_target_", "phoneme_dict", "locale", "ignore_ambiguous_words", "heteronyms", "use_chars",
         "phoneme_probability", "use_stresses", "grapheme_case", "grapheme_prefix"),
        ("apply_to_oov_word", None), ("mapping_file", None),
    )  # fmt: skip
    locale = _locale(block)
    is_random = g2p.has("phoneme_probability")
    probability = g2p.number("phoneme_probability", 0.0, 1.0, 1.0)
    fixed = block.values.get("fixed_vocab") or None
    return {
        "kind": "ipa",
        "locale": locale,
        "word_locale": _locale(g2p),
        "dictionaries": files.dictionaries(g2p, "phoneme_dict"),
        "heteronyms": files.heteronyms(g2p, "heteronyms"),
        "case": g2p.word("grapheme_case", LETTER_CASES, "upper"),
        "grapheme_prefix": text(g2p, "grapheme_prefix", ""),
        # A probability makes words letters at random in training; here phonemes are always used,
        # unless it is 0. The letters belong to the vocabulary then.
        "use_chars": flag(g2p, "use_chars", False) or is_random,
        "always_letters": probability == 0,
        "use_stresses": flag(g2p, "use_stresses", True),
        "ignore_ambiguous_words": flag(g2p, "ignore_ambiguous_words", True),
        "apostrophe": flag(block, "apostrophe", False),
        "punctuation": marks(
            block,
            punctuation_of(locale if flag(block, "locale_specific_punct", True) else None),
        ),
        "pad_with_space": flag(block, "pad_with_space", False),
        "silence": text(block, "silence", None),
        "add_blank_at": blank(block),
        "fixed_vocab": None if fixed is None else marks(block, [], "fixed_vocab", MAX_FIXED_VOCAB),
    }


def _locale(block: Block) -> str | None:
    """The locale of a tokenizer or G2P: that of English if unset, none if null."""
    if "locale" not in block.values:
        return "en-US"
    return block.word("locale", LOCALES) if block.has("locale") else None


def _bytes(block: Block, _files: TextFiles) -> dict[str, Any]:
    check_known(block, ("_target_", "pretrained_model"))
    model = block.values.get("pretrained_model")
    if not isinstance(model, str) or not BYT5.fullmatch(model):
        raise FormatError(
            f"{block.place('pretrained_model')}: expected google/byt5-small or another size of it, "
            f"got {show(model)}, which has no text front end here; with front_end=False "
            "(--front_end false) the engine takes ids only"
        )
    return {"kind": "bytes"}


def _chars(
    letters: str, prepare: str, marks_of: str | None, *, has_versions: bool = False
) -> Callable[[Block, TextFiles], dict[str, Any]]:
    """Returns what describes a character tokenizer.

    Args:
        letters: its class, in the table of alphabets.
        prepare: how a text is prepared.
        marks_of: the locale of its punctuation; None for the base in its own order.
        has_versions: whether its alphabet has versions and any character of the vocabulary counts.
    """

    def describe(block: Block, _files: TextFiles) -> dict[str, Any]:
        is_hindi = letters == "HindiCharsTokenizer"
        known = [*_SHARED]
        known += (
            ["chars"] if letters in ("GermanCharsTokenizer", "VietnameseCharsTokenizer") else []
        )
        known += ["chars", "charset_version"] if has_versions else []
        known += ["punct_version"] if is_hindi else []
        check_known(block, known)
        version = block.integer("charset_version", 1, 2, 2) if has_versions else 0
        chars = text(block, "chars", None, MAX_LETTERS)
        usual = list(BASE_PUNCTUATION) if marks_of is None else punctuation_of(marks_of)
        if is_hindi and block.integer("punct_version", 1, 2, 2) == 1:
            usual = sorted(BASE_PUNCTUATION)
        # These two have the locale's list as the default of the field, which null replaces.
        if letters in ("GermanCharsTokenizer", "ArabicCharsTokenizer") and (
            block.values.get("non_default_punct_list", usual) is None
        ):
            usual = list(BASE_PUNCTUATION)
        return {
            "kind": "chars",
            "characters": list(ALPHABETS[letters, version] if chars is None else chars),
            "prepare": prepare,
            "accepts": "vocabulary" if has_versions else "alnum",
            "apostrophe": flag(block, "apostrophe", True),
            "punctuation": marks(block, usual),
            "pad_with_space": flag(block, "pad_with_space", False),
            "silence": None,
            "add_blank_at": blank(block),
        }

    return describe


KINDS: dict[str, Callable[[Block, TextFiles], dict[str, Any]]] = {
    "IPATokenizer": _ipa,
    "AutoTokenizer": _bytes,
    "EnglishCharsTokenizer": _chars("EnglishCharsTokenizer", "english", None),
    "GermanCharsTokenizer": _chars("GermanCharsTokenizer", "nfc", "de-DE"),
    "SpanishCharsTokenizer": _chars("SpanishCharsTokenizer", "lower", "es-ES"),
    "FrenchCharsTokenizer": _chars("FrenchCharsTokenizer", "lower", "fr-FR"),
    "ItalianCharsTokenizer": _chars("ItalianCharsTokenizer", "lower", "it-IT"),
    "VietnameseCharsTokenizer": _chars("VietnameseCharsTokenizer", "lower", None),
    "HindiCharsTokenizer": _chars("HindiCharsTokenizer", "nfc", "hi-IN", has_versions=True),
    "ArabicCharsTokenizer": _chars("ArabicCharsTokenizer", "nfc", "ar-MSA", has_versions=True),
    "ChinesePhonemesTokenizer": describe_mandarin,
    "JapanesePhonemeTokenizer": describe_japanese,
}
