"""Describes the Mandarin and Japanese tokenizers of a Magpie configuration.

Their vocabularies are computed here, and Mandarin's dictionary becomes a part of the description,
because Python speaks these two (`ttsrt_rt.text.mandarin`, `ttsrt_rt.text.japanese`).
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from typing import Any

from ttsrt_rt.convert.fields import Block
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
from ttsrt_rt.convert.text_tables import KATAKANA, MANDARIN_PUNCTUATION, punctuation_of
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote, show

__all__ = ["describe_japanese", "describe_mandarin"]

TONES = "12345"
MAX_SYLLABLES = 65_536
_TOKENIZER = (
    *("_target_", "g2p", "punct", "non_default_punct_list", "silence", "apostrophe"),
    *("add_blank_at", "pad_with_space"),
)
_TOKENIZER_FIXED = (("space", " "), ("sep", "|"))
_G2P_FIXED = (("word_tokenize_func", None), ("apply_to_oov_word", None), ("mapping_file", None))


def describe_mandarin(block: Block, files: TextFiles) -> dict[str, Any]:
    """Describes `ChinesePhonemesTokenizer` with `ChineseG2p`."""
    check_known(block, _TOKENIZER, *_TOKENIZER_FIXED)
    g2p = _g2p(block, "ChineseG2p")
    check_known(
        g2p,
        ("_target_", "phoneme_dict", "phoneme_prefix", "phoneme_case", "tone_prefix",
         "ascii_letter_prefix", "ascii_letter_case", "word_segmenter"),
        *_G2P_FIXED,
    )  # fmt: skip
    segmenter = g2p.values.get("word_segmenter")
    if segmenter not in (None, "jieba"):
        raise g2p.fail("word_segmenter", "jieba or null")
    prefix, case = text(g2p, "phoneme_prefix", _unset(g2p, "phoneme_prefix", "#")), "upper"
    case = g2p.word("phoneme_case", LETTER_CASES, case)
    tone_prefix = text(g2p, "tone_prefix", _unset(g2p, "tone_prefix", "#"))
    raw = files.dictionary(g2p, "phoneme_dict")
    syllables = (
        {} if raw is None else _syllables(raw, g2p.place("phoneme_dict"), prefix or "", case)
    )
    letters = _letters(g2p, "lower")
    phones = sorted({phone for each in syllables.values() for phone in each})
    tones = [f"{tone_prefix}{tone}" for tone in TONES]
    return {
        "kind": "mandarin",
        "syllables": {syllable: " ".join(each) for syllable, each in syllables.items()},
        "segmenter": segmenter,
        "tones": dict(zip(TONES, tones, strict=True)),
        **_common(block, [*phones, *sorted(tones)], letters, list(MANDARIN_PUNCTUATION)),
    }


def describe_japanese(block: Block, _files: TextFiles) -> dict[str, Any]:
    """Describes `JapanesePhonemeTokenizer` with `JapaneseKatakanaAccentG2p`."""
    check_known(block, _TOKENIZER, *_TOKENIZER_FIXED)
    g2p = _g2p(block, "JapaneseKatakanaAccentG2p")
    check_known(g2p, ("_target_", "ascii_letter_prefix", "ascii_letter_case"), *_G2P_FIXED)
    letters = _letters(g2p, "lower")
    # The original lists letters without their prefix here, so a prefix has no effect.
    plain = {letter: letter for letter in letters["letters"]}
    kana = sorted([*KATAKANA, "0", "1"])
    return {
        "kind": "japanese",
        "marks": punctuation_of("ja-JP"),
        **_common(block, kana, {**letters, "letters": plain}, punctuation_of("ja-JP")),
    }


def _g2p(block: Block, known: str) -> Block:
    g2p = block.block("g2p")
    if class_of(g2p) != known:
        raise FormatError(
            f"{g2p.place('_target_')}: expected {known}, got {show(g2p.values['_target_'])}"
        )
    return g2p


def _unset(g2p: Block, name: str, default: str) -> str:
    """The default of a prefix: null stands for none."""
    return "" if name in g2p.values else default


def _letters(g2p: Block, default_case: str) -> dict[str, Any]:
    prefix = text(g2p, "ascii_letter_prefix", "") or ""
    case = g2p.word("ascii_letter_case", LETTER_CASES, default_case)
    given = {
        "upper": string.ascii_uppercase,
        "lower": string.ascii_lowercase,
        "mixed": string.ascii_uppercase + string.ascii_lowercase,
    }[case]
    return {"case": case, "letters": {letter: f"{prefix}{letter}" for letter in given}}


def _common(
    block: Block, phones: Sequence[str], letters: dict[str, Any], usual_marks: Sequence[str]
) -> dict[str, Any]:
    """The vocabulary, in the order of its ids, and the options that both tokenizers have."""
    silence = text(block, "silence", None)
    has_apostrophe = flag(block, "apostrophe", True)
    punctuation = marks(block, usual_marks)
    ends = {None: ["<pad>", "<oov>"], "true": ["<pad>", "<blank>", "<oov>"],
            "last": ["<pad>", "<oov>", "<blank>"]}  # fmt: skip
    tokens = [
        *(" ", *([] if silence is None else [silence]), *phones),
        *sorted(letters["letters"].values()),
        *(["'"] if has_apostrophe else []),
        *(punctuation or []),
        *ends[blank(block)],
    ]
    return {
        **letters,
        "symbols": [*phones, *sorted(letters["letters"].values())],
        "punctuation": punctuation,
        "pad_with_space": flag(block, "pad_with_space", False),
        "tokens": tokens,
    }


def _syllables(raw: bytes, where: str, prefix: str, case: str) -> dict[str, list[str]]:
    """Reads lines of a syllable, a tab and its phones; a later line of a syllable counts.

    Raises:
        FormatError: it is not UTF-8, a line has no phones, or there are too many lines.
    """
    try:
        lines = re.split("\r\n|\n|\r", raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected UTF-8, got other bytes at {error.start}") from error
    found: dict[str, list[str]] = {}
    for number, line in enumerate(lines, 1):
        if line.startswith(";;;") or not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) < 2:
            raise FormatError(
                f"{where}: line {number}: expected a syllable, a tab and phones, got {quote(line)}"
            )
        phones = {"upper": parts[1].upper(), "lower": parts[1].lower(), "mixed": parts[1]}[case]
        found[parts[0].lower()] = [prefix + phone for phone in phones.split()]
        if len(found) > MAX_SYLLABLES:
            raise FormatError(f"{where}: expected at most {MAX_SYLLABLES} syllables, got more")
    return found
