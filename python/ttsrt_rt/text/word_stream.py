"""Words of a text as they are spoken, step by step.

`word_times` sees all steps and lets later ones correct earlier ones. A stream can't: a word is told
once a step attends to one behind it, with the time that the steps so far give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from numpy.typing import ArrayLike

from ttsrt_rt.spoken import SpokenText
from ttsrt_rt.text.words import Word, word_spans, words_of_ids

__all__ = ["WordStream"]


class WordStream:
    """Finds the words that the steps of one request have gone past. Each comes once, in order.

    Args:
        text: The text that the spans are in.
        spans: integers [ids, 2]: where each id begins and ends in the text, in code points.
        frame_rate: Frames of the codec per second.
        frames_per_step: Frames that a step makes.
    """

    def __init__(
        self, text: str, spans: ArrayLike, *, frame_rate: float, frames_per_step: int
    ) -> None:
        self._text = text
        self._words = word_spans(text)
        self._of_ids = words_of_ids(spans, self._words)
        self._frame_rate = frame_rate
        self._frames_per_step = frames_per_step
        self._at = -1  # the last word that a step attended to
        self._begin = 0.0  # frames in front of it
        self._end = 0.0  # frames behind the last step that attended to it

    @classmethod
    def of(cls, spoken: SpokenText) -> WordStream | None:
        """The words of a request's text; None where nobody knows where ids are, or when."""
        if spoken.spans is None or not spoken.frame_rate > 0:
            return None
        return cls(
            spoken.text,
            spoken.spans,
            frame_rate=spoken.frame_rate,
            frames_per_step=spoken.frames_per_step,
        )

    def take(
        self,
        positions: Sequence[int],
        first_frame: int,
        frames: int,
        *,
        is_last: bool,
        is_whole: bool = True,
    ) -> tuple[Word, ...]:
        """Returns the words that have ended.

        Args:
            positions: The id that each new step attends to.
            first_frame: Frames in front of these steps.
            frames: Frames of these steps.
            is_last: Whether no step follows; then all words that are left have ended.
            is_whole: With `is_last`, whether the text was spoken to its end. Of one that was not,
                words behind the last one that a step attended to are left out.
        """
        found: list[Word] = []
        end = first_frame + frames
        for index, position in enumerate(positions):
            frame = min(first_frame + index * self._frames_per_step, end)
            word = self._of_ids[position]
            if word > self._at:
                found += self._told(word, min(self._end, frame) if self._at >= 0 else frame)
                self._at, self._begin = word, frame
            if word == self._at:
                self._end = min(frame + self._frames_per_step, end)
        if is_last:
            end_word = len(self._words) if is_whole else self._at + 1
            found += self._told(end_word, self._end)
            self._at = len(self._words)
        return tuple(found)

    def _told(self, next_word: int, end: float) -> Iterable[Word]:
        """The words in front of one, which share the time of the last that was attended to."""
        places = self._words[max(self._at, 0) : next_word]
        letters = sum(last - first for first, last in places)
        at = self._begin
        for first, last in places:
            begin, at = at, at + (end - self._begin) * (last - first) / letters
            seconds = (begin / self._frame_rate, at / self._frame_rate)
            yield Word(self._text[first:last], first, last, *seconds)
