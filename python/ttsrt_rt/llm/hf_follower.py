"""Makes a text of another program's ids as they come, and finds its end by our rules."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ttsrt_rt.llm.options import GenerationOptions
from ttsrt_rt.llm.results import Generation, Piece
from ttsrt_rt.result import FinishReason, Metrics
from ttsrt_rt.text.text_stream import StopStrings, TextStream, check_stops

__all__ = ["USUAL_TOKENS", "Follower"]

USUAL_TOKENS = 256


class Follower:
    """Makes pieces of the ids of one request."""

    def __init__(
        self,
        prompt: Sequence[int],
        options: GenerationOptions,
        ends: frozenset[int],
        text: TextStream | None,
        tell: Callable[[Piece], None],
    ) -> None:
        """Begins.

        Args:
            prompt: its ids.
            options: of the request.
            ends: ids that end a text.
            text: what makes text of ids; None for ids alone.
            tell: called with each piece.
        """
        self._prompt = prompt
        self._options = options
        self._tell = tell
        self.ends = ends
        self._stops = StopStrings(check_stops(options.stop), include=options.include_stop)
        self._text = text
        self._most = options.max_tokens or USUAL_TOKENS
        self._ids: list[int] = []
        self._parts: list[str] = []
        self._reason: FinishReason = "length"
        self._stop_reason: int | str | None = None
        self._first = 0.0

    def take(self, number: int) -> bool:
        """Takes an id, and returns whether the text has ended."""
        self._ids.append(number)
        self._first = self._first or time.perf_counter()
        count, least = len(self._ids), min(self._options.min_tokens, self._most)
        text = ""
        if count > least and number in self.ends:
            self._reason, self._stop_reason = "stop", number
        elif self._text is not None:
            text = self._stops.feed(self._text.feed([number]))
            if self._stops.found is not None and count >= least:
                self._reason, self._stop_reason = "stop", self._stops.found
        is_last = self._reason == "stop" or len(self._ids) >= self._most
        if is_last and self._stops.found is None and self._text is not None:
            text += self._stops.feed(self._text.finish()) + self._stops.finish()
        self._parts.append(text)
        self._tell(
            Piece(
                text=text,
                ids=(number,),
                is_last=is_last,
                finish_reason=self._reason if is_last else None,
                stop_reason=self._stop_reason,
            )
        )
        return is_last

    def finish(self, begin: float) -> Generation:
        """Returns the whole of a request that began at a moment of `time.perf_counter`."""
        end = time.perf_counter()
        return Generation(
            text="".join(self._parts),
            ids=tuple(self._ids),
            prompt_ids=tuple(self._prompt),
            finish_reason=self._reason,
            stop_reason=self._stop_reason,
            metrics=Metrics(
                first_frame_seconds=self._first - begin,
                total_seconds=end - begin,
                frames_per_second=len(self._ids) / (end - begin),
                steps=len(self._ids),
            ),
        )
