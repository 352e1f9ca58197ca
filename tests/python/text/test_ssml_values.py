"""Values of attributes: how long a break is, how fast a rate."""

from __future__ import annotations

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.text.ssml_values import break_milliseconds, rate_of
from ttsrt_rt.text.xml_tokens import Tag, XmlSource, tokens_of


def tag_of(text: str) -> tuple[XmlSource, Tag]:
    source = XmlSource(text, "text")
    tag = next(iter(tokens_of(source)))
    assert isinstance(tag, Tag)
    return source, tag


@pytest.mark.parametrize(
    ("attributes", "milliseconds"),
    [
        *(('time="300ms"', 300), ('time="1.5s"', 1500), ('time="0s"', 0), ('time="10s"', 10_000)),
        *(('strength="none"', 0), ('strength="x-weak"', 100), ('strength="weak"', 200)),
        *(('strength="medium"', 400), ('strength="strong"', 700), ('strength="x-strong"', 1000)),
        ("", 400),
    ],
)
def test_breaks(attributes: str, milliseconds: int) -> None:
    assert break_milliseconds(*tag_of(f"<break {attributes}/>")) == milliseconds


@pytest.mark.parametrize(
    "attributes",
    [
        'time="300"',
        'time="-1s"',
        'time="10001ms"',
        'time="1e9s"',
        'time="nan s"',
        'strength="loud"',
    ],
)
def test_breaks_that_are_none(attributes: str) -> None:
    with pytest.raises(ConfigError, match="text: line 1, column 1: expected"):
        break_milliseconds(*tag_of(f"<break {attributes}/>"))


def test_rates() -> None:
    assert rate_of(*tag_of('<prosody rate="150%">')) == pytest.approx(1.5)
    assert rate_of(*tag_of('<prosody rate="medium">')) == 1.0
    assert rate_of(*tag_of('<prosody rate="slow">')) < 1 < rate_of(*tag_of('<prosody rate="fast">'))
    for wrong in ("0%", "-5%", "quick", "1e99%"):
        with pytest.raises(ConfigError, match="text: line 1, column 1: expected"):
            rate_of(*tag_of(f'<prosody rate="{wrong}">'))
