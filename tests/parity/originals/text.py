"""Encodes random texts by random dictionaries and options with NeMo's own tokenizers, and writes
`tests/data/text/random.json`.

    python -m tests.parity.originals.text --source FOLDER --out tests/data/text

FOLDER holds the original's `nemo/` package: the unpacked wheel of `nemo_toolkit==3.0.0`. Python
3.11, whose Unicode is 14.0, as the tables of the library are. The modules of tokenizers and
dictionaries are executed unchanged; `transformers`, `tokenizers` and `omegaconf`, which they only
name, are stand-ins. `tests/cpp/text/golden_test.cpp` compares what the library makes of the same
files.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import json
import logging
import random
import sys
import tempfile
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

SHELLS = (
    *("nemo", "nemo.utils", "nemo.collections", "nemo.collections.common"),
    *("nemo.collections.common.tokenizers", "nemo.collections.tts", "nemo.collections.tts.g2p"),
    *("nemo.collections.common.tokenizers.text_to_speech", "nemo.collections.tts.g2p.models"),
)
STAND_INS = ("transformers", "omegaconf", "tokenizers")
TOKENIZERS = "nemo.collections.common.tokenizers.text_to_speech.tts_tokenizers"
DICTIONARIES = "nemo.collections.tts.g2p.models.i18n_ipa"
SPLITTING = "nemo/collections/tts/parts/utils/tts_dataset_utils.py"

LETTERS = [
    *"aAbBsStTeE",
    "\u00e9",
    "\u00c9",
    "e\u0301",
    "\u00df",
    "\u00fc",
    "'",
    "-",
    "1",
    "\u0928",
]
LETTERS += [
    "\u092e\u094d",
    "\uac00",
    "\u1100\u1161",
    "\ufb01",
    "\u0153",
    "\u03a3",
    "\u01c5",
    "\u1e9e",
]
SYMBOLS = [*"aszt\u026a", "\u02c8", "\u02cc", "\u02d0", "o\u0303", "n\u0303", " ", "\u0292"]
OTHERS = ["|", "  ", "\u2019", "\u201c", "\u201d", "\t", "\u0301", "\U0001f642", "42", "\u0967"]
OTHERS += ["l'", "qu'", "'s", ", ", ".", "\u0964", "?", "\u00a0", "\u200b", "\u2126", "\u0149"]
LOCALES = ("en-US", "en-US", "de-DE", "es-ES", "fr-FR", "hi-IN", "pt-BR")
CHARACTERS = {
    "english_chars": "EnglishCharsTokenizer",
    "german_chars": "GermanCharsTokenizer",
    "spanish_chars": "SpanishCharsTokenizer",
    "french_chars": "FrenchCharsTokenizer",
    "italian_chars": "ItalianCharsTokenizer",
    "vietnamese_chars": "VietnameseCharsTokenizer",
    "hindi_chars_new": "HindiCharsTokenizer",
}
SENTENCES = ["a", "Dr", "mr", "b-c", "*d*", "\u00dfe", "3.5", "e.g", "\u0130x", "Sgt", "word"]
ENDS = [
    ".",
    ". ",
    "?",
    "! ",
    "\u3002",
    "\uff01",
    "\u0964",
    "\u2026",
    " ",
    "  ",
    "\n",
    ".\u3000",
    "-",
]


def load(source: Path) -> tuple[Any, Any]:
    """The original's modules of tokenizers and of dictionaries."""
    for name in SHELLS:
        shell = types.ModuleType(name)
        shell.__path__ = [str(source.joinpath(*name.split(".")))]
        sys.modules[name] = shell
    for name in STAND_INS:
        sys.modules[name] = MagicMock(name=name, PreTrainedTokenizerBase=object, Tokenizer=object)
    logger = logging.getLogger("originals")
    logger.setLevel(logging.CRITICAL)
    vars(sys.modules["nemo.utils"])["logging"] = logger
    return importlib.import_module(TOKENIZERS), importlib.import_module(DICTIONARIES)


def some(rng: random.Random, pool: list[str], least: int, most: int) -> str:
    return "".join(rng.choice(pool) for _ in range(rng.randint(least, most)))


def dictionary(rng: random.Random) -> str:
    lines = [";;; random", "-a b"]
    for _ in range(rng.randint(5, 25)):
        word = rng.choice(LETTERS[:15]) + some(rng, LETTERS, 0, 3)
        number = rng.choice(["", "", "(1)", "(2)"])
        lines.append(f"{word}{number}  {rng.choice(SYMBOLS[:5])}{some(rng, SYMBOLS, 0, 4)}")
    return "\n".join(lines) + "\n"


def texts(rng: random.Random, words: list[str]) -> Iterator[str]:
    pool = [*LETTERS, *OTHERS, *OTHERS, *words, *(f"{word} " for word in words)]
    pool += [word.upper() for word in words] + [f"{word}s" for word in words] + [" "] * 20
    for _ in range(6):
        yield some(rng, pool, 1, 12)


def options(rng: random.Random) -> dict[str, Any]:
    return {
        "locale": rng.choice(LOCALES),
        "word_locale": None,
        "always_letters": rng.random() < 0.1,
        "case": rng.choice(("upper", "upper", "lower", "mixed")),
        "grapheme_prefix": rng.choice(("", "", "#")),
        "use_chars": rng.random() < 0.8,
        "use_stresses": rng.random() < 0.7,
        "ignore_ambiguous_words": rng.random() < 0.3,
        "apostrophe": rng.random() < 0.6,
        "punctuation": [",", ".", "?", "-", "|", "\u0964"][: rng.randint(2, 6)],
        "pad_with_space": rng.random() < 0.5,
        "silence": rng.choice((None, None, "<sil>")),
        "add_blank_at": rng.choice((None, None, "true", "last")),
        "fixed_vocab": rng.choice((None, None, None, [*LETTERS[:12], *SYMBOLS[:6], " "])),
    }


def case(rng: random.Random, tokenizers: Any, dictionaries: Any) -> dict[str, Any]:
    """One tokenizer as front_end.json has it, its files, its vocabulary, and texts with their ids;
    null: the original fails, as nothing but spaces is left."""
    of = options(rng)
    of["word_locale"] = rng.choice((of["locale"], of["locale"], "en-US", "fr-FR", None))
    of["locale"] = rng.choice((of["locale"],) * 5 + (None,))
    of["use_chars"] = of["use_chars"] or of["always_letters"]
    files = {f"{i}.dict": dictionary(rng) for i in range(rng.choice((1, 1, 2)))}
    words = [
        line.split("  ")[0].split("(")[0] for file in files.values() for line in file.split("\n")
    ]
    words = [word for word in words if word and word[0] not in ";-"]
    names = list(files)
    heteronyms = rng.random() < 0.4
    if heteronyms:
        files["heteronyms"] = "\n".join(rng.choice(words) for _ in range(2)) + "\n"
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            Path(folder, name).write_text(text, "utf-8")
        g2p = dictionaries.IpaG2p(
            phoneme_dict=[str(Path(folder, name)) for name in names],
            locale=of["word_locale"],
            phoneme_probability=0.0 if of["always_letters"] else None,
            ignore_ambiguous_words=of["ignore_ambiguous_words"],
            heteronyms=str(Path(folder, "heteronyms")) if heteronyms else None,
            use_chars=of["use_chars"],
            use_stresses=of["use_stresses"],
            grapheme_case=of["case"],
            grapheme_prefix=of["grapheme_prefix"],
        )
    tokenizer = tokenizers.IPATokenizer(
        g2p,
        locale=of["locale"],
        non_default_punct_list=of["punctuation"],
        fixed_vocab=of["fixed_vocab"],
        silence=of["silence"],
        apostrophe=of["apostrophe"],
        add_blank_at=of["add_blank_at"],
        pad_with_space=of["pad_with_space"],
    )
    described = {"name": "random", "kind": "ipa", "dictionaries": names, **of}
    described["heteronyms"] = "heteronyms" if heteronyms else None
    cases = [[text, ids_of(tokenizer, text)] for text in texts(rng, words)]
    return {"tokenizer": described, "files": files, "tokens": tokenizer.tokens, "cases": cases}


def ids_of(tokenizer: Any, text: str) -> list[int] | None:
    try:
        return [int(each) for each in tokenizer.encode(text)]
    except IndexError:
        return None


def splits(source: Path, rng: random.Random) -> Iterator[list[Any]]:
    """Language, text, count and sentences."""
    path = source / SPLITTING
    wanted = {"split_by_sentence", "_get_sentence_separators_for_language", "LanguageThresholds"}
    wanted |= {"_TITLE_ABBREVIATIONS", "_DEFAULT_SENTENCE_ENDINGS", "_SENTENCE_ENDINGS"}
    body = []
    for node in ast.parse(path.read_text("utf-8")).body:
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        if {getattr(node, "name", None), *(getattr(each, "id", None) for each in targets)} & wanted:
            body.append(node)
    module = types.ModuleType("originals_split")
    sys.modules["originals_split"] = module
    sys.modules["pyopenjtalk"] = None  # type: ignore[assignment]
    scope = vars(module)
    scope.update(vars(typing), dataclass=dataclass, field=field)
    exec(compile(ast.Module(body, []), str(path), "exec"), scope)
    for _ in range(60):
        language = rng.choice(("en", "de", "zh", "ja", "hi"))
        text = some(rng, [*SENTENCES, *ENDS, *ENDS], 1, 30)
        count = scope["LanguageThresholds"]().get_word_count(text, language)
        yield [language, text, count, scope["split_by_sentence"](text, language)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--tokenizers", type=int, default=20)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    tokenizers, dictionaries = load(args.source)
    made: dict[str, Any] = {
        "ipa": [case(rng, tokenizers, dictionaries) for _ in range(args.tokenizers)],
        "chars": {},
        "split": list(splits(args.source, rng)),
    }
    for name, kind in CHARACTERS.items():
        tokenizer = getattr(tokenizers, kind)()
        made["chars"][name] = [[text, ids_of(tokenizer, text)] for text in texts(rng, ["a", "B"])]
    text = json.dumps(made, separators=(",", ":"))
    args.out.joinpath("random.json").write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
