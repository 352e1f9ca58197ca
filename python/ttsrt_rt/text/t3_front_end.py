"""The text front end of a T3: the release's own tokenizer, whose files a checkpoint carries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import list_names, show
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.languages import find_language
from ttsrt_rt.text.t3_tokenizer import T3Tokenizer
from ttsrt_rt.text_options import TextOptions

__all__ = ["T3FrontEnd"]


class T3FrontEnd:
    """Makes ids of texts. Threads may share one.

    Attributes:
        languages: the name of the tokenizer of each language.
        default_language: what is spoken where a request names no language.
    """

    def __init__(self, folder: Path, description: dict[str, Any]) -> None:
        """Opens the folder `text` of an engine.

        Raises:
            ConfigError: the package `tokenizers` is missing.
            FormatError: a file is damaged.
        """
        variant = description.get("variant")
        if not isinstance(variant, str):
            raise FormatError(f"{folder}: variant: expected a text, got {show(variant)}")
        self._tokenizer = T3Tokenizer.open(folder, variant)
        self.languages = {"en": "t3"}
        self.default_language = "en"

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text, as one chunk.

        Raises:
            ConfigError: the language is not English, the text is none, or an option is of other
                models.
        """
        found = find_language(language, self.languages, self.default_language)
        refuse_options(options, "T3")
        made = Chunks(None)
        made.add(self._tokenizer.encode_traced(text), len(text))
        return made.spoken(text, found)


def refuse_options(options: TextOptions, model: str) -> None:
    """Refuses the options that a front end without phonemes and chunks does not have.

    Raises:
        ConfigError: one of them is set.
    """
    usual = TextOptions()
    names = ("split", "short_text", "special_text", "strict", "terminal_punctuation", "normalize",
             "markup", "lexicon")  # fmt: skip
    given = [name for name in names if getattr(options, name) != getattr(usual, name)]
    given = [name for name in given if not (name == "split" and options.split == "never")]
    if given:
        raise ConfigError(
            f"text_options: expected none for {model} but split, got {list_names(given)}"
        )
