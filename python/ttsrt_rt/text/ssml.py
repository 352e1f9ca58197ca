"""Reads the subset of SSML that is spoken: what to say, in which language and voice, and pauses.

The elements are `speak, p, s, phoneme, break, say-as, sub, prosody, lang, voice`; anything else is
an error that says where. Plain text is never taken for SSML: a caller asks for it. The result is in
chunks, which end at breaks and where the voice or the rate changes, and its places are those of the
spoken text: that without tags, in which white space is one space.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import quote, shorten
from ttsrt_rt.text.say_as import INTERPRETATIONS, spoken_as
from ttsrt_rt.text.speech import Span, Speech, SpeechBuilder, Style
from ttsrt_rt.text.ssml_values import break_milliseconds, rate_of
from ttsrt_rt.text.xml_tokens import Characters, Tag, XmlSource, tokens_of

__all__ = ["parse_ssml"]

MAX_PAUSE = 60_000  # milliseconds of all breaks together
BLANKS = " \t\r\n"
# Elements, and the attributes that they may have.
ELEMENTS = {
    "speak": ("version", "xmlns", "xml:lang", "xmlns:xsi", "xsi:schemaLocation"),
    "p": ("xml:lang",),
    "s": ("xml:lang",),
    "phoneme": ("alphabet", "ph"),
    "break": ("time", "strength"),
    "say-as": ("interpret-as", "format", "detail"),
    "sub": ("alias",),
    "prosody": ("rate",),
    "lang": ("xml:lang",),
    "voice": ("name",),
}
# What an element can't do without.
NEEDED = {"phoneme": "ph", "say-as": "interpret-as", "sub": "alias", "prosody": "rate"}
NEEDED |= {"lang": "xml:lang", "voice": "name"}
# Elements that hold characters and nothing else.
LEAVES = ("phoneme", "say-as", "sub", "break")


@dataclass
class _Element:
    """An element that is open.

    Attributes:
        tag: The one that opened it.
        style: Of what stands in it.
    """

    tag: Tag
    style: Style


def parse_ssml(
    text: str,
    *,
    language: str = "en",
    takes_phonemes: bool = True,
    takes_rate: bool = False,
    check_language: Callable[[str], object] | None = None,
    check_voice: Callable[[str], object] | None = None,
    check_phonemes: Callable[[str, str], object] | None = None,
    where: str = "ssml",
) -> Speech:
    """Returns what a text in SSML says.

    Args:
        text: Of one element `speak`.
        language: Of what no `xml:lang` gives another one; it reads digits in `say-as`.
        takes_phonemes: Whether the model reads phonemes; it refuses them otherwise.
        takes_rate: Whether the model has a rate of speech.
        check_language: Raises ConfigError for a language that is not known.
        check_voice: The same for the name of a voice.
        check_phonemes: The same for a pronunciation and its language, "" for that of the request.
        where: The name of the text in errors.

    Raises:
        ConfigError: The text is no SSML, has something that is not in the subset, or exceeds a
            limit: 64 KiB, 4,096 tags, depth 16, 10 seconds for a break, 60 for all of them.
    """
    if not isinstance(text, str):
        raise ConfigError(f"{where}: expected text, got {type(text).__name__}")
    source = XmlSource(text, where, allows_comments=True, root="speak")
    checks = _Checks(check_language, check_voice, check_phonemes)
    reader = _Reader(source, language, takes_phonemes, takes_rate, checks)
    for token in tokens_of(source):
        if isinstance(token, Characters):
            reader.characters(token)
        elif token.is_close:
            reader.close()
        else:
            reader.open(token)
    return reader.finish()


@dataclass(frozen=True)
class _Checks:
    """What raises ConfigError for values that are not known; None for what takes all of them."""

    language: Callable[[str], object] | None
    voice: Callable[[str], object] | None
    phonemes: Callable[[str, str], object] | None


class _Reader:
    """Turns tags and characters into a speech."""

    def __init__(
        self,
        source: XmlSource,
        language: str,
        takes_phonemes: bool,
        takes_rate: bool,
        checks: _Checks,
    ) -> None:
        self._source = source
        self._language = language
        self._takes_phonemes = takes_phonemes
        self._takes_rate = takes_rate
        self._checks = checks
        self._root_language = ""
        self._open: list[_Element] = []
        self._held: Characters | None = None  # of the leaf that is open
        self._speech = SpeechBuilder()
        self._pause = 0

    def open(self, tag: Tag) -> None:
        self._check(tag)
        style = self._open[-1].style if self._open else Style()
        apply = self._APPLY.get(tag.name)
        if apply is not None:
            style = apply(self, tag, style)
        if tag.name in ("p", "s"):
            self._speech.separate(tag.at)
        self._open.append(_Element(tag, style))
        self._held = None

    def characters(self, found: Characters) -> None:
        element = self._open[-1]
        if element.tag.name in LEAVES:
            if element.tag.name == "break" and found.text.strip(BLANKS):
                raise self._source.error(found.at, "<break/> without text", quote(found.text[:20]))
            self._held = found if self._held is None else _joined(self._held, found)
            return
        spans = [(origin, _end(found, index)) for index, origin in enumerate(found.origins)]
        self._speech.add_text(found.text, spans, element.style)

    def close(self) -> None:
        element = self._open.pop()
        finish = self._FINISH.get(element.tag.name)
        if finish is not None:
            finish(self, element, self._held)
        if element.tag.name in ("p", "s"):
            self._speech.separate(element.tag.at)
        self._held = None

    def finish(self) -> Speech:
        speech = dataclasses.replace(self._speech.finish(), language=self._root_language)
        if not speech.chunks:
            raise ConfigError(f"{self._source.where}: expected text to speak, got none")
        return speech

    def _check(self, tag: Tag) -> None:
        source = self._source
        known = ELEMENTS.get(tag.name)
        if known is None:
            names = ", ".join(ELEMENTS)
            raise source.error(tag.at, f"an element among {names}", f"<{shorten(tag.name, 40)}>")
        if (tag.name == "speak") == bool(self._open):
            wanted = "<speak> around the whole" if not self._open else "no <speak> in <speak>"
            raise source.error(tag.at, wanted, f"<{tag.name}>")
        if self._open and self._open[-1].tag.name in LEAVES:
            inside = self._open[-1].tag.name
            raise source.error(tag.at, f"no element in <{inside}>", f"<{tag.name}>")
        for name in tag.attributes:
            if name not in known:
                listed = ", ".join(known)
                raise source.error(
                    tag.at, f"attributes of <{tag.name}> among {listed}", shorten(name, 40)
                )
        needed = NEEDED.get(tag.name)
        if needed is not None and not tag.attributes.get(needed, "").strip():
            raise source.error(tag.at, f'{needed}="..." in <{tag.name}>', "none")

    @contextmanager
    def _placed(self, tag: Tag, attribute: str) -> Iterator[None]:
        """Says where a tag is whose attribute has a value that is not known."""
        try:
            yield
        except ConfigError as error:
            place = self._source.place(tag.at)
            raise ConfigError(f"{place}: {attribute}{error}") from error

    def _apply_language(self, tag: Tag, style: Style) -> Style:
        language = tag.attributes.get("xml:lang", "").strip()
        if not language:
            return style
        with self._placed(tag, "xml:lang: "):
            if self._checks.language is not None:
                self._checks.language(language)
        if tag.name == "speak":
            self._root_language = language
        return style.replace(language=language)

    def _apply_voice(self, tag: Tag, style: Style) -> Style:
        name = tag.attributes["name"].strip()
        with self._placed(tag, "name: "):
            if self._checks.voice is not None:
                self._checks.voice(name)
        return style.replace(voice=name)

    def _apply_prosody(self, tag: Tag, style: Style) -> Style:
        if not self._takes_rate:
            raise self._source.error(
                tag.at, "no <prosody>, as the model has no rate of speech", "rate"
            )
        return style.replace(rate=rate_of(self._source, tag))

    def _apply_phoneme(self, tag: Tag, style: Style) -> Style:
        if not self._takes_phonemes:
            raise self._source.error(
                tag.at, "no <phoneme>, as the model reads no phonemes", "<phoneme>"
            )
        alphabet = tag.attributes.get("alphabet", "ipa")
        if alphabet != "ipa":
            raise self._source.error(tag.at, 'alphabet="ipa"', quote(alphabet))
        return style

    def _finish_break(self, element: _Element, _held: Characters | None) -> None:
        pause = break_milliseconds(self._source, element.tag)
        self._pause += pause
        if self._pause > MAX_PAUSE:
            raise self._source.error(
                element.tag.at,
                f"breaks of at most {MAX_PAUSE // 1000} s in all",
                f"{self._pause / 1000:g} s",
            )
        self._speech.pause(pause)

    def _finish_phoneme(self, element: _Element, held: Characters | None) -> None:
        ph = unicodedata.normalize("NFC", element.tag.attributes["ph"])
        symbols = "".join(letter for letter in ph if not letter.isspace())
        with self._placed(element.tag, "ph: "):
            if self._checks.phonemes is not None:
                self._checks.phonemes(symbols, element.style.language)
        shown, span = _inside(element.tag, held)
        self._speech.add_phonemes(symbols, shown or symbols, span, element.style)

    def _finish_sub(self, element: _Element, held: Characters | None) -> None:
        _, span = _inside(element.tag, held)
        alias = element.tag.attributes["alias"]
        self._speech.add_text(alias, [span] * len(alias), element.style)

    def _finish_say_as(self, element: _Element, held: Characters | None) -> None:
        shown, span = _inside(element.tag, held)
        kind = element.tag.attributes["interpret-as"]
        if kind not in INTERPRETATIONS:
            known = ", ".join(INTERPRETATIONS)
            raise self._source.error(element.tag.at, f"interpret-as among {known}", quote(kind))
        if not shown:
            raise self._source.error(element.tag.at, "text in <say-as>", "none")
        with self._placed(element.tag, ""):  # whose message says its element
            said = spoken_as(kind, shown, element.style.language or self._language)
        self._speech.add_text(said, [span] * len(said), element.style)

    _APPLY: ClassVar[dict[str, Callable[[_Reader, Tag, Style], Style]]] = {
        **dict.fromkeys(("speak", "p", "s", "lang"), _apply_language),
        "voice": _apply_voice,
        "prosody": _apply_prosody,
        "phoneme": _apply_phoneme,
    }
    _FINISH: ClassVar[dict[str, Callable[[_Reader, _Element, Characters | None], None]]] = {
        "break": _finish_break,
        "phoneme": _finish_phoneme,
        "sub": _finish_sub,
        "say-as": _finish_say_as,
    }


def _end(found: Characters, index: int) -> int:
    """Where a character ends in the source: an entity is longer than one."""
    return found.origins[index + 1] if index + 1 < len(found.origins) else found.end


def _joined(first: Characters, second: Characters) -> Characters:
    """Characters around a comment, as one."""
    return Characters(
        first.text + second.text, first.at, second.end, [*first.origins, *second.origins]
    )


def _inside(tag: Tag, held: Characters | None) -> tuple[str, Span]:
    """The text in an element, white space as spaces, and where it is; behind the tag if empty."""
    if held is None:
        return "", (tag.end, tag.end)
    return " ".join(held.text.split()), (held.at, held.end)
