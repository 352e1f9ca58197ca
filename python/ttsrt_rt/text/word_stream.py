"""Words of a text as they are spoken, step by step.

`word_times` sees all steps and lets later ones correct earlier ones. A stream can't: a word is told
once a step attends to one behind it, or its chunk has ended, with the time that the steps so far
give it.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, pairwise

import numpy as np
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
        chunks: How many of the ids each chunk of the text has; empty for one chunk of all.
        silences: Seconds of silence in front of each chunk; empty for none.
    """

    def __init__(
        self,
        text: str,
        spans: ArrayLike,
        *,
        frame_rate: float,
        frames_per_step: int,
        chunks: Sequence[int] = (),
        silences: Sequence[float] = (),
    ) -> None:
        self._frame_rate = frame_rate
        self._frames_per_step = frames_per_step
        self._read(text, spans, chunks, silences)
        self._chunk = 0
        self._steps = 0  # of this chunk, so far
        self._base = 0  # frames in front of this chunk
        self._at = 0  # the last word that a step attended to, or the first that none did
        self._is_attended = False
        # Frames up to the end of this chunk, once its steps are over: only what follows tells
        # whether its words were spoken to their end.
        self._ended: float | None = None
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
            chunks=spoken.chunks,
            silences=[each / spoken.sample_rate for each in spoken.silences[:-1]],
        )

    def extend(self, spoken: SpokenText) -> None:
        """Takes a text that goes on behind what it was."""
        if spoken.spans is not None and len(spoken.chunks) > len(self._ids):
            self._read(spoken.text, spoken.spans, spoken.chunks, ())

    def _read(
        self, text: str, spans: ArrayLike, chunks: Sequence[int], silences: Sequence[float]
    ) -> None:
        self._text = text
        self._words = word_spans(text)
        self._of_ids = words_of_ids(spans, self._words)
        edges = [0, *accumulate(chunks or [len(self._of_ids)])]
        self._ids = list(pairwise(edges))
        self._word_ends = self._ends_of_chunks(spans)
        shifts = list(accumulate(silences)) or [0.0]
        self._shifts = shifts + [shifts[-1]] * (len(self._ids) - len(shifts))

    def take(
        self,
        positions: Sequence[int],
        first_frame: int,
        frames: int,
        *,
        is_last: bool,
        chunks: Iterable[tuple[int, int]] = (),
        is_whole: bool = True,
    ) -> tuple[Word, ...]:
        """Returns the words that have ended.

        Args:
            positions: The id that each new step attends to.
            first_frame: Frames in front of these steps.
            frames: Frames of these steps.
            is_last: Whether no step follows; then all words that are left have ended.
            chunks: Steps and frames of each chunk that has ended with these steps.
            is_whole: With `is_last`, whether the text was spoken to its end. Of one that was not,
                words behind the last one that a step attended to are left out.
        """
        found: list[Word] = []
        end = first_frame + frames
        is_cut = is_last and not is_whole
        if self._ended is not None and (len(positions) or not is_cut):
            found += self._close(self._ended)
        done = 0
        for steps, made in chunks:
            if self._ended is not None:
                found += self._close(self._ended)
            until = min(done + steps - self._steps, len(positions))
            found += self._walk(positions[done:until], self._base + made)
            self._ended = self._base + made
            done = until
        if self._ended is not None and done < len(positions):
            found += self._close(self._ended)
        found += self._walk(positions[done:], end)
        if is_cut and self._chunk < len(self._ids):
            found += self._told(self._at + self._is_attended, self._end)
            self._chunk = len(self._ids)
        while is_last and self._chunk < len(self._ids):
            found += self._close(end if self._ended is None else self._ended)
        return tuple(found)

    def _walk(self, positions: Sequence[int], end: int) -> Iterator[Word]:
        """Goes through steps of one chunk, which end with a frame at most."""
        if self._chunk == len(self._ids):
            return
        first_id, last_id = self._ids[self._chunk]
        for position in positions:
            frame = min(self._base + self._steps * self._frames_per_step, end)
            self._steps += 1
            word = self._of_ids[min(max(position, first_id), max(last_id - 1, first_id))]
            if word > self._at or (word == self._at and not self._is_attended):
                yield from self._told(word, min(self._end, frame) if self._is_attended else frame)
                self._at, self._begin, self._is_attended = word, frame, True
            if word == self._at and self._is_attended:
                self._end = min(frame + self._frames_per_step, end)

    def _close(self, end: float) -> Iterator[Word]:
        """Ends a chunk behind so many frames, and begins the next one."""
        yield from self._told(self._word_ends[self._chunk], self._end if self._is_attended else end)
        self._at = self._word_ends[self._chunk]
        self._base, self._begin, self._end, self._ended = int(end), end, end, None
        self._chunk, self._steps, self._is_attended = self._chunk + 1, 0, False

    def _told(self, next_word: int, end: float) -> Iterable[Word]:
        """The words in front of one, which share the time of the last that was attended to."""
        places = self._words[self._at : next_word]
        letters = sum(last - first for first, last in places)
        shift = self._shifts[self._chunk]
        at = self._begin
        for first, last in places:
            begin, at = at, at + (end - self._begin) * (last - first) / letters
            seconds = (begin / self._frame_rate + shift, at / self._frame_rate + shift)
            yield Word(self._text[first:last], first, last, *seconds)

    def _ends_of_chunks(self, spans: ArrayLike) -> list[int]:
        """How many words there are up to the end of each chunk."""
        places = np.asarray(spans, np.int64).reshape(-1, 2)
        ends = [end for _, end in self._words]
        found = []
        reached = 0
        for first, last in self._ids[:-1]:
            if last > first:
                reached = max(reached, bisect.bisect_right(ends, int(places[first:last, 1].max())))
            found.append(reached)
        return [*found, len(self._words)]
