"""Reads the small part of XML that SSML and pronunciation lexicons need.

There is no document type, so nothing can be defined or fetched: a text has tags with attributes,
characters, and the five entities of XML. Sizes, tags and depth have limits; nothing recurs, and the
work is linear in the length of the text. Every error says the line and the column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import quote

__all__ = ["Characters", "Tag", "XmlSource", "tokens_of"]

MAX_BYTES = 64 << 10
MAX_TAGS = 4096
MAX_DEPTH = 16

NAME = r"[A-Za-z_][A-Za-z0-9_.-]{0,63}(?::[A-Za-z_][A-Za-z0-9_.-]{0,63})?"
OPEN = re.compile(rf"<({NAME})")
CLOSE = re.compile(rf"</({NAME})[ \t\r\n]*>")
ATTRIBUTE = re.compile(rf"[ \t\r\n]+({NAME})[ \t\r\n]*=[ \t\r\n]*(\"[^\"<]*\"|'[^'<]*')")
END = re.compile(r"[ \t\r\n]*(/?)>")
DECLARATION = re.compile(r"<\?xml[ \t\r\n]([^?<>]*)\?>")
ENCODING = re.compile(r"encoding[ \t\r\n]*=[ \t\r\n]*[\"']([^\"']*)[\"']")
ENTITY = re.compile(r"&(amp|lt|gt|quot|apos);")
PLAIN = re.compile(r"[^<&]+")
# Characters that XML does not have. Surrogates are what Python makes of bytes that are not UTF-8.
ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
VALUES = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


@dataclass(frozen=True)
class XmlSource:
    """A text to parse, and what it is called in errors.

    Attributes:
        text: The whole text.
        where: "ssml", or the name of a file.
        allows_comments: Whether `<!-- -->` may stand in it.
        root: The element that is around all, for errors; "" for any.
    """

    text: str
    where: str
    allows_comments: bool = False
    root: str = ""

    def error(self, at: int, expected: str, got: str) -> ConfigError:
        """An error at a place of the text, in code points."""
        return ConfigError(f"{self.place(at)}: expected {expected}, got {got}")

    def place(self, at: int) -> str:
        """The name of the text, with the line and the column of a place in it."""
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        return f"{self.where}: line {line}, column {column}"

    def near(self, at: int) -> str:
        """What stands at a place, quoted; "the end" behind the text."""
        return quote(self.text[at : at + 20]) if at < len(self.text) else "the end"


@dataclass(frozen=True)
class Tag:
    """A tag.

    Attributes:
        name: Of the element, with its prefix.
        at: Where it begins.
        attributes: Of one that opens; entities are resolved.
        is_close: Whether it closes an element; one that is empty is opened and closed by two tags.
        end: Behind its last character.
    """

    name: str
    at: int
    end: int
    attributes: dict[str, str] = field(default_factory=dict)
    is_close: bool = False


@dataclass(frozen=True)
class Characters:
    """Characters between tags, entities resolved.

    Attributes:
        text: The characters.
        at: Where they begin.
        end: Behind the last one.
        origins: Where each of them stands in the source; those of an entity, where it begins.
    """

    text: str
    at: int
    end: int
    origins: list[int]


def tokens_of(source: XmlSource) -> Iterator[Tag | Characters]:
    """Yields tags and characters. Elements are nested rightly, and there is one around all.

    Raises:
        ConfigError: The text is larger than 64 KiB, has more than 4,096 tags or a depth over 16, is
            not well-formed, or has something else than tags, characters and the five entities.
    """
    _check_text(source)
    text = source.text
    open_tags: list[Tag] = []
    at = _behind_declaration(source)
    num_tags, root = 0, ""
    while at < len(text):
        if text[at] != "<":
            found = _characters(source, at)
            if open_tags:
                yield found
            elif found.text.strip(" \t\r\n"):
                raise source.error(at, _outside(source, root), source.near(at))
            at = found.end
            continue
        if text.startswith("<!--", at) and source.allows_comments:
            at = _behind_comment(source, at)
            continue
        num_tags += 1
        if num_tags > MAX_TAGS:
            raise source.error(at, f"at most {MAX_TAGS} tags", "more")
        if text.startswith("</", at):
            tag = _close(source, at, open_tags)
            yield tag
        else:
            if root and not open_tags:
                raise source.error(at, _outside(source, root), source.near(at))
            tag, is_empty = _open(source, at)
            root = root or tag.name
            if len(open_tags) == MAX_DEPTH:
                raise source.error(at, f"elements at most {MAX_DEPTH} deep", "deeper ones")
            yield tag
            if is_empty:
                yield Tag(tag.name, tag.at, tag.end, is_close=True)
            else:
                open_tags.append(tag)
        at = tag.end
    if open_tags:
        raise source.error(
            open_tags[-1].at, f"</{open_tags[-1].name}> for this element", "the end of the text"
        )
    if not root:
        raise source.error(0, "an element", "none")


def _outside(source: XmlSource, root: str) -> str:
    """What is expected outside of all elements: in front of the root, or behind it."""
    if root:
        return f"nothing behind </{root}>"
    return f"<{source.root}> around the whole" if source.root else "a tag"


def _check_text(source: XmlSource) -> None:
    bad = ILLEGAL.search(source.text[: MAX_BYTES + 1])
    if bad is not None:
        raise source.error(bad.start(), "characters of XML", f"U+{ord(bad[0]):04X}")
    if len(source.text) > MAX_BYTES or len(source.text.encode("utf-8")) > MAX_BYTES:
        raise ConfigError(
            f"{source.where}: expected at most {MAX_BYTES} bytes, got "
            f"{len(source.text.encode('utf-8', 'surrogatepass'))}"
        )


def _behind_declaration(source: XmlSource) -> int:
    begin = 1 if source.text.startswith("\ufeff") else 0
    found = DECLARATION.match(source.text, begin)
    if found is None:
        return begin
    encoding = ENCODING.search(found[1])
    if encoding is not None and encoding[1].lower() not in ("utf-8", "us-ascii"):
        raise source.error(begin, "UTF-8", f"the encoding {quote(encoding[1])}")
    return found.end()


def _behind_comment(source: XmlSource, at: int) -> int:
    end = source.text.find("--", at + 4)
    if end < 0 or not source.text.startswith("-->", end):
        raise source.error(at, "a comment that ends with -->", source.near(at))
    return end + 3


def _open(source: XmlSource, at: int) -> tuple[Tag, bool]:
    """The tag that opens an element, and whether that is empty."""
    text = source.text
    head = OPEN.match(text, at)
    if head is None:
        kinds = {"<!": "no declaration or comment", "<?": "no processing instruction"}
        raise source.error(at, f"a tag{_and(kinds.get(text[at : at + 2]))}", source.near(at))
    attributes: dict[str, str] = {}
    here = head.end()
    while (found := ATTRIBUTE.match(text, here)) is not None:
        if found[1] in attributes:
            raise source.error(found.start(1), "each attribute once", f"{found[1]} again")
        attributes[found[1]] = _value(source, found.start(2) + 1, found.end(2) - 1)
        here = found.end()
    end = END.match(text, here)
    if end is None:
        raise source.error(here, f'name="value" or the end of <{head[1]}>', source.near(here))
    return Tag(head[1], at, end.end(), attributes), bool(end[1])


def _close(source: XmlSource, at: int, open_tags: list[Tag]) -> Tag:
    found = CLOSE.match(source.text, at)
    if found is None:
        raise source.error(at, "a tag that closes an element", source.near(at))
    if not open_tags or open_tags[-1].name != found[1]:
        wanted = f"</{open_tags[-1].name}>" if open_tags else "no tag behind the last element"
        raise source.error(at, wanted, f"</{found[1]}>")
    open_tags.pop()
    return Tag(found[1], at, found.end(), is_close=True)


def _characters(source: XmlSource, at: int) -> Characters:
    parts: list[str] = []
    origins: list[int] = []
    here = at
    while here < len(source.text) and source.text[here] != "<":
        plain = PLAIN.match(source.text, here)
        if plain is not None:
            parts.append(plain[0])
            origins.extend(range(here, plain.end()))
            here = plain.end()
        else:
            value, end = _entity(source, here)
            parts.append(value)
            origins.append(here)
            here = end
    return Characters("".join(parts), at, here, origins)


def _value(source: XmlSource, begin: int, end: int) -> str:
    """The value of an attribute: entities resolved, white space as spaces."""
    parts: list[str] = []
    here = begin
    while here < end:
        plain = PLAIN.match(source.text, here, end)
        if plain is not None:
            parts.append(plain[0])
            here = plain.end()
        else:
            value, here = _entity(source, here)
            parts.append(value)
    return re.sub(r"[\t\r\n]", " ", "".join(parts))


def _entity(source: XmlSource, at: int) -> tuple[str, int]:
    found = ENTITY.match(source.text, at)
    if found is None:
        known = " ".join(f"&{name};" for name in VALUES)
        raise source.error(at, f"one of {known}", source.near(at))
    return VALUES[found[1]], found.end()


def _and(text: str | None) -> str:
    return f" and {text}" if text else ""
