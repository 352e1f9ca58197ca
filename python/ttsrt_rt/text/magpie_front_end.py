"""The text front end of a Magpie: several vocabularies in one table, one or more for each language.

The library cuts a text into chunks and encodes dictionary IPA, bytes and characters. Mandarin and
Japanese need packages of Python, so their chunks are encoded here.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, shorten
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.cutting import merged, pieces_of
from ttsrt_rt.text.japanese import JapaneseTokenizer
from ttsrt_rt.text.mandarin import MandarinTokenizer
from ttsrt_rt.text.passages import Part, Passage, prepare
from ttsrt_rt.text.reading import SentenceReading
from ttsrt_rt.text.tokens import Span, TextTokens
from ttsrt_rt.text.traced import Traced
from ttsrt_rt.text_options import TextOptions

__all__ = ["MagpieFrontEnd"]

MAX_DESCRIPTION_BYTES = 16 << 20
SHORT = 4  # symbols that a text has at least with short_text="pad"
_PYTHON_KINDS: dict[str, Callable[[Mapping[str, Any], int], Any]] = {
    "mandarin": MandarinTokenizer,
    "japanese": JapaneseTokenizer,
}


class MagpieFrontEnd:
    """Makes ids of texts. Threads may share one."""

    def __init__(self, folder: Path, core: _core.TextFrontEnd | None = None) -> None:
        """Opens the folder `text` of an engine or a checkpoint.

        Args:
            folder: the folder.
            core: the library's part of it, if it is open already.

        Raises:
            FormatError: a file is damaged; the message names it.
        """
        self._core = _core.TextFrontEnd.open(folder) if core is None else core
        self._tokenizers = {each.name: each for each in self._core.tokenizers()}
        path = folder / "front_end.json"
        described = read_json(path, max_bytes=MAX_DESCRIPTION_BYTES)["tokenizers"]
        self._own: dict[str, Any] = {}
        for each in described:
            if each["kind"] in _PYTHON_KINDS:
                offset = self._tokenizers[each["name"]].offset
                try:
                    self._own[each["name"]] = _PYTHON_KINDS[each["kind"]](each, offset)
                except (KeyError, TypeError, AttributeError) as error:
                    raise FormatError(
                        f"{path}: {each['name']}: expected what convert writes, got another "
                        f"description: {shorten(repr(error))}"
                    ) from error

    @property
    def languages(self) -> dict[str, str]:
        """The name of the tokenizer of each language."""
        return {each.language: each.tokenizer for each in self._core.languages()}

    @property
    def default_language(self) -> str:
        """What is spoken where a request names no language."""
        return self._core.default_language

    def encode(
        self, text: str, language: str | None = None, options: TextOptions | None = None
    ) -> TextTokens:
        """Returns the ids of a plain text as one chunk, without the id that ends it.

        Raises:
            ConfigError: as `speak`; but a text of which nothing is spoken has no ids.
        """
        tokenizer = self._resolve(language).tokenizer
        part = Part(Traced(check_text(text, "text")))
        used = options or TextOptions()
        return self._encode([part], tokenizer, used, self._lexicon(used, tokenizer))

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text, in chunks.

        Raises:
            ConfigError: the language is unknown, the text is none or nothing of it is spoken, a
                package is missing; or, with `strict`, a character has no id.
        """
        reading = self.read(text, language, options)
        if reading is not None:
            while reading.left:
                reading.read()
            return reading.spoken()
        found = self._resolve(language)
        spoken_in = found.language or found.tokenizer
        prepared = prepare(
            check_text(text, "text"),
            spoken_in,
            options,
            self._core.resolve,
            lambda symbols, named: self._check_phonemes(symbols, named or spoken_in),
        )
        if language is None and prepared.language:
            found = self._core.resolve(prepared.language)
        tokenizer, spoken_in = found.tokenizer, found.language or found.tokenizer
        passages = [self._own_parts(passage, tokenizer) for passage in prepared.passages]
        texts = [part for passage in passages for part in passage.parts if not part.is_phonemes]
        lexicon = self._lexicon(options, tokenizer)
        if lexicon and texts and all(part.language for part in texts):
            raise ConfigError(
                f"text_options.lexicon: expected a text in {spoken_in}, whose words it has, got "
                "one that is all in other languages"
            )
        made = Chunks(self._core.text_eos)
        for passage in passages:
            made.pause(passage.pause_before)
            for parts in self._pieces(passage, spoken_in, options):
                tokens = self._encode(parts, tokenizer, options, lexicon)
                padding = self._padding(tokens, tokenizer, options)
                made.add(tokens, parts[-1].text.end, padding, voice=passage.voice)
        made.pause(prepared.pause_after)
        used = [tokenizer, *(self._tokenizer_of(part, tokenizer) for part in texts)]
        return made.spoken(
            prepared.text,
            spoken_in,
            is_strict=options.strict,
            normalized_text=prepared.normalized_text,
            analyser=self._analyser(used),
        )

    def read(self, text: str, language: str | None, options: TextOptions) -> SentenceReading | None:
        """Begins to read a text sentence by sentence; None for one that is read at once: with
        markup, without normalization, or in one chunk.

        Raises:
            ConfigError: as `speak`.
        """
        if options.normalize == "off" or options.markup != "none":
            return None
        found = self._resolve(language)
        tokenizer, spoken_in = found.tokenizer, found.language or found.tokenizer
        lexicon = self._lexicon(options, tokenizer)

        def encode(parts: list[Part]) -> tuple[TextTokens, list[int]]:
            tokens = self._encode(parts, tokenizer, options, lexicon)
            return tokens, self._padding(tokens, tokenizer, options)

        reading = SentenceReading(
            check_text(text, "text"),
            spoken_in,
            options,
            cut=lambda each, mode: self._core.split(each, spoken_in, mode),
            encode=encode,
            end_id=self._core.text_eos,
            analyser=self._analyser([tokenizer]),
        )
        return reading if reading.left > 1 else None

    def _analyser(self, tokenizers: Sequence[str]) -> str | None:
        """The packages that read for these tokenizers."""
        found = [
            self._own[name].analyser for name in dict.fromkeys(tokenizers) if name in self._own
        ]
        return ", ".join(found) or None

    def _resolve(self, language: str | None) -> _core.TextLanguage:
        """The language, or the default where none is named. An empty name is none of a language."""
        if language == "":
            known = list_names(self.languages)
            raise ConfigError(f"language: expected one of {known}, got ''")
        return self._core.resolve("" if language is None else language)

    def _own_parts(self, passage: Passage, tokenizer: str) -> Passage:
        """A passage in which what the request's tokenizer reads names no language."""
        parts = merged(
            passage.parts, lambda language: self._core.resolve(language).tokenizer == tokenizer
        )
        return replace(passage, parts=parts)

    def _check_phonemes(self, symbols: str, language: str) -> None:
        """Raises ConfigError for a pronunciation that a language can't speak."""
        part = Part(Traced(symbols), is_phonemes=True)
        tokenizer = self._core.resolve(language).tokenizer
        self._encode([part], tokenizer, TextOptions(), ())

    def _tokenizer_of(self, part: Part, tokenizer: str) -> str:
        return self._core.resolve(part.language).tokenizer if part.language else tokenizer

    def _lexicon(self, options: TextOptions, tokenizer: str) -> list[_core.LexiconEntry]:
        """The entries of a request's lexicon, as the library takes them.

        Raises:
            ConfigError: it is no lexicon, or the tokenizer takes none.
        """
        if options.lexicon is None:
            return []
        kind = self._tokenizers[tokenizer].kind
        if kind != "ipa":
            raise ConfigError(
                f"text_options.lexicon: expected a tokenizer of the kind ipa, and {tokenizer} is "
                f"of the kind {kind}"
            )
        from ttsrt_rt.text.lexicon import lexicon_of

        return [
            _core.LexiconEntry(each.word, each.symbols, is_exact=each.is_exact)
            for each in lexicon_of(options.lexicon, "text_options.lexicon")
        ]

    def _pieces(
        self, passage: Passage, language: str, options: TextOptions
    ) -> Iterator[Sequence[Part]]:
        """The chunks of a passage."""
        if not passage.is_plain:
            yield from pieces_of(
                passage.parts, lambda text: self._core.split(text, language, options.split)
            )
            return
        whole = passage.parts[0].text
        for piece in self._core.split(whole.text, language, options.split):
            spans: Any = piece.spans
            if not whole.is_original:
                spans = [whole.span_of(int(begin), int(end)) for begin, end in spans]
            yield [Part(Traced(piece.text, spans))]

    def _encode(
        self,
        parts: Sequence[Part],
        tokenizer: str,
        options: TextOptions,
        lexicon: Sequence[_core.LexiconEntry],
    ) -> TextTokens:
        """The ids of parts, one behind the other. Neighbours that the library encodes go to it
        together.
        """
        names = [self._tokenizer_of(part, tokenizer) for part in parts]
        main = next((name for name in names if name not in self._own), tokenizer)
        if tokenizer in names and tokenizer not in self._own:
            main = tokenizer
        entries = lexicon if main == tokenizer else ()
        made: list[TextTokens] = []
        named = zip(names, parts, strict=True)
        for is_own, group in itertools.groupby(named, lambda each: each[0] in self._own):
            if is_own:
                made += self._encode_own([*group])
            else:
                made.append(self._encode_native([*group], main, options, entries))
        if len(made) == 1:
            return made[0]
        dropped: dict[str, int] = {}
        for each in made:
            for letter, count in each.dropped.items():
                dropped[letter] = dropped.get(letter, 0) + count
        ids = [int(each) for part in made for each in part.ids]
        spans: list[Span] = [(int(a), int(b)) for part in made for a, b in _spans(part)]
        return TextTokens(ids, spans, dropped, sum(each.num_spoken for each in made))

    def _encode_own(self, parts: Sequence[tuple[str, Part]]) -> Iterator[TextTokens]:
        for name, part in parts:
            if part.is_phonemes:
                raise ConfigError(f"text: expected no phonemes for {name}, which reads none")
            made: TextTokens = self._own[name].encode(part.text.text)
            spans = [part.text.span_of(begin, end) for begin, end in _spans(made)]
            yield TextTokens(made.ids, spans, made.dropped, made.num_spoken)

    def _encode_native(
        self,
        parts: Sequence[tuple[str, Part]],
        main: str,
        options: TextOptions,
        lexicon: Sequence[_core.LexiconEntry],
    ) -> TextTokens:
        """The ids of parts that the library encodes; the lexicon is of the tokenizer `main`."""
        native = [
            _core.TextPart(
                part.text.text,
                is_phonemes=part.is_phonemes,
                tokenizer=name,
                spans=None if part.text.is_original else part.text.spans,
            )
            for name, part in parts
        ]
        made = self._core.encode(
            native,
            main,
            special_text=options.special_text,
            lexicon=lexicon,
        )
        return TextTokens(made.ids, made.spans, made.dropped)

    def _padding(self, made: TextTokens, tokenizer: str, options: TextOptions) -> list[int]:
        if options.short_text != "pad" or len(made.ids) >= SHORT:
            return []
        return [self._tokenizers[tokenizer].pad] * (SHORT - len(made.ids))


def _spans(made: TextTokens) -> Sequence[Span]:
    spans: Any = made.spans
    return () if spans is None else spans
