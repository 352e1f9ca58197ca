"""What is said in which pass: the chunks of a text, and the frames of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Protocol

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.rules import (
    FrontEndRules,
    chunk_text,
    end_reference,
    frames_of,
    max_chunk_bytes,
    share_duration,
    spaced_reference,
)
from ttsrt_rt.quoting import shorten, show
from ttsrt_rt.text.checks import check_text
from ttsrt_rt.text.f5_tokenizer import MAX_LETTERS

__all__ = ["Chunk", "PlanOptions", "Room", "check_number", "plan_speech"]

MIN_SPEED, MAX_SPEED = 0.05, 20.0
MAX_SECONDS = 3600.0


@dataclass(frozen=True)
class Chunk:
    """One pass of the network.

    Attributes:
        text: reference text and chunk, as the tokenizer gets them.
        frames: of prompt and speech together.
        own: the chunk alone.
    """

    text: str
    frames: int
    own: str


@dataclass(frozen=True)
class PlanOptions:
    """What a caller may choose.

    Attributes:
        speed: of the speech.
        fix_duration: seconds of prompt and speech; None: estimated from the texts.
        cross_fade: seconds in which chunks overlap.
        boundaries: see `chunk_text`.
        is_cut: whether a text that is too long for one pass is cut.
    """

    speed: float = 1.0
    fix_duration: float | None = None
    cross_fade: float = 0.15
    boundaries: str = "original"
    is_cut: bool = True


class Spoken(Protocol):
    """What the plan must know of a prompt."""

    @property
    def ref_frames(self) -> int:
        """The first frame of the speech behind it."""

    @property
    def seconds(self) -> float:
        """How long its sound is."""


@dataclass(frozen=True)
class Room:
    """What an engine takes: frames per second, and frames of one pass at most."""

    frame_rate: float
    max_frames: int


def plan_speech(
    text: str,
    ref_text: str,
    prompt: Spoken,
    rules: FrontEndRules,
    options: PlanOptions,
    room: Room,
) -> list[Chunk]:
    """Returns the chunks of a text.

    Args:
        text: what to say.
        ref_text: what is said in the prompt.
        prompt: the prepared reference.
        rules: those of the front end.
        options: the caller's.
        room: the engine's.

    Raises:
        ConfigError: a text is empty, an option is out of its limits, the prompt is too long, the
            duration leaves no room for speech behind it, or a chunk is longer than the engine
            takes: it is never squeezed into less time.
    """
    for name, given in (("text", text), ("ref_text", ref_text)):
        check_text(given, name, MAX_LETTERS)
        if not given.strip():
            raise ConfigError(f"{name}: expected text, got none")
    _check(options)
    ended = end_reference(ref_text)
    budget = max_chunk_bytes(ended, prompt.seconds, rules, options.speed)
    spaced = spaced_reference(ended)
    parts = chunk_text(text, budget, boundaries=options.boundaries)
    if not options.is_cut:
        parts = [text.strip()]
    frames = _frames(parts, spaced, prompt, rules, options, room)
    for part, length in zip(parts, frames, strict=True):
        if length > room.max_frames:
            raise ConfigError(
                f"text: expected chunks of at most {room.max_frames} frames with the prompt, got "
                f'one of {length}: "{shorten(part, 60)}"; cut it at punctuation, take "extended" '
                "boundaries, or build the engine with a larger max_seq_len"
            )
    return [Chunk(spaced + part, length, part) for part, length in zip(parts, frames, strict=True)]


def _check(options: PlanOptions) -> None:
    check_number("speed", options.speed, MIN_SPEED, MAX_SPEED)
    check_number("cross_fade", options.cross_fade, 0.0, MAX_SECONDS)
    if options.fix_duration is not None:
        check_number("fix_duration", options.fix_duration, 0.0, MAX_SECONDS)


def check_number(name: str, value: object, least: float, most: float) -> None:
    """Refuses what is no number in a range.

    Raises:
        ConfigError: it is something else.
    """
    if not isinstance(value, Real) or not least <= float(value) <= most:
        raise ConfigError(f"{name}: expected {least:g} to {most:g}, got {show(value)}")


def _frames(
    parts: Sequence[str],
    spaced: str,
    prompt: Spoken,
    rules: FrontEndRules,
    options: PlanOptions,
    room: Room,
) -> list[int]:
    """Returns the frames of each chunk, prompt included."""
    if options.fix_duration is None:
        return [frames_of(prompt.ref_frames, spaced, part, rules, options.speed) for part in parts]
    seconds = share_duration(
        options.fix_duration, prompt.ref_frames / room.frame_rate, parts, options.cross_fade
    )
    frames = [int(each * room.frame_rate) for each in seconds]
    if min(frames) < prompt.ref_frames + 2:  # the prompt's and one more
        raise ConfigError(
            f"fix_duration: expected more than the {prompt.seconds:.2f} seconds of the reference, "
            f"got {options.fix_duration:g}"
        )
    return frames
