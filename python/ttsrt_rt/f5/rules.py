"""How long the speech of a text is, how a text is cut, and how the pieces are joined.

These are the rules of F5-TTS's front ends. Lengths of text are bytes of UTF-8. IndicF5 and old
versions of F5-TTS have other limits and do not slow down short texts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = [
    "RULES",
    "FrontEndRules",
    "WaveJoiner",
    "chunk_seed",
    "chunk_text",
    "end_reference",
    "frames_of",
    "join_waves",
    "max_chunk_bytes",
    "share_duration",
    "spaced_reference",
]

SHORT_BYTES = 10
SHORT_SPEED = 0.3
BOUNDARIES = re.compile(r"(?<=[;:,.!?])\s+|(?<=[\uff1b\uff1a\uff0c\u3002\uff01\uff1f])")
# Also where Indic, Arabic and Ethiopic texts end a sentence or a clause.
MORE_BOUNDARIES = re.compile(
    r"(?<=[;:,.!?\u0964\u0965\u061f\u060c\u061b\u06d4\u1362\u1363])\s+"
    r"|(?<=[\uff1b\uff1a\uff0c\u3002\uff01\uff1f\u3001])"
)

Wave = npt.NDArray[np.float32]


@dataclass(frozen=True)
class FrontEndRules:
    """What differs between the front ends.

    Attributes:
        prompt_seconds: how long a prompt is at most.
        total_seconds: how long prompt and speech of one chunk may be.
        budget_has_speed: whether the budget of a chunk grows with the speed.
        slows_short_text: whether texts below 10 bytes are spoken at a speed of 0.3.
        removes_silence: whether long silence is taken out of the result.
        level: decibels below full scale to which the result is brought; None: as it is.
        trims_exactly: whether the end of a prompt is looked for by the millisecond.
    """

    prompt_seconds: float = 12.0
    total_seconds: float = 22.0
    budget_has_speed: bool = True
    slows_short_text: bool = True
    removes_silence: bool = False
    level: float | None = None
    trims_exactly: bool = False


RULES: dict[str, FrontEndRules] = {
    "f5": FrontEndRules(),
    "indicf5": FrontEndRules(
        prompt_seconds=15.0,
        total_seconds=25.0,
        budget_has_speed=False,
        slows_short_text=False,
        removes_silence=True,
        level=-20.0,
        trims_exactly=True,
    ),
}


def _bytes(text: str) -> int:
    return len(text.encode("utf-8"))


def end_reference(text: str) -> str:
    """Returns a reference text that ends a sentence, as the front ends make it."""
    if text.endswith((". ", "。")):
        return text
    return text + (" " if text.endswith(".") else ". ")


def spaced_reference(text: str) -> str:
    """Returns a reference text as it is put before a chunk: with a space behind ASCII."""
    return text + " " if text and _bytes(text[-1]) == 1 else text


def max_chunk_bytes(
    ref_text: str, ref_seconds: float, rules: FrontEndRules, speed: float = 1.0
) -> int:
    """Returns how many bytes a chunk may have.

    Args:
        ref_text: the reference text, as `end_reference` returns it.
        ref_seconds: how long the prompt is.
        rules: those of the front end.
        speed: of the speech.

    Raises:
        ConfigError: the prompt leaves no room.
    """
    rate = _bytes(ref_text) / ref_seconds
    budget = int(
        rate * (rules.total_seconds - ref_seconds) * (speed if rules.budget_has_speed else 1)
    )
    if budget < 1:
        raise ConfigError(
            f"ref_audio: expected a prompt below {rules.total_seconds:g} seconds, got "
            f"{ref_seconds:.2f}"
        )
    return budget


def chunk_text(text: str, max_bytes: int, *, boundaries: str = "original") -> list[str]:
    """Cuts a text behind punctuation into chunks of at most so many bytes.

    A sentence without punctuation stays whole, if it is longer. The spaces that are added behind
    ASCII punctuation do not count, as in the original.

    Args:
        text: the text.
        max_bytes: the budget of a chunk.
        boundaries: "original", or "extended", which also cuts at the danda of Indic texts and at
            punctuation of other scripts, and between words where that is not enough.

    Raises:
        ConfigError: `boundaries` is another word.
    """
    if boundaries not in ("original", "extended"):
        raise ConfigError(f"boundaries: expected original or extended, got {show(boundaries)}")
    pattern = BOUNDARIES if boundaries == "original" else MORE_BOUNDARIES
    pieces: Iterable[str] = filter(None, pattern.split(text))
    if boundaries == "extended":
        pieces = itertools.chain.from_iterable(_by_words(piece, max_bytes) for piece in pieces)
    chunks: list[str] = []
    current = ""
    for piece in pieces:
        spaced = spaced_reference(piece)
        if _bytes(current) + _bytes(piece) <= max_bytes:
            current += spaced
            continue
        if current:
            chunks.append(current.strip())
        current = spaced
    if current:
        chunks.append(current.strip())
    return [chunk for chunk in chunks if chunk]


def _by_words(piece: str, max_bytes: int) -> Iterator[str]:
    """Yields a piece whole, or cut between words where it is too long. Spaces at cuts are lost, as
    those behind punctuation are.
    """
    begin, end = 0, 0
    for match in re.finditer(r"\S+", piece):
        if end and _bytes(piece[begin : match.end()]) > max_bytes:
            yield piece[begin:end]
            begin = match.start()
        end = match.end()
    yield piece[begin:]


def frames_of(
    ref_frames: int, ref_text: str, text: str, rules: FrontEndRules, speed: float = 1.0
) -> int:
    """Returns the frames of prompt and chunk.

    Args:
        ref_frames: samples of the prompt over the hop, rounded down.
        ref_text: the reference text, with its last space.
        text: the chunk.
        rules: those of the front end.
        speed: of the speech.
    """
    slow = rules.slows_short_text and _bytes(text) < SHORT_BYTES
    used = SHORT_SPEED if slow else speed
    return ref_frames + int(ref_frames / _bytes(ref_text) * _bytes(text) / used)


def share_duration(
    seconds: float, ref_seconds: float, chunks: Sequence[str], cross_fade: float
) -> list[float]:
    """Returns the seconds of each chunk, prompt included, where all together are given.

    The speech is shared out by bytes of text; what cross-fades take away is added.
    """
    if len(chunks) == 1:
        return [seconds]
    room = seconds - ref_seconds + cross_fade * (len(chunks) - 1)
    total = sum(_bytes(chunk) for chunk in chunks)
    return [ref_seconds + room * _bytes(chunk) / total for chunk in chunks]


def chunk_seed(seed: int, index: int) -> int:
    """Returns the seed of a chunk: that of the request for the first one."""
    if index == 0:
        return seed
    mixed = (seed + index * 0x9E3779B97F4A7C15) & (2**64 - 1)
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & (2**64 - 1)
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & (2**64 - 1)
    return (mixed ^ (mixed >> 31)) >> 1


class WaveJoiner:
    """Joins waves that come one after the other, each faded into the next one.

    The end of what came is held back, as the next wave fades into it.
    """

    def __init__(self, seconds: float, sample_rate: int) -> None:
        """Begins a sound.

        Args:
            seconds: how long a cross-fade is; 0: there is none.
            sample_rate: samples per second.
        """
        self._most = max(int(seconds * sample_rate), 0)
        self._held: npt.NDArray[np.float64] = np.zeros(0)

    def add(self, wave: Wave) -> Wave:
        """Adds a wave, and returns the samples that no later one can change.

        Args:
            wave: float32 [samples].
        """
        held, count = self._held, min(len(self._held), len(wave))
        faded: npt.NDArray[np.floating] = wave[:count]
        if count:
            down, up = np.linspace(1, 0, count), np.linspace(0, 1, count)
            faded = held[len(held) - count :] * down + wave[:count] * up
        made = np.concatenate([held[: len(held) - count], faded, wave[count:]], dtype=np.float64)
        settled = max(len(made) - self._most, 0)
        self._held = made[settled:]
        return made[:settled].astype(np.float32)

    def finish(self) -> Wave:
        """Returns what was held back."""
        held, self._held = self._held, np.zeros(0)
        return held.astype(np.float32)


def join_waves(waves: Sequence[Wave], seconds: float, sample_rate: int) -> Wave:
    """Returns the pieces one after the other, each faded into the next one.

    Args:
        waves: float32 [samples] each.
        seconds: how long a cross-fade is; 0: there is none.
        sample_rate: samples per second.
    """
    joiner = WaveJoiner(seconds, sample_rate)
    return np.concatenate([*(joiner.add(wave) for wave in waves), joiner.finish()])
