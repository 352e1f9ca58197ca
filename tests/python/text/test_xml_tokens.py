"""The reader of XML below SSML and lexicons: what it takes, and hostile texts."""

from __future__ import annotations

import time

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.xml_tokens import MAX_BYTES, Characters, Tag, XmlSource, tokens_of


def read(text: str, **options: bool) -> list[Tag | Characters]:
    return list(tokens_of(XmlSource(text, "xml", **options)))


def test_tags_attributes_and_characters() -> None:
    found = read("<a b='1' c:d = \"x&amp;y\tz\" >hi<e/>&lt;there</a>")
    assert [type(each).__name__ for each in found] == [
        *("Tag", "Characters", "Tag", "Tag", "Characters", "Tag"),
    ]
    assert isinstance(found[0], Tag) and found[0].attributes == {"b": "1", "c:d": "x&y z"}
    text = found[4]
    assert isinstance(text, Characters) and text.text == "<there"
    assert text.origins == [text.at, *range(text.at + 4, text.end)]


def test_a_declaration_and_comments() -> None:
    assert len(read("\ufeff<?xml version='1.0' encoding='UTF-8'?>\n<a/>\n")) == 2
    assert len(read("<!-- x --><a><!-- <b> --></a>", allows_comments=True)) == 2
    with pytest.raises(ConfigError, match="line 1, column 4: expected a tag and no declaration"):
        read("<a><!-- x --></a>")
    with pytest.raises(ConfigError, match="a comment that ends with -->"):
        read("<a><!-- x -- y --></a>", allows_comments=True)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1, column 1: expected an element, got none"),
        ("text", "line 1, column 1: expected a tag, got 'text'"),
        ("<a>", "line 1, column 1: expected </a> for this element, got the end of the text"),
        ("<a>\n <b>\n</a>", "line 3, column 1: expected </b>, got </a>"),
        ("<a></a></a>", "column 8: expected no tag behind the last element, got </a>"),
        ("<a/><b/>", "column 5: expected nothing behind </a>, got '<b/>'"),
        ("<a/>x", "column 5: expected nothing behind </a>, got 'x'"),
        ("<a b='1' b='2'/>", "column 10: expected each attribute once, got b again"),
        ("<a b=1/>", "column 3: expected name="),
        ("<a b='<'/>", "column 3: expected name="),
        ("<a b='1'", 'expected name="value" or the end of <a>, got the end'),
        ("<a>&nbsp;</a>", "column 4: expected one of &amp; &lt; &gt; &quot; &apos;, got '&nbsp;"),
        ("<a>&#65;</a>", "column 4: expected one of &amp;"),
        ("<a b='&x;'/>", "column 7: expected one of &amp;"),
        ("<a>&</a>", "column 4: expected one of &amp;"),
        ("<a><![CDATA[x]]></a>", "column 4: expected a tag and no declaration"),
        ("<?php x ?><a/>", "column 1: expected a tag and no processing instruction"),
        ("<?xml version='1.0' encoding='utf-16'?><a/>", "expected UTF-8, got the encoding"),
        ("< a/>", "column 1: expected a tag, got '< a/>'"),
        ("<a\x00/>", "column 3: expected characters of XML, got U\\+0000"),
        ("<a>\udc80</a>", "column 4: expected characters of XML, got U\\+DC80"),
        ("<a></ a>", "column 4: expected a tag that closes an element"),
    ],
)
def test_mistakes_say_where(text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(text)


BOMB = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (BOMB, "no declaration"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "no declaration"),
        ("<a>" * 100_000, f"at most {MAX_BYTES} bytes, got 300000"),
        ("<a>" * 17 + "</a>" * 17, "elements at most 16 deep"),
        ("<a>" + "<b/>" * 5000 + "</a>", "at most 4096 tags"),
        ("<a>" + "x" * MAX_BYTES + "</a>", f"at most {MAX_BYTES} bytes"),
        ("<a>" + "\u4e00" * (MAX_BYTES // 3) + "</a>", f"at most {MAX_BYTES} bytes"),
        ("<a " + "b" * 60_000, "expected name="),
        ("<a" + " " * 60_000 + "!", "expected name="),
        ("<a b='" + "&amp;" * 12_000, "expected name="),
        ("<" * 60_000, "expected a tag"),
        ("&" * 60_000, "expected a tag|one of &amp;"),
        ("<a>" + "&amp" * 15_000, "one of &amp;"),
    ],
    ids=range(13),
)
def test_hostile_texts_end_soon(text: str, told: str) -> None:
    begin = time.process_time()
    with pytest.raises(ConfigError, match=told):
        read(text)
    assert time.process_time() - begin < 1


def test_the_most_that_is_allowed() -> None:
    assert len(read("<a>" * 16 + "</a>" * 16)) == 32
    assert len(read("<a>" + "<b/>" * 4094 + "</a>")) == 2 + 2 * 4094
    assert len(read("<a>" + "x" * (MAX_BYTES - 7) + "</a>")) == 3
