"""One request of a generator: its ids as they come, the text that they make, and where it ends.

For each id in order: an id of the stop set ends the text, then a stop string does, then the length.
The library ends a request at ids, and tells which one. Stop strings are found here, and what the
library made beyond one is left out, so batches, streams and single requests give the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ttsrt_rt.errors import InternalError
from ttsrt_rt.handle import Handle
from ttsrt_rt.llm.results import Generation, Piece, TokenLogprob
from ttsrt_rt.result import Event, FinishReason
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer
from ttsrt_rt.text.text_stream import StopStrings, TextStream

__all__ = ["Ends", "Run"]


@dataclass(frozen=True)
class Ends:
    """What ends a text.

    Attributes:
        ids: those at which the library does not end the request by itself, as they are too many.
        strings: stop strings.
        include: whether the text keeps the stop string.
        min_tokens: ids that the text has at least: a stop string before them ends it once they
            are there.
        has_logprobs: whether the library tells logarithms of probabilities.
    """

    ids: frozenset[int] = frozenset()
    strings: tuple[str, ...] = ()
    include: bool = False
    min_tokens: int = 0
    has_logprobs: bool = False


class Run:
    """A request in flight."""

    def __init__(
        self,
        handle: Handle,
        prompt: Sequence[int],
        ends: Ends,
        tokenizer: LlmTokenizer | None,
        *,
        skip_special: bool = True,
        continues: bool = False,
        opening: str = "",
        warnings: Sequence[str] = (),
    ) -> None:
        """Follows a request.

        Args:
            handle: the request.
            prompt: its ids.
            ends: what ends the text.
            tokenizer: None for ids alone, whose text is empty.
            skip_special: whether special tokens give no text.
            continues: whether the text goes on from the prompt, so that its first blank stays.
            opening: what the text begins with, in front of what is generated.
            warnings: of the prompt, for the result.
        """
        self.handle = handle
        self._prompt = tuple(prompt)
        self._ends = ends
        self._stops = StopStrings(ends.strings, include=ends.include)
        self._text = (
            None
            if tokenizer is None
            else TextStream(tokenizer, skip_special=skip_special, continues=continues)
        )
        self._ids: list[int] = []
        self._parts: list[str] = []
        self._opening = opening
        self._warnings = tuple(warnings)
        self._logprobs: list[TokenLogprob] = []
        self._finish: FinishReason | None = None
        self._stop_reason: int | str | None = None

    @property
    def is_over(self) -> bool:
        """Whether the text has ended."""
        return self._finish is not None

    def take(self, timeout: float | None = None) -> Piece | None:
        """Waits for the next event and returns what it adds.

        Args:
            timeout: seconds to wait at most; None for as long as it takes.

        Returns:
            None if the text has ended before.

        Raises:
            TimeoutError: there was no event.
            InternalError: the request failed.
        """
        if self.is_over:
            return None
        event = self.handle.next(timeout)
        if event is None:
            return self._ended(self.handle.wait().finish_reason, [], [])
        piece = self._piece_of(event)
        if not self._ends.has_logprobs:
            return piece
        logprobs = _logprobs_of(event, piece.ids)
        self._logprobs += logprobs
        return replace(piece, logprobs=logprobs)

    def generation(self) -> Generation:
        """Returns the whole; the text must have ended."""
        if self._finish is None:
            raise InternalError("a generation was asked for before its text ended")
        return Generation(
            text="".join(self._parts),
            ids=tuple(self._ids),
            prompt_ids=self._prompt,
            finish_reason=self._finish,
            stop_reason=self._stop_reason,
            metrics=self.handle.wait().metrics,
            logprobs=tuple(self._logprobs) if self._ends.has_logprobs else None,
            warnings=self._warnings,
        )

    def failed(self, error: Exception) -> Generation:
        """Returns the generation of a request that the library could not finish."""
        return Generation(
            text="".join(self._parts),
            ids=tuple(self._ids),
            prompt_ids=self._prompt,
            finish_reason="error",
            error=str(error),
        )

    def _piece_of(self, event: Event) -> Piece:
        ids: list[int] = []
        texts: list[str] = []
        for number in event.codes[:, 0].tolist():
            ids.append(number)
            if self._ends_at(number, len(self._ids) + len(ids), texts):
                self.handle.cancel()
                return self._ended("stop", ids, texts)
        if not event.is_last:
            return self._made(ids, texts)
        reason: FinishReason = event.finish_reason or "stop"
        if event.stop_id is not None:  # the library leaves it out of the codes
            ids.append(event.stop_id)
            self._stop_reason = event.stop_id
        return self._ended(reason, ids, texts)

    def _ends_at(self, number: int, count: int, texts: list[str]) -> bool:
        """Whether the text ends with this id, which makes it `count` long."""
        if number in self._ends.ids:
            self._stop_reason = number
            return True
        if self._text is None:
            return False
        texts.append(self._stops.feed(self._text.feed([number])))
        if self._stops.found is None or count < self._ends.min_tokens:
            return False
        self._stop_reason = self._stops.found
        return True

    def _ended(self, reason: FinishReason, ids: list[int], texts: list[str]) -> Piece:
        if self._stops.found is None and self._text is not None:
            texts.append(self._stops.feed(self._text.finish()))
            if self._stops.found is None:
                texts.append(self._stops.finish())
            else:
                reason, self._stop_reason = "stop", self._stops.found
        self._finish = reason
        return self._made(ids, texts)

    def _made(self, ids: list[int], texts: list[str]) -> Piece:
        text = self._opening + "".join(texts)
        self._opening = ""
        self._ids += ids
        self._parts.append(text)
        return Piece(
            text=text,
            ids=tuple(ids),
            is_last=self.is_over,
            finish_reason=self._finish,
            stop_reason=self._stop_reason,
        )


def _logprobs_of(event: Event, ids: Sequence[int]) -> tuple[TokenLogprob, ...]:
    """Returns what an event tells of its first ids, one step for each."""
    if event.logprobs is None:
        return ()
    tops: list[tuple[tuple[int, float], ...]] = [()] * len(ids)
    if event.top_ids is not None and event.top_logprobs is not None:
        rows = zip(event.top_ids.tolist(), event.top_logprobs.tolist(), strict=True)
        tops = [tuple(zip(*each, strict=True)) for each in rows]
    values = event.logprobs.tolist()
    return tuple(TokenLogprob(*each) for each in zip(ids, values, tops, strict=False))
