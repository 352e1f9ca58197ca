"""Descriptions of text tokenizers against vocabularies of the original's own classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.text_files import TextFiles
from ttsrt_rt.convert.text_kinds import KINDS, describe_tokenizer
from ttsrt_rt.convert.text_tables import LOCALES, punctuation_of
from ttsrt_rt.convert.text_versions import versioned_defaults
from ttsrt_rt.errors import ConfigError, FormatError

DATA = Path(__file__).resolve().parents[2] / "data" / "text"
REFS: dict[str, Any] = json.loads((DATA / "refs.json").read_text("utf-8"))
TOKENIZERS: dict[str, Any] = REFS["tokenizers"]
MODULE = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"


def describe(config: dict[str, Any], stamp: object = None) -> dict[str, Any]:
    files = TextFiles(None, DATA / "golden")
    files.begin("name", "name")
    return describe_tokenizer("name", config, "text_tokenizers.name", stamp, files)


def vocabulary(made: dict[str, Any]) -> list[str]:
    """The vocabulary of a description that has it, or whose characters are it."""
    if "tokens" in made:
        return [*made["tokens"]]
    apostrophe = ["'"] if made["apostrophe"] else []
    return [" ", *made["characters"], *apostrophe, *made["punctuation"], "<pad>", "<oov>"]


@pytest.mark.parametrize("name", TOKENIZERS)
def test_vocabularies_are_the_originals(name: str) -> None:
    entry = TOKENIZERS[name]
    made = describe(entry["config"], entry["nemo_version"])
    if made["kind"] in ("chars", "mandarin"):
        assert vocabulary(made) == entry["tokens"]
    assert versioned_defaults(entry["config"], entry["nemo_version"]) == entry["pinned"]


def test_the_japanese_vocabulary_is_the_originals() -> None:
    entry = REFS["japanese"]
    g2p = {"_target_": "nemo.x.JapaneseKatakanaAccentG2p", **entry["g2p"]}
    config = {"_target_": f"{MODULE}.JapanesePhonemeTokenizer", **entry["options"], "g2p": g2p}
    assert vocabulary(describe(config)) == entry["tokens"]


def test_options_of_ipa() -> None:
    made = describe(TOKENIZERS["german_phoneme"]["config"])
    assert made["locale"] == made["word_locale"] == "de-DE"
    assert made["dictionaries"] == ["name.0.dict"] and made["heteronyms"] == "name.heteronyms"
    assert made["case"] == "mixed" and made["grapheme_prefix"] == "#"
    assert made["punctuation"] == punctuation_of("de-DE") and made["pad_with_space"]
    # Those of the constructors, where the configuration is silent.
    few = describe(TOKENIZERS["english_no_chars"]["config"])
    assert not few["use_chars"] and few["ignore_ambiguous_words"] and few["use_stresses"]
    assert few["locale"] == "en-US" and few["punctuation"] == punctuation_of(None)


@pytest.mark.parametrize(
    ("probability", "use_chars", "has_chars", "always"),
    [(None, False, False, False), (0.8, False, True, False), (0.0, False, True, True),
     (1.0, None, True, False), (None, True, True, False)],
)  # fmt: skip
def test_a_probability_needs_letters(
    probability: float | None, use_chars: bool | None, has_chars: bool, always: bool
) -> None:
    config = TOKENIZERS["english_no_chars"]["config"]
    options = {"phoneme_probability": probability, "use_chars": use_chars}
    made = describe({**config, "g2p": {**config["g2p"], **options}})
    assert (made["use_chars"], made["always_letters"]) == (has_chars, always)


@pytest.mark.parametrize(
    ("stamp", "is_old"),
    [("2.7.3", True), ("2.8.0rc0", False), ("2.8.0", False), ("3.0.0", False), (None, False),
     ("2.8", True), (2.7, True), ("unknown", False), ("1!2.7.0.post1+local.1", True),
     ("2.7.0rc", True), ("2.7.x", False), ("9" * 400, False)],
)  # fmt: skip
def test_stamps(stamp: object, is_old: bool) -> None:
    config = {"_target_": f"{MODULE}.HindiCharsTokenizer"}
    assert versioned_defaults(config, stamp)["charset_version"] == (1 if is_old else 2)


def test_pinned_fields_and_given_characters_win() -> None:
    config = {"_target_": f"{MODULE}.HindiCharsTokenizer", "chars": "ab", "punct_version": 2}
    assert versioned_defaults(config, "2.0.0") == {}
    assert vocabulary(describe(config, "2.0.0"))[:4] == [" ", "a", "b", "'"]
    assert versioned_defaults({"_target_": "other.HindiCharsTokenizer"}, "2.0.0") == {}


def test_an_explicit_null_is_the_base_punctuation_of_two_classes() -> None:
    for name in ("German", "Arabic", "Hindi"):
        config = {"_target_": f"{MODULE}.{name}CharsTokenizer", "non_default_punct_list": None}
        made = describe(config)
        assert (len(made["punctuation"]) == 15) == (name != "Hindi")


def test_blanks_and_punctuation_that_is_off() -> None:
    config = {"_target_": f"{MODULE}.EnglishCharsTokenizer", "punct": False}
    assert describe(config)["punctuation"] is None
    assert describe({**config, "add_blank_at": "last"})["add_blank_at"] == "last"
    assert describe({**config, "add_blank_at": True})["add_blank_at"] == "true"
    assert describe({**config, "apostrophe": None})["apostrophe"] is False


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"_target_": "os.system"}, "name._target_: expected one of IPATokenizer.*got 'os.system'"),
        ({"_target_": f"{MODULE}.IPABPETokenizer"}, "got '.*IPABPETokenizer'.*front_end=False"),
        ({"_target_": "AutoTokenizer", "pretrained_model": "bert"}, "expected google/byt5.*'bert'"),
        ({"_target_": "T5Tokenizer", "pretrained_model": "google-t5/t5-small"}, "T5Tokenizer"),
        ({"_target_": 7}, "_target_: expected a class, got 7"),
    ],
)  # fmt: skip
def test_other_classes_are_refused_by_name(config: dict[str, Any], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        describe(config)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("english_chars", {"lower": True}, "lower: expected fields among"),
        ("english_chars", {"punct": "yes"}, "punct: expected true or false"),
        ("english_chars", {"non_default_punct_list": [1]}, "punct_list: expected a list"),
        ("hindi_chars_new", {"charset_version": 3}, r"expected an integer in 1\.\.2"),
        ("german_phoneme", {"locale": "xx-XX"}, "locale: expected one of en-US"),
        ("german_phoneme", {"space": "_"}, "space: expected ' ', got '_'"),
        ("german_phoneme", {"g2p": 3}, "g2p: expected a mapping"),
    ],
)  # fmt: skip
def test_wrong_options_are_refused(name: str, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        describe({**TOKENIZERS[name]["config"], **change})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word_segmenter": "pkuseg"}, "word_segmenter: expected jieba or null, got 'pkuseg'"),
        ({"_target_": "nemo.JapaneseG2p"}, "expected ChineseG2p, got 'nemo.JapaneseG2p'"),
    ],
)
def test_what_mandarin_has_not(change: dict[str, Any], message: str) -> None:
    config = TOKENIZERS["mandarin_phoneme"]["config"]
    with pytest.raises((ConfigError, FormatError), match=message):
        describe({**config, "g2p": {**config["g2p"], **change}})


def test_a_syllable_without_phones_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "zh.dict").write_text(";;; comment\nni\tn i\nhao\n", "utf-8")
    config = TOKENIZERS["mandarin_phoneme"]["config"]
    files = TextFiles(None, tmp_path)
    files.begin("zh", "zh")
    with pytest.raises(FormatError, match=r"phoneme_dict: line 3: expected a syllable.*'hao'"):
        describe_tokenizer("zh", config, "zh", None, files)


def test_every_locale_has_punctuation() -> None:
    assert all({*punctuation_of(None)} <= {*punctuation_of(locale)} for locale in LOCALES)
    assert len(KINDS) == 12
