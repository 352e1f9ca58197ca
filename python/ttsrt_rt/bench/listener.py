"""What a listener hears of a stream: when sound begins, and where it stops for lack of samples.

The listener plays in real time from the first chunk on. Playback that reaches the end of what has
arrived before the next chunk has come is an underrun: it waits for the chunk and goes on from
there. All underruns of a stream together last as long as playback would have had to wait before it
began, so that there would have been none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from ttsrt_rt.bench.figures import Figures
from ttsrt_rt.bench.load import Outcome

__all__ = ["Listening", "listen", "listener_figures"]

_INSTANT = 1e-9  # seconds: sums of moments are not exact


@dataclass(frozen=True)
class Listening:
    """What one stream sounded like.

    Attributes:
        gaps: Seconds between the arrivals of chunks of sound.
        underruns: How often playback stopped.
        stalled_seconds: How long it stood still in all.
    """

    gaps: tuple[float, ...]
    underruns: int
    stalled_seconds: float


def listen(sounds: Sequence[tuple[float, int]], sample_rate: int) -> Listening:
    """Plays a stream.

    Args:
        sounds: When chunks arrived, in seconds and ascending, and how many samples each has.
        sample_rate: Samples of a second.
    """
    underruns, stalled = 0, 0.0
    begin, played = sounds[0][0] if sounds else 0.0, 0
    for moment, samples in sounds:
        late = moment - (begin + stalled + played / sample_rate)
        if late > _INSTANT:
            underruns += 1
            stalled += late
        played += samples
    gaps = tuple(later - earlier for (earlier, _), (later, _) in pairwise(sounds))
    return Listening(gaps, underruns, stalled)


def listener_figures(
    outcomes: Iterable[Outcome], sample_rate: int, *, is_streaming: bool
) -> dict[str, Any]:
    """The listener's measures of requests that went well: times in milliseconds.

    Args:
        outcomes: Of the requests.
        sample_rate: Samples of a second.
        is_streaming: Whether events were taken one by one; without, there are no chunks to play.
    """
    heard = [outcome for outcome in outcomes if outcome.samples]
    rtf = [(outcome.ended - outcome.submitted) * sample_rate / outcome.samples for outcome in heard]
    figures: dict[str, Any] = {
        "sample_rate": sample_rate,
        "streams": len(heard),
        "audio_seconds": sum(outcome.samples for outcome in heard) / sample_rate,
        "first_audio_ms": vars(
            Figures.of(
                1e3 * (outcome.first_audio - outcome.submitted)
                for outcome in heard
                if outcome.first_audio is not None
            )
        ),
        "rtf": vars(Figures.of(rtf)),
        "audio_gap_ms": None,
        "underruns": None,
    }
    if is_streaming:
        played = [listen(outcome.sounds, sample_rate) for outcome in heard]
        figures["audio_gap_ms"] = vars(
            Figures.of(1e3 * gap for each in played for gap in each.gaps)
        )
        figures["underruns"] = {
            "count": sum(each.underruns for each in played),
            "streams": sum(each.underruns > 0 for each in played),
            "seconds": sum(each.stalled_seconds for each in played),
            "longest_seconds": max((each.stalled_seconds for each in played), default=0.0),
        }
    return figures
