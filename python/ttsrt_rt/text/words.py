"""When each word of a text is spoken, from what the decoder attended to at each step.

Times are pure arithmetic over arrays. A step belongs to the word of the id that it attends to.
Positions are replaced by the nearest non-decreasing sequence (least sum of distances). A word that
no step attends to gets a share of its neighbour's time, by its length.
"""

from __future__ import annotations

import bisect
import heapq
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ttsrt_rt.errors import ConfigError

__all__ = [
    "Silence",
    "Word",
    "WordClock",
    "silences_of",
    "word_spans",
    "word_times",
    "words_of_ids",
]

# Scripts that are written without spaces: each character is a word of its own.
ALONE = (
    "\u3005\u3007\u3041-\u309f\u30a1-\u30fa\u30fd-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003134f"
)
PIECES = re.compile(rf"[{ALONE}]|[^\s{ALONE}]+")
Span = tuple[int, int]


@dataclass(frozen=True)
class Word:
    """A word and when it is spoken.

    Attributes:
        text: The word, without punctuation around it.
        begin: Where it begins in the text, in code points.
        end: Behind its last character.
        start_seconds: When it begins in the sound.
        end_seconds: When it ends.
    """

    text: str
    begin: int
    end: int
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class Silence:
    """Silence that was put into the sound.

    Attributes:
        at_seconds: Where, in the sound without any.
        seconds: How long it is.
    """

    at_seconds: float
    seconds: float


@dataclass(frozen=True)
class WordClock:
    """How steps become seconds.

    Attributes:
        frame_rate: Frames of the codec per second.
        frames_per_step: Frames that a step makes.
        chunks: Steps and frames of each chunk of the text; the last step of a chunk may make less
            frames than others. Empty for one of which every step makes all.
        silences: Put into the sound, in order.
    """

    frame_rate: float
    frames_per_step: int = 1
    chunks: tuple[tuple[int, int], ...] = ()
    silences: tuple[Silence, ...] = ()
    _first_steps: list[int] = field(init=False, repr=False, compare=False)
    _first_frames: list[int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.frame_rate > 0 or self.frames_per_step < 1:
            raise ConfigError(
                "words: expected frames per second above 0 and at least 1 frame a step, got "
                f"{self.frame_rate} and {self.frames_per_step}"
            )
        firsts = [(0, 0)]
        for steps, frames in self.chunks[:-1]:
            firsts.append((firsts[-1][0] + steps, firsts[-1][1] + frames))
        object.__setattr__(self, "_first_steps", [step for step, _ in firsts])
        object.__setattr__(self, "_first_frames", [frame for _, frame in firsts])

    def seconds(self, step: float, *, is_end: bool) -> float:
        """When a step begins. Of silence there, an end is in front and a start behind."""
        plain = self._frames(step) / self.frame_rate
        shift = 0.0
        for silence in self.silences:
            early = silence.at_seconds - plain
            if early < -1e-9 or (abs(early) <= 1e-9 and not is_end):
                shift += silence.seconds
        return plain + shift

    def _frames(self, step: float) -> float:
        """The frames in front of a step."""
        if not self.chunks:
            return step * self.frames_per_step
        at = max(0, bisect.bisect_right(self._first_steps, step) - 1)
        inside = (step - self._first_steps[at]) * self.frames_per_step
        return self._first_frames[at] + min(inside, self.chunks[at][1])


def silences_of(
    samples: Sequence[int], frames: Sequence[int], frame_rate: float, sample_rate: int
) -> tuple[Silence, ...]:
    """The silence in the sound of a result.

    Args:
        samples: In front of each chunk that has begun, and maybe behind the last.
        frames: Of each of these chunks.
        frame_rate: Frames per second.
        sample_rate: Samples per second.
    """
    starts = [0, *np.cumsum(frames).tolist()]
    return tuple(
        Silence(start / frame_rate, count / sample_rate)
        for start, count in zip(starts, samples, strict=False)
        if count
    )


def word_spans(text: str) -> list[Span]:
    """Where the words of a text are: between white space, without punctuation around them. In
    scripts without spaces, each character. What has no letter and no digit is no word.
    """
    found = []
    for match in PIECES.finditer(text):
        begin, end = match.span()
        while begin < end and not text[begin].isalnum():
            begin += 1
        while end > begin and not _ends_word(text[end - 1]):
            end -= 1
        if begin < end:
            found.append((begin, end))
    return found


def word_times(
    text: str,
    spans: ArrayLike,
    positions: ArrayLike,
    clock: WordClock,
    *,
    chunks: Sequence[int] = (),
    within: Span | None = None,
    is_whole: bool = True,
) -> list[Word]:
    """Returns the words of a text with their times, in order; no word ends after the next begins.

    Args:
        text: The text that the spans are in.
        spans: integers [ids, 2]: where each id begins and ends in the text, in code points.
        positions: integers [steps]: the id that each step attends to.
        clock: Turns steps into seconds; it knows how many steps each chunk has.
        chunks: How many of the ids each chunk has; empty for one chunk of all. A step belongs to
            words of its own chunk, whatever it attends to.
        within: The part of the text whose words are meant; None for all of it.
        is_whole: Whether the text was spoken to its end. Of one that was not, words behind the last
            one that a step attends to are left out, as nobody heard them.

    Raises:
        ConfigError: An array has another shape, or values that are not in the text.
    """
    places = _checked(spans, "spans", 2).reshape(-1, 2)
    attended = _checked(positions, "positions", 1)
    _check_range(places, len(text) + 1, f"spans in a text of {len(text)} characters")
    _check_range(attended, len(places), f"positions of {len(places)} ids")
    begin, end = within or (0, len(text))
    all_words = [each for each in word_spans(text) if begin <= each[0] and each[1] <= end]
    ends = [each[1] for each in all_words]
    found: list[Word] = []
    num_heard = 0
    for part in _parts(places, len(attended), chunks, clock.chunks, end):
        words = all_words[len(found) : bisect.bisect_right(ends, part.end)]
        of_ids = words_of_ids(places[part.first_id : part.last_id], words)
        inside = attended[part.first_step : part.last_step]
        inside = inside.clip(part.first_id, max(part.last_id - 1, part.first_id)) - part.first_id
        ranges = _ranges([of_ids[each] for each in _forward(inside.tolist())], len(words))
        heard = [index for index, each in enumerate(ranges) if each is not None]
        num_heard = len(found) + heard[-1] + 1 if heard else num_heard
        steps = _shared(ranges, words, part.last_step - part.first_step)
        found += [
            _word(text, each, (first + part.first_step, last + part.first_step), clock)
            for each, (first, last) in zip(words, steps, strict=True)
        ]
    return found if is_whole else found[:num_heard]


@dataclass(frozen=True)
class _Part:
    """A chunk: its ids, its steps, and where its text ends."""

    first_id: int
    last_id: int
    first_step: int
    last_step: int
    end: int


def _parts(
    places: NDArray[np.int64],
    num_steps: int,
    chunks: Sequence[int],
    made: Sequence[tuple[int, int]],
    end: int,
) -> Iterator[_Part]:
    """The chunks of a text. One that was not spoken has no steps; the last one has the rest."""
    counts = [int(each) for each in chunks] or [len(places)]
    if sum(counts) != len(places) or min(counts) < 0:
        raise ConfigError(f"words: expected chunks of {len(places)} ids in all, got {sum(counts)}")
    first_id = first_step = 0
    for index, count in enumerate(counts):
        is_last = index + 1 == len(counts)
        steps = made[index][0] if index < len(made) else 0
        last_step = num_steps if is_last else min(first_step + steps, num_steps)
        inside = places[first_id : first_id + count]
        text_end = end if is_last or not len(inside) else int(inside[:, 1].max())
        yield _Part(first_id, first_id + count, first_step, last_step, text_end)
        first_id, first_step = first_id + count, last_step


def _word(text: str, place: Span, steps: tuple[float, float], clock: WordClock) -> Word:
    start = clock.seconds(steps[0], is_end=False)
    end = max(clock.seconds(steps[1], is_end=True), start)
    return Word(text[place[0] : place[1]], *place, start, end)


def _check_range(values: NDArray[np.int64], end: int, what: str) -> None:
    if values.size and (values.min() < 0 or values.max() >= end):
        raise ConfigError(f"words: expected {what}, got {values.min()} to {values.max()}")


def _ends_word(letter: str) -> bool:
    """Combining marks belong to the letter in front of them."""
    return letter.isalnum() or unicodedata.category(letter).startswith("M")


def _checked(values: ArrayLike, name: str, axes: int) -> NDArray[np.int64]:
    array = np.asarray(values)
    is_empty = array.size == 0
    if not is_empty and (
        array.ndim != axes or array.dtype.kind not in "iu" or (axes == 2 and array.shape[1] != 2)
    ):
        shape = "[ids, 2]" if axes == 2 else "[steps]"
        raise ConfigError(
            f"words: expected {name} as integers {shape}, got {array.dtype} {list(array.shape)}"
        )
    return array.astype(np.int64).reshape((0, 2) if is_empty and axes == 2 else array.shape)


def words_of_ids(spans: ArrayLike, words: Sequence[Span]) -> list[int]:
    """The word of each id; -1 for one between words, such as a space or the end of the text.

    Args:
        spans: integers [ids, 2]: where each id begins and ends in the text.
        words: As `word_spans` finds them.

    Raises:
        ConfigError: The spans have another shape.
    """
    ends = [end for _, end in words]
    found = []
    for begin, end in _checked(spans, "spans", 2).tolist():
        at = bisect.bisect_right(ends, begin)
        is_inside = at < len(words) and begin < end and words[at][0] < end
        found.append(at if is_inside else -1)
    return found


def _forward(values: list[int]) -> list[int]:
    """The nearest non-decreasing sequence (least sum of distances)."""
    largest: list[int] = []  # negated: a heap has its smallest first
    tops = []
    for value in values:
        heapq.heappush(largest, -value)
        if -largest[0] > value:
            heapq.heapreplace(largest, -value)
        tops.append(-largest[0])
    for index in range(len(tops) - 2, -1, -1):
        tops[index] = min(tops[index], tops[index + 1])
    return tops


def _ranges(of_steps: Sequence[int], num_words: int) -> list[Span | None]:
    """The first step of each word and the one behind its last; None for a word without any."""
    ranges: list[Span | None] = [None] * num_words
    last = -1
    for step, word in enumerate(of_steps):
        if word < max(last, 0):
            continue
        begin = step if ranges[word] is None else ranges[word][0]  # type: ignore[index]
        ranges[word] = (begin, step + 1)
        last = word
    return ranges


def _shared(
    ranges: Sequence[Span | None], words: Sequence[Span], num_steps: int
) -> list[tuple[float, float]]:
    """Gives words without steps a share: of the time up to the next word that has some, together
    with the word in front of them; of the first word that has some, if none is in front.
    """
    seen = [index for index, each in enumerate(ranges) if each is not None]
    if not seen:
        return _divided(words, 0, num_steps)
    steps: list[tuple[float, float]] = []
    groups = [0, *seen[1:], len(words)]
    for begin, end in pairwise(groups):
        held = next(each for each in ranges[begin:end] if each is not None)
        until = held[1]
        if end - begin > 1 and end < len(words):
            following = ranges[end]
            until = held[1] if following is None else following[0]
        elif end - begin > 1 and ranges[end - 1] is None:
            until = num_steps
        if end - begin == 1:
            steps.append((float(held[0]), float(held[1])))
        else:
            steps += _divided(words[begin:end], held[0], until)
    return steps


def _divided(words: Sequence[Span], begin: float, end: float) -> list[tuple[float, float]]:
    """Divides a time by the lengths of words."""
    edges = np.cumsum([0, *(last - first for first, last in words)], dtype=np.float64)
    if len(edges) < 2:
        return []
    edges = begin + edges * ((end - begin) / edges[-1])
    return [(float(a), float(b)) for a, b in pairwise(edges)]
