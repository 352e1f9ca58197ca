"""What the tests of codec engines share: engines of random codecs, and sound in pieces."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt.synth import write_random_codec
from ttsrt_rt.synth.nanocodec_layout import SynthCodec

Array = NDArray[Any]


def random_checkpoint(folder: Path, size: str | SynthCodec, seed: int) -> Path:
    source = write_random_codec(folder / "codec.nemo", size, seed)
    made = rt.convert(source, folder / "checkpoint", progress=False)
    source.unlink()
    return made


def audio_of(result: rt.Result) -> Array:
    assert result.audio is not None
    assert result.audio.dtype == np.float32
    return result.audio


def pieces_of(events: Iterable[rt.Event]) -> list[Array]:
    """Returns the sound of the events that have some."""
    found = [event.audio for event in events]
    return [audio for audio in found if audio is not None and len(audio)]
