"""Plans of long texts: chunks, frames, and what does not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.plan import Chunk, PlanOptions, Room, plan_speech
from ttsrt_rt.f5.prompt import Prompt
from ttsrt_rt.f5.rules import RULES

PROMPT = Prompt(np.zeros((469, 100), np.float32), 468, 4.99, 1.0)
ROOM = Room(93.75, 3000)
LONG = "This is a sentence of the text. " * 20


def plan(text: str = LONG, ref_text: str = "What the voice says", **options: Any) -> list[Chunk]:
    room = options.pop("room", ROOM)
    return plan_speech(text, ref_text, PROMPT, RULES["f5"], PlanOptions(**options), room)


def test_every_chunk_follows_the_reference() -> None:
    chunks = plan()
    assert len(chunks) > 1
    assert all(chunk.text.startswith("What the voice says.  This is") for chunk in chunks)
    said = [chunk.text.removeprefix("What the voice says.  ") for chunk in chunks]
    assert " ".join(said) == LONG.strip()
    assert all(chunk.frames > 468 for chunk in chunks)


def test_a_given_duration() -> None:
    (chunk,) = plan("Short enough.", fix_duration=9.5)
    assert chunk.frames == int(9.5 * 93.75)
    chunks = plan(fix_duration=60.0, cross_fade=0.0)
    assert sum(each.frames - 468 for each in chunks) == pytest.approx(
        60 * 93.75 - 468, abs=len(chunks)
    )


def test_what_does_not_fit_is_refused_and_never_squeezed() -> None:
    text = "word " * 400
    with pytest.raises(ConfigError, match=r"at most 3000 frames.*take .extended. boundaries"):
        plan(text)
    chunks = plan(text, boundaries="extended")
    assert len(chunks) > 5
    assert max(chunk.frames for chunk in chunks) <= 3000
    with pytest.raises(ConfigError, match="at most 600 frames"):
        plan(text, boundaries="extended", room=replace(ROOM, max_frames=600))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": ""}, "text: expected text, got none"),
        ({"text": " \n"}, "text: expected text, got none"),
        ({"ref_text": " "}, "ref_text: expected text, got none"),
        ({"text": 5}, "text: expected text, got 5"),
        ({"speed": 0.0}, "speed: expected 0.05 to 20, got 0.0"),
        ({"speed": float("nan")}, "speed: expected"),
        ({"cross_fade": -1.0}, "cross_fade: expected"),
        ({"fix_duration": 0.0}, "fix_duration: expected"),
        (
            {"text": "Short enough.", "fix_duration": 5.0},
            "fix_duration: expected more than the 4.99 seconds",
        ),
        ({"speed": "fast"}, "speed: expected 0.05 to 20, got 'fast'"),
        ({"fix_duration": "9"}, "fix_duration: expected"),
        ({"boundaries": "none"}, "boundaries: expected"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan(**arguments)
