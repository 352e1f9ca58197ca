"""The clean-up of punctuation that Chatterbox runs before its tokenizers.

The models were trained on texts that went through these rules, so they are kept as they are, with
their order: the later rules see what the earlier ones made. A test compares them with results of
the original's functions.
"""

from __future__ import annotations

from typing import get_args

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import T3Variant
from ttsrt_rt.quoting import show
from ttsrt_rt.text.traced import Traced

__all__ = ["clean_punctuation", "clean_traced"]

EMPTY = "You need to add some text for me to talk."
TRIPLE_DOTS, SPACED_HYPHEN, SEMICOLON = "...", " - ", ";"
RULES = (
    (TRIPLE_DOTS, ", "),
    ("\u2026", ", "),  # ellipsis
    (":", ","),
    (SPACED_HYPHEN, ", "),
    (SEMICOLON, ", "),
    ("\u2014", "-"),  # em dash
    ("\u2013", "-"),  # en dash
    (" ,", ","),
    ("\u201c", '"'),
    ("\u201d", '"'),
    ("\u2018", "'"),
    ("\u2019", "'"),
)
NOT_OF_GPT2 = (TRIPLE_DOTS, SPACED_HYPHEN, SEMICOLON)
ENDS = (".", "!", "?", "-", ",")
# Ideographic comma and full stop, full-width comma, question mark and exclamation mark.
MULTILINGUAL_ENDS = (*ENDS, "\u3001", "\uff0c", "\u3002", "\uff1f", "\uff01")
VARIANTS: tuple[str, ...] = get_args(T3Variant)


def clean_punctuation(text: str, variant: str = "english") -> str:
    """Returns a text with the punctuation that a variant of T3 knows.

    White space collapses, the first letter becomes a capital, rare punctuation becomes commas and
    hyphens, and a text that does not end a sentence gets a full stop. An empty text becomes a fixed
    sentence.

    Args:
        text: any text.
        variant: "english", "multilingual", "turbo", "nano" or "flash".

    Raises:
        ConfigError: the variant is unknown, or `text` is not text.
    """
    if variant not in VARIANTS:
        raise ConfigError(f"variant: expected one of {', '.join(VARIANTS)}, got {show(variant)}")
    if not isinstance(text, str):
        raise ConfigError(f"text: expected a text, got {show(text)}")
    return clean_traced(Traced(text), variant).text if text else EMPTY


def clean_traced(text: Traced, variant: str) -> Traced:
    """As `clean_punctuation`, for a text that is not empty; each character of the result knows
    where it comes from.
    """
    if text.text[0].islower():
        text = text.with_first(text.text[0].upper())
    text = text.collapsed()
    is_gpt2 = variant in ("turbo", "nano")
    for old, new in RULES:
        if not (is_gpt2 and old in NOT_OF_GPT2):
            text = text.replace(old, new)
    text = text.stripped_end()
    ends = MULTILINGUAL_ENDS if variant == "multilingual" else ENDS
    if text.text.endswith(ends):
        return text
    return text + Traced(".", [text.span_of(len(text.text), len(text.text))])
