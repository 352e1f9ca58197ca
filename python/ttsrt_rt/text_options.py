"""How the text of a request is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import TextSplit, named_fields
from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    from ttsrt_rt.text.lexicon import Lexicon

__all__ = [
    "Markup",
    "Normalize",
    "ShortText",
    "TextOptions",
    "check_text_options",
    "refuse_options",
]

Normalize: TypeAlias = Literal["off", "numbers", "nemo"]
Markup: TypeAlias = Literal["none", "ssml"]
ShortText: TypeAlias = Literal["keep", "pad"]


@named_fields
@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How the text of a request is read.

    Attributes:
        strict: True makes characters an error that the language's vocabulary lacks. Otherwise they
            are left out and counted in `result.metrics.dropped_text`.
        special_text: Tokenizers of bytes: True reads "<pad>", "</s>" and "<extra_id_N>" in the text
            as ids of their own, as the original does, and not as these characters.
        split: When a long text is spoken in several chunks. "auto": in sentences, where it has as
            many words as the language allows at once; "never"; "sentences": always; "phrases": as
            auto, and sentences of more than 35 words are cut between phrases or words.
        short_text: "pad" adds padding after texts of less than four symbols, which some models cut
            off; "keep" doesn't.
        terminal_punctuation: True adds a full stop after a text that ends in no punctuation.
        normalize: What becomes words before the text is read: "off" for nothing; "numbers"; "nemo"
            for numbers, dates, currencies and so on by nemo_text_processing.
        markup: "ssml" for a text with the tags of docs/say.md, "none" for a plain one.
        lexicon: Pronunciations of words, which come before the model's own dictionary.

    Raises:
        ConfigError: A value is of another kind; the message names the field.
    """

    strict: bool = False
    special_text: bool = False
    split: TextSplit = "auto"
    short_text: ShortText = "keep"
    terminal_punctuation: bool = False
    normalize: Normalize = "off"
    markup: Markup = "none"
    lexicon: Lexicon | Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        check_text_options(self)


_WORDS = {"split": TextSplit, "short_text": ShortText, "normalize": Normalize, "markup": Markup}
_FLAGS = ("strict", "special_text", "terminal_punctuation")


def check_text_options(options: object) -> TextOptions:
    """Returns options whose values are of their kinds.

    Raises:
        ConfigError: they are not; the message names the field.
    """
    if not isinstance(options, TextOptions):
        raise ConfigError(f"text_options: expected TextOptions, got {show(options)}")
    for name, words in _WORDS.items():
        value = getattr(options, name)
        if not isinstance(value, str) or value not in get_args(words):
            known = ", ".join(get_args(words))
            raise ConfigError(f"text_options.{name}: expected one of {known}, got {show(value)}")
    for name in _FLAGS:
        value = getattr(options, name)
        if not isinstance(value, bool):
            raise ConfigError(f"text_options.{name}: expected True or False, got {show(value)}")
    return options


def refuse_options(options: TextOptions, model: str) -> None:
    """Refuses the options that a front end without phonemes does not have.

    Args:
        options: of the request.
        model: the name of the model, for messages.

    Raises:
        ConfigError: one of them is set; the message names the first.
    """
    usual = TextOptions()
    if options.split not in ("auto", "never"):
        raise ConfigError(
            f"text_options.split: expected auto or never for {model}, got {options.split}"
        )
    for name in ("special_text", "short_text", "terminal_punctuation", "normalize", "markup",
                 "lexicon"):  # fmt: skip
        value = getattr(options, name)
        if value != getattr(usual, name):
            raise ConfigError(f"text_options.{name}: expected none for {model}, got {show(value)}")
