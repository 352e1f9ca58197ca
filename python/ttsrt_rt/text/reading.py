"""Reads a text sentence by sentence, so that the first can be spoken while the rest is read.

A normalizer takes longer for a sentence than the first sound may, so a request whose text is cut
and normalized begins with its first sentence. Sentences are those of the text as it was given; each
becomes words and ids on its own and stays one chunk, so nothing depends on when it is read.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol

import numpy as np

from ttsrt_rt.errors import Error
from ttsrt_rt.options import TextSplit
from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.chunks import Chunks
from ttsrt_rt.text.passages import Part, ended, normalized
from ttsrt_rt.text.tokens import TextTokens
from ttsrt_rt.text.traced import Traced
from ttsrt_rt.text_options import TextOptions

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt import _core

__all__ = ["LaterText", "SentenceReading"]


class Encodes(Protocol):
    """Makes ids of the parts of a chunk."""

    def __call__(self, parts: list[Part]) -> tuple[TextTokens, list[int]]:
        """Returns ids, and the padding behind them."""


class SentenceReading:
    """A plain text that is normalized and encoded sentence by sentence."""

    def __init__(
        self,
        text: str,
        language: str,
        options: TextOptions,
        *,
        cut: Callable[[str, TextSplit], list[_core.TextPiece]],
        encode: Encodes,
        end_id: int,
        analyser: str | None = None,
    ) -> None:
        """Cuts a text.

        Args:
            text: As the request gives it.
            language: That is spoken.
            options: Of the request.
            cut: Cuts a text, by a mode of `split`, into pieces as the original does.
            encode: Encodes a chunk.
            end_id: The id that ends one.
            analyser: Of the language, as in `SpokenText`.
        """
        # Each with what stands in front of it; the last also with what stands behind.
        ends = [int(piece.end) for piece in cut(text, options.split)][:-1]
        self._sentences = [text[a:b] for a, b in pairwise([0, *ends, len(text)])]
        self._language, self._options = language, options
        self._cut, self._encode = cut, encode
        self._chunks, self._analyser = Chunks(end_id), analyser
        self._said = ""
        self._next = 0

    @property
    def left(self) -> int:
        """How many sentences are not read."""
        return len(self._sentences) - self._next

    def read(self) -> NDArray[np.int32]:
        """Reads the next sentence, and returns its ids; none if nothing of it is spoken.

        Raises:
            ConfigError: A normalizer is missing, refuses the language or takes too long; or, with
                `strict`, a character has no id.
        """
        given = self._sentences[self._next]
        self._next += 1
        bare = given.lstrip()
        gap, rest = given[: len(given) - len(bare)], bare.rstrip()
        words = normalized(rest, self._language, self._options)
        begin = len(self._said) + len(gap)
        self._said += gap + words + bare[len(rest) :]
        pieces = [
            Traced(piece.text, [(int(a) + begin, int(b) + begin) for a, b in piece.spans])
            for piece in self._cut(words, "sentences")
        ]
        if not pieces:
            return np.zeros(0, np.int32)
        chunk = functools.reduce(_joined, pieces)
        if self._options.terminal_punctuation and self.left == 0:
            chunk = ended(chunk, self._language)
        tokens, padding = self._encode([Part(chunk)])
        made = self._chunks.add(tokens, chunk.end, padding)
        if self._options.strict:
            self._chunks.check_strict(self._language)
        return made

    def spoken(self) -> SpokenText:
        """What the sentences that were read became.

        Raises:
            ConfigError: Nothing of them is spoken.
        """
        return self._chunks.spoken(
            self._said,
            self._language,
            is_strict=self._options.strict,
            normalized_text=self._said,
            analyser=self._analyser,
        )


class LaterText:
    """The text of a request that is read in a thread of its own while the request runs."""

    def __init__(
        self, reading: SentenceReading, complete: Callable[[SpokenText], SpokenText]
    ) -> None:
        """Keeps a reading of which something is spoken.

        Args:
            reading: Of the text.
            complete: Adds what the engine knows.
        """
        self._reading = reading
        self._complete = complete
        self._spoken = complete(reading.spoken())
        self.count = reading.left

    @property
    def spoken(self) -> SpokenText:
        """What was read so far."""
        return self._spoken

    def follow(self, handle: _core.Handle) -> None:
        """Gives a request the rest of its text. Dropping the handle ends it."""
        request = weakref.ref(handle)
        threading.Thread(target=self._read, args=(request,), name="ttsrt-text", daemon=True).start()

    def _read(self, request: weakref.ref[_core.Handle]) -> None:
        try:
            while self._reading.left:
                ids = self._reading.read()
                self._spoken = self._complete(self._reading.spoken())
                handle = request()
                if handle is None or handle.is_done:
                    return
                handle.add_text(ids)
                del handle
        except Exception as error:  # the request ends with it
            handle = request()
            if handle is not None:
                why = str(error) if isinstance(error, Error) else f"text: {error!r}"
                handle.fail_text(why)


def _joined(first: Traced, second: Traced) -> Traced:
    return first + Traced(" ", [(first.end, first.end)]) + second
