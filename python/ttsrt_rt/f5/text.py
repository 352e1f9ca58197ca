"""Texts for the requests of F5-TTS: ids by the vocabulary that the engine describes.

A request takes one chunk, behind the text of the prompt; `F5Model` cuts long texts and plans how
long each chunk lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.front_end import read_front_end
from ttsrt_rt.quoting import show
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.f5_tokenizer import F5Tokenizer
from ttsrt_rt.text.t3_front_end import refuse_options
from ttsrt_rt.text_options import TextOptions

__all__ = ["F5FrontEnd", "open_f5_front_end"]


class F5FrontEnd:
    """Makes ids of texts. Threads may share one.

    Attributes:
        languages: none: the model tells by the text.
        default_language: "".
    """

    def __init__(self, tokenizer: F5Tokenizer) -> None:
        """Keeps the engine's tokenizer."""
        self._tokenizer = tokenizer
        self.languages: dict[str, str] = {}
        self.default_language = ""

    def read(self, text: str, language: str | None, options: TextOptions) -> None:
        """Texts are read at once."""

    def speak(self, text: str, language: str | None, options: TextOptions) -> SpokenText:
        """Returns the ids of a text, as one chunk.

        Raises:
            ConfigError: a language is named, the text is none or empty, or an option is of other
                models; or a package is missing.
        """
        if language is not None:
            raise ConfigError(
                f"language: expected none, as F5-TTS tells it by the text, got {show(language)}"
            )
        refuse_options(options, "F5-TTS")
        ids = self._tokenizer.encode(text)
        if not text.strip():
            raise ConfigError("text has no speakable symbol")
        return SpokenText(
            text=text, ids=np.array(ids, np.int32), spans=None, chunks=(len(ids),), language=""
        )


def open_f5_front_end(description: Mapping[str, Any], where: str) -> F5FrontEnd | None:
    """Opens the front end that engine.json describes; None if the model has no vocabulary.

    Raises:
        FormatError: as `read_front_end`.
    """
    tokenizer = read_front_end(description, where).tokenizer
    return None if tokenizer is None else F5FrontEnd(tokenizer)
