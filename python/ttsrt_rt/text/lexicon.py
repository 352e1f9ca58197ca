"""Reads pronunciation lexicons: our text, a word and its pronunciation a line, or W3C PLS.

PLS is reduced to `lexeme`, `grapheme` and `phoneme`. A lexicon comes before the model's own
dictionary; whoever uses it checks its symbols against the vocabulary of the language.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import quote, shorten, show
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.text.xml_tokens import MAX_BYTES, Characters, Tag, XmlSource, tokens_of

__all__ = ["Lexicon", "LexiconEntry", "lexicon_of", "parse_lexicon", "read_lexicon"]

MAX_ENTRIES = 1000
MAX_WORD = 128  # code points
MAX_SYMBOLS = 512
COMMENT = ";;;"
EXACT = re.compile(r"case=([\"']?)exact\1")
PLS = re.compile(r"\ufeff?\s*<")
ELEMENTS = {
    "lexicon": ("version", "xmlns", "xml:lang", "alphabet", "xmlns:xsi", "xsi:schemaLocation"),
    "lexeme": ("xml:id", "case"),
    "grapheme": ("case",),
    "phoneme": ("alphabet",),
}
PARENTS = {"lexicon": None, "lexeme": "lexicon", "grapheme": "lexeme", "phoneme": "lexeme"}


@dataclass(frozen=True)
class LexiconEntry:
    """How a word is spoken.

    Attributes:
        word: One word.
        symbols: Its pronunciation: code points, in NFC and without white space.
        is_exact: Whether capitals count.
    """

    word: str
    symbols: str
    is_exact: bool = False


@dataclass(frozen=True)
class Lexicon:
    """The entries of a lexicon; no word stands twice.

    Attributes:
        entries: In the order of the file.
        language: That the file names (`xml:lang` of PLS), which must be that of the text; None for
            any.
    """

    entries: tuple[LexiconEntry, ...]
    language: str | None = None

    def __len__(self) -> int:
        return len(self.entries)

    def __iter__(self) -> Iterator[LexiconEntry]:
        return iter(self.entries)


def read_lexicon(path: str | os.PathLike[str]) -> Lexicon:
    """Reads the file of a lexicon: PLS where it begins with a tag, else our text.

    Raises:
        NotFoundError, ConfigError: As `read_regular`.
        FormatError: The file is larger than 64 KiB, or is no lexicon; the message has the line.
    """
    data = read_regular(path, MAX_BYTES)
    name = os.fspath(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: expected UTF-8, got other bytes at {error.start}") from error
    try:
        return parse_lexicon(text, name)
    except ConfigError as error:
        raise FormatError(str(error)) from error


def parse_lexicon(text: str, where: str = "lexicon") -> Lexicon:
    """Parses the text of a lexicon.

    Args:
        text: PLS where it begins with a tag, else a word and its pronunciation a line. Lines that
            begin with `;;;` are comments; `case="exact"` at the end of a line makes capitals count.
        where: The name of the text in errors.

    Raises:
        ConfigError: It is larger than 64 KiB, has over 1,000 entries or a word twice, or a line or
            an element is something else.
    """
    if PLS.match(text):
        return _pls(text, where)
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ConfigError(f"{where}: expected at most {MAX_BYTES} bytes, got more")
    return Lexicon(_checked(_lines(text, where)))


def lexicon_of(value: object, where: str = "lexicon") -> Lexicon:
    """A lexicon, or one of words and their pronunciations.

    Raises:
        ConfigError: It is neither, or as for `parse_lexicon`.
    """
    if isinstance(value, Lexicon):
        return value
    if not isinstance(value, Mapping):
        raise ConfigError(
            f"{where}: expected a lexicon, or words and their pronunciations, got {show(value)}"
        )
    if len(value) > MAX_ENTRIES:
        raise ConfigError(f"{where}: expected at most {MAX_ENTRIES} words, got {len(value)}")
    for word, symbols in value.items():
        if not isinstance(word, str) or not isinstance(symbols, str):
            raise ConfigError(f"{where}: expected texts, got {show(word)}: {show(symbols)}")
    return Lexicon(
        _checked((where, _entry(word, symbols, False, where)) for word, symbols in value.items())
    )


def _checked(found: Iterable[tuple[str, LexiconEntry]]) -> tuple[LexiconEntry, ...]:
    """The entries, each with where it is; refuses too many, and a word that stands twice."""
    entries: list[LexiconEntry] = []
    places: dict[tuple[bool, str], str] = {}
    for place, entry in found:
        key = (entry.is_exact, entry.word if entry.is_exact else entry.word.upper())
        if key in places:
            raise ConfigError(
                f"{place}: expected each word once, got {quote(entry.word)}, which stands at "
                f"{places[key]}, too"
            )
        places[key] = place
        entries.append(entry)
        if len(entries) > MAX_ENTRIES:
            raise ConfigError(f"{place}: expected at most {MAX_ENTRIES} entries, got more")
    return tuple(entries)


def _lines(text: str, where: str) -> Iterator[tuple[str, LexiconEntry]]:
    for number, line in enumerate(text.splitlines(), 1):
        place = f"{where}: line {number}"
        line = line.strip("\ufeff \t\r")
        if not line or line.startswith(COMMENT):
            continue
        rest, *last = line.rsplit(None, 1)
        is_exact = bool(last and EXACT.fullmatch(last[0]))
        word, _, symbols = (rest if is_exact else line).replace("\t", " ").partition(" ")
        yield place, _entry(word, symbols, is_exact, place)


def _entry(word: str, symbols: str, is_exact: bool, place: str) -> LexiconEntry:
    word = unicodedata.normalize("NFC", word.strip()).replace("\u2019", "'")
    symbols = "".join(unicodedata.normalize("NFC", symbols).split())
    if not word or not symbols:
        missing = "word" if not word else "pronunciation"
        raise ConfigError(f"{place}: expected a word and its pronunciation, got no {missing}")
    if len(word) > MAX_WORD or len(symbols) > MAX_SYMBOLS:
        raise ConfigError(
            f"{place}: expected a word of at most {MAX_WORD} characters and {MAX_SYMBOLS} symbols, "
            f"got {len(word)} and {len(symbols)}"
        )
    if len(word.split()) > 1 or not any(letter.isalpha() for letter in word):
        raise ConfigError(f"{place}: expected one word, got {quote(word)}")
    try:
        f"{word}{symbols}".encode()
    except UnicodeEncodeError as error:
        raise ConfigError(f"{place}: expected Unicode text, got a lone surrogate") from error
    return LexiconEntry(word, symbols, is_exact)


@dataclass
class _Lexeme:
    """A `lexeme` that is being read."""

    tag: Tag
    words: list[tuple[str, bool]]
    symbols: str = ""


def _pls(text: str, where: str) -> Lexicon:
    source = XmlSource(text, where, allows_comments=True)
    found: list[tuple[str, LexiconEntry]] = []
    open_tags: list[Tag] = []
    lexeme = _Lexeme(Tag("", 0, 0), [])
    language = alphabet = None
    held = ""
    for token in tokens_of(source):
        if isinstance(token, Characters):
            inside = open_tags[-1].name
            if inside in ("lexicon", "lexeme") and token.text.strip():
                raise source.error(token.at, f"no text in <{inside}>", quote(token.text[:20]))
            held += token.text
        elif not token.is_close:
            _check_pls(source, token, open_tags[-1].name if open_tags else None)
            open_tags.append(token)
            held = ""
            if token.name == "lexeme":
                lexeme = _Lexeme(token, [])
            elif token.name == "lexicon":
                language = token.attributes.get("xml:lang")
                alphabet = token.attributes.get("alphabet")
            elif token.name == "phoneme":
                _check_alphabet(source, token, alphabet)
        else:
            _close_pls(source, open_tags.pop(), lexeme, held, found)
            held = ""
    return Lexicon(_checked(found), language)


def _check_pls(source: XmlSource, tag: Tag, parent: str | None) -> None:
    if tag.name not in ELEMENTS:
        known = ", ".join(ELEMENTS)
        raise source.error(tag.at, f"an element among {known}", f"<{shorten(tag.name, 40)}>")
    if PARENTS[tag.name] != parent:
        wanted = PARENTS[tag.name]
        inside = f"in <{wanted}>" if wanted else "around the whole"
        raise source.error(tag.at, f"<{tag.name}> {inside}", "it somewhere else")
    for name, value in tag.attributes.items():
        known = ", ".join(ELEMENTS[tag.name])
        if name not in ELEMENTS[tag.name]:
            raise source.error(tag.at, f"attributes of <{tag.name}> among {known}", name[:40])
        if name == "case" and value not in ("exact", "any"):
            raise source.error(tag.at, 'case="exact" or "any"', quote(value))


def _check_alphabet(source: XmlSource, tag: Tag, given: str | None) -> None:
    alphabet = tag.attributes.get("alphabet", given)
    if alphabet != "ipa":
        got = "none" if alphabet is None else quote(alphabet)
        raise source.error(tag.at, 'alphabet="ipa" of <phoneme> or <lexicon>', got)


def _close_pls(
    source: XmlSource, tag: Tag, lexeme: _Lexeme, held: str, found: list[tuple[str, LexiconEntry]]
) -> None:
    if tag.name == "grapheme":
        case = tag.attributes.get("case", lexeme.tag.attributes.get("case"))
        lexeme.words.append((held, case == "exact"))
    elif tag.name == "phoneme":
        if lexeme.symbols:
            raise source.error(tag.at, "one <phoneme> in a <lexeme>", "another one")
        lexeme.symbols = held
    elif tag.name == "lexeme":
        if not lexeme.words:
            raise source.error(tag.at, "a <grapheme> in <lexeme>", "none")
        line = source.text.count("\n", 0, tag.at) + 1
        place = f"{source.where}: line {line}"
        found += [
            (place, _entry(word, lexeme.symbols, exact, place)) for word, exact in lexeme.words
        ]
