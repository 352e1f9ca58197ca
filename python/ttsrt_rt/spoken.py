"""What became of the text of a request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["SpokenText"]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpokenText:
    """What became of the text of a request.

    Attributes:
        text: The text that the spans are in: the one given, or the normalized one.
        ids: int32 [ids]: of all chunks, each with the id that ends a text.
        spans: int32 [ids, 2]: where each id begins and ends in `text`, in code points; None where
            the front end doesn't know it.
        chunks: How many of the ids each chunk has.
        language: That was spoken, by the engine's name for it.
        normalized_text: The text behind the normalization; None if none was asked for.
        analyser: The packages that read the text, with their versions, where the language needs
            some: other versions may read other words. None for languages that the library reads.
        dropped: Characters that nothing speaks, with how often they were left out.
        pauses: Milliseconds of silence in front of each chunk, and behind the last, of markup.
        voices: Of each chunk, the voice that markup names; None for that of the request.
        frame_rate: Of the codec, frames per second; 0 for a model without frames.
        frames_per_step: Frames that a step of the decoder makes.
        seconds: How long the front end took, which is part of the times of a request.
        sample_rate: Samples per second; 0 for an engine that makes no sound.
    """

    text: str
    ids: NDArray[np.int32]
    spans: NDArray[np.int32] | None
    chunks: tuple[int, ...]
    language: str
    normalized_text: str | None = None
    analyser: str | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)
    pauses: tuple[int, ...] = ()
    voices: tuple[str | None, ...] = ()
    frame_rate: float = 0.0
    frames_per_step: int = 1
    seconds: float = 0.0
    sample_rate: int = 0

    @property
    def silences(self) -> tuple[int, ...]:
        """Samples of silence in front of each chunk, and behind the last; empty without any."""
        if not any(self.pauses):
            return ()
        return tuple((each * self.sample_rate + 500) // 1000 for each in self.pauses)
