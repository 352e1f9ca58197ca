"""Mandarin as the original speaks it: words by jieba, pinyin of words, phones of pinyin.

Single characters are read by the data of CC-CEDICT. The original loads them into pypinyin for the
whole process; here they are kept beside, so that other users of pypinyin (F5-TTS) read as before.
jieba reads its own dictionary when it is first used, and writes no cache.

A digit from 1 to 5 in the text is taken for a tone and is dropped, as in the original; a text with
numbers is normalized first.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ttsrt_rt.text.imported import imported, installed
from ttsrt_rt.text.tokens import Symbols, TextTokens

__all__ = ["MandarinTokenizer"]

EXTRA = "zh"
_CASES: dict[str, Callable[[str], str]] = {"upper": str.upper, "lower": str.lower, "mixed": str}

_LOCK = threading.Lock()
_MADE: dict[str, Any] = {}  # the reader of pinyin and the segmenter, which are made once


class MandarinTokenizer:
    """Makes ids of Mandarin texts. Threads may share one."""

    def __init__(self, description: Mapping[str, Any], offset: int) -> None:
        """Keeps the description of `text/front_end.json`, and where its ids begin."""
        self._description = description
        self._offset = offset
        self._syllables = {
            syllable: phones.split() for syllable, phones in description["syllables"].items()
        }
        self._known = {*description["symbols"], *(description["punctuation"] or ())}

    @property
    def analyser(self) -> str:
        """What finds words and their pinyin, with the versions."""
        cuts = self._description["segmenter"] == "jieba"
        reader = installed("pypinyin")
        return f"{installed('jieba')}, {reader}" if cuts else reader

    def encode(self, text: str) -> TextTokens:
        """Returns the ids of a text.

        Raises:
            ConfigError: a package is missing.
        """
        cased, origins = _cased(text, self._description["case"])
        words = _segmenter()(cased) if self._description["segmenter"] == "jieba" else [cased]
        pinyin: list[str] = []
        places: list[int] = []
        read = _reader()
        at = 0
        for word in words:
            items = read(word)
            # Every character has one item, unless a phrase of pypinyin's is of another length.
            step = 1 if len(items) == len(word) else 0
            places += [at + step * index for index in range(len(items))]
            pinyin += items
            at += len(word)
        return self.encode_pinyin(pinyin, [origins[min(each, len(origins) - 1)] for each in places],
                                  len(text))  # fmt: skip

    def encode_pinyin(
        self, pinyin: Sequence[str], places: Sequence[int] | None = None, length: int = 0
    ) -> TextTokens:
        """Returns the ids of syllables with their tones ("ni3"), letters and punctuation.

        Args:
            pinyin: of a text, in order.
            places: the character of the text that each belongs to; None for all to be at 0.
            length: of the text.
        """
        symbols = Symbols(self._description["tokens"])
        tones, letters = self._description["tones"], self._description["letters"]
        for index, item in enumerate(pinyin):
            place = places[index] if places is not None else 0
            span = (place, place + 1)
            last = item[-1]
            if last in tones:
                phones = self._syllables.get(item[:-1])
                if phones is None:
                    symbols.drop(item)
                    continue
                for phone in (*phones, tones[last]):
                    symbols.take(phone, span, self._known)
            else:
                symbols.take(letters.get(last, item), span, self._known)
        return symbols.finish(
            self._offset, length, pad_with_space=self._description["pad_with_space"]
        )


def _cased(text: str, case: str) -> tuple[str, Sequence[int]]:
    """The text in the case of its letters, and where each character of that comes from."""
    cased = _CASES[case](text)
    if len(cased) == len(text):
        return cased, range(len(text))
    parts = [_CASES[case](letter) for letter in text]
    return "".join(parts), [index for index, part in enumerate(parts) for _ in part]


def _segmenter() -> Callable[[str], Sequence[str]]:
    """What cuts a text into words: jieba's own dictionary, in a tokenizer of ours."""
    jieba = imported("jieba", EXTRA, "Mandarin")
    with _LOCK:
        if "segmenter" not in _MADE:
            made = jieba.Tokenizer()
            # What its initialize() does, without the cache that it keeps in a shared folder.
            made.FREQ, made.total = made.gen_pfdict(made.get_dict_file())
            made.initialized = True
            _MADE["segmenter"] = made
        segmenter = _MADE["segmenter"]
    return lambda text: list(segmenter.cut(text))


def _reader() -> Callable[[str], list[str]]:
    """What reads a word: syllables with tones, and other characters as they are."""
    pypinyin = imported("pypinyin", EXTRA, "Mandarin")
    core = imported("pypinyin.core", EXTRA, "Mandarin")
    converter = imported("pypinyin.converter", EXTRA, "Mandarin")
    data = imported("pypinyin_dict.pinyin_data.cc_cedict", EXTRA, "Mandarin")
    with _LOCK:
        if "reader" not in _MADE:
            _MADE["reader"] = core.Pinyin(_converter(converter, data.pinyin_dict))
        reader = _MADE["reader"]

    def read(word: str) -> list[str]:
        items: list[str] = reader.lazy_pinyin(word, style=pypinyin.Style.TONE3, errors=list)
        return items

    return read


def _converter(module: Any, characters: Mapping[int, str]) -> Any:
    """pypinyin's converter, with other readings of single characters."""

    class Converter(module.UltimateConverter):  # type: ignore[misc]
        def _single_pinyin(self, han: str, *rest: Any, **named: Any) -> Any:
            reading = characters.get(ord(han))
            if reading is not None:
                return [reading.split(",")]
            return super()._single_pinyin(han, *rest, **named)

    return Converter(neutral_tone_with_five=True)
