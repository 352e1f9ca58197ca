"""Values of attributes of SSML: how long a break is, and how fast speech is."""

from __future__ import annotations

import re

from ttsrt_rt.quoting import quote
from ttsrt_rt.text.xml_tokens import Tag, XmlSource

__all__ = ["break_milliseconds", "rate_of"]

MAX_BREAK = 10_000  # milliseconds
MIN_RATE, MAX_RATE = 0.25, 4.0
# Milliseconds of the strengths of a break.
STRENGTHS = {"none": 0, "x-weak": 100, "weak": 200, "medium": 400, "strong": 700, "x-strong": 1000}
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "default": 1.0, "fast": 1.25, "x-fast": 1.5}
TIME = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})(ms|s)")
NUMBER = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)(%?)")


def break_milliseconds(source: XmlSource, tag: Tag) -> int:
    """How long a `<break>` is: its `time`, or else its `strength`, which is medium by default.

    Raises:
        ConfigError: Neither is one, or it is longer than 10 seconds.
    """
    time = tag.attributes.get("time")
    strength = tag.attributes.get("strength", "medium")
    if strength not in STRENGTHS:
        raise source.error(tag.at, f"strength among {', '.join(STRENGTHS)}", quote(strength))
    if time is None:
        return STRENGTHS[strength]
    found = TIME.fullmatch(time.strip())
    if found is None:
        raise source.error(tag.at, 'time="300ms" or time="0.3s"', quote(time))
    length = round(float(found[1]) * (1000 if found[2] == "s" else 1))
    if length > MAX_BREAK:
        raise source.error(tag.at, f"a break of at most {MAX_BREAK // 1000} s", quote(time))
    return length


def rate_of(source: XmlSource, tag: Tag) -> float:
    """How fast a `<prosody>` is, relative to the usual: 2 is twice as fast.

    Raises:
        ConfigError: Its `rate` is neither a word, nor a number or percentage in the limits.
    """
    rate = tag.attributes["rate"].strip()
    if rate in RATES:
        return RATES[rate]
    found = NUMBER.fullmatch(rate)
    value = 0.0 if found is None else float(found[1]) / (100 if found[2] else 1)
    if not MIN_RATE <= value <= MAX_RATE:
        words = ", ".join(RATES)
        raise source.error(tag.at, f"a rate from 25% to 400%, or among {words}", quote(rate))
    return value
