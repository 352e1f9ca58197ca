"""Finds silence in a sound, cuts it at silence, and takes silence away from its ends.

The rules are those of pydub, which F5-TTS uses: loudness is the root mean square of 16-bit samples
of all channels in a window, rounded down; times are whole milliseconds. They are written here again
because the length of a prompt decides how long the result is, so it must not change by a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from ttsrt_rt.audio.files import Samples, Sound

__all__ = ["SilenceRule", "remove_silence", "split_on_silence", "trim_silence"]

FULL_SCALE = 32768
EDGE_WINDOW = 10  # milliseconds
Range = tuple[int, int]


@dataclass(frozen=True)
class SilenceRule:
    """What counts as silence.

    Attributes:
        milliseconds: how long it lasts at least.
        threshold: how loud it is at most, in decibels below full scale: a negative number.
        keep: milliseconds of it that stay on either side of a cut.
        step: milliseconds from one window to the next.
    """

    milliseconds: int = 1000
    threshold: float = -50.0
    keep: int = 1000
    step: int = 10


class Loudness:
    """The loudness of windows of one sound, by sums from its start."""

    def __init__(self, sound: Sound) -> None:
        self.rate = sound.sample_rate
        self.frames, self.channels = sound.samples.shape
        scaled = np.rint(sound.samples.astype(np.float64) * FULL_SCALE)
        values = scaled.clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int64)
        squares = (values * values).sum(axis=1)
        self._sums: npt.NDArray[np.int64] = np.concatenate([[0], np.cumsum(squares)])
        self.milliseconds = round(1000 * (self.frames / self.rate))

    def frame_at(self, millisecond: int) -> int:
        """Returns the frame at a time; times behind the end are the end."""
        return int(min(millisecond, self.milliseconds) * (self.rate / 1000.0))

    def of(self, begin: int, end: int) -> int:
        """Returns the loudness of a window in milliseconds, from 0 to 32768. Frames that are
        missing at the end count as silence.
        """
        first, last = self.frame_at(begin), self.frame_at(end)
        if last <= first:
            return 0
        inside = self._sums[min(last, self.frames)] - self._sums[min(first, self.frames)]
        return int(np.sqrt(float(inside) / ((last - first) * self.channels)))


def _silences(loudness: Loudness, rule: SilenceRule) -> list[Range]:
    """Returns the ranges of silence, in milliseconds."""
    last = loudness.milliseconds - rule.milliseconds
    if last < 0:
        return []
    starts = list(range(0, last + 1, rule.step))
    if last % rule.step:
        starts.append(last)
    limit = 10 ** (rule.threshold / 20) * FULL_SCALE
    quiet = [at for at in starts if loudness.of(at, at + rule.milliseconds) <= limit]
    ranges: list[Range] = []
    for at in quiet:
        end = at + rule.milliseconds
        if ranges and at <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], end)
        else:
            ranges.append((at, end))
    return ranges


def _sounds(loudness: Loudness, rule: SilenceRule) -> list[Range]:
    """Returns the ranges between silences, in milliseconds."""
    whole = loudness.milliseconds
    silences = _silences(loudness, rule)
    if silences and silences[0] == (0, whole):
        return []
    made: list[Range] = []
    before = 0
    for begin, end in silences:
        made.append((before, begin))
        before = end
    if before != whole or not silences:
        made.append((before, whole))
    return made[1:] if made[0] == (0, 0) else made


def _kept(ranges: Sequence[Range], keep: int, whole: int) -> Iterator[Range]:
    """Yields the ranges with silence at both sides; what two of them would share is halved."""
    wide = [[begin - keep, end + keep] for begin, end in ranges]
    for one, other in pairwise(wide):
        if other[0] < one[1]:
            one[1] = other[0] = (one[1] + other[0]) // 2
    for begin, end in wide:
        yield max(begin, 0), min(end, whole)


def _cut(sound: Sound, loudness: Loudness, begin: int, end: int) -> Samples:
    """Returns the samples from one time to another; what is missing at the end is silence."""
    first, last = loudness.frame_at(begin), loudness.frame_at(end)
    part = sound.samples[first:last]
    missing = last - first - len(part)
    if missing <= 0:
        return part
    return np.concatenate([part, np.zeros((missing, loudness.channels), np.float32)])


def split_on_silence(sound: Sound, rule: SilenceRule) -> list[Sound]:
    """Returns the parts of a sound between silences; none if all of it is silent."""
    loudness = Loudness(sound)
    return [
        Sound(_cut(sound, loudness, begin, end), sound.sample_rate)
        for begin, end in _kept(_sounds(loudness, rule), rule.keep, loudness.milliseconds)
    ]


def remove_silence(sound: Sound, rule: SilenceRule) -> Sound:
    """Returns the parts between silences, one after the other."""
    parts = [part.samples for part in split_on_silence(sound, rule)]
    none = np.zeros((0, sound.samples.shape[1]), np.float32)
    return Sound(np.concatenate([none, *parts]), sound.sample_rate)


def _leading(sound: Sound, threshold: float) -> int:
    """Returns the milliseconds of silence at the start, in windows of ten."""
    loudness = Loudness(sound)
    at: int = 0
    while at < loudness.milliseconds:
        level = loudness.of(at, at + EDGE_WINDOW)
        if level and 20 * np.log10(level / FULL_SCALE) >= threshold:
            break
        at += EDGE_WINDOW
    return int(min(at, loudness.milliseconds))


def _trailing(sound: Sound, threshold: float) -> int:
    """Returns the milliseconds up to the end of the last loud one. They are counted down in seconds
    and rounded down, as in IndicF5, so that one may be lost.
    """
    loudness = Loudness(sound)
    left = sound.seconds
    for at in reversed(range(loudness.milliseconds)):
        level = loudness.of(at, at + 1)
        if level and 20 * np.log10(level / FULL_SCALE) > threshold:
            break
        left -= 0.001
    return int(left * 1000)


def trim_silence(sound: Sound, threshold: float = -42.0, *, ends_exactly: bool = False) -> Sound:
    """Returns a sound without the silence at its ends.

    Args:
        sound: the sound.
        threshold: how loud silence is at most, in decibels below full scale.
        ends_exactly: whether the end is looked for by the millisecond, as in IndicF5 and old
            versions of F5-TTS, and not in windows of ten.
    """
    loudness = Loudness(sound)
    begin = _leading(sound, threshold)
    rest = Sound(_cut(sound, loudness, begin, loudness.milliseconds), sound.sample_rate)
    inner = Loudness(rest)
    if ends_exactly:
        return Sound(_cut(rest, inner, 0, _trailing(rest, threshold)), sound.sample_rate)
    back = _leading(Sound(rest.samples[::-1], sound.sample_rate), threshold)
    if not back:
        return rest
    return Sound(_cut(rest, inner, 0, inner.milliseconds - back), sound.sample_rate)
