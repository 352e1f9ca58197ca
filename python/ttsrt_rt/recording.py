"""Voices of recordings: a codec's encoder makes codes of a sound, and they become the context of a
model.

As in the original: the recording is cut, or repeated, to the length that the model was trained
with, and encoded; where the model has a quantizer of its own, the codec's codes are taken for the
values of their levels and these for the model's codes; a column of the context's begin and one of
its end go around them.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    from ttsrt_rt import _core
    from ttsrt_rt.audio import Sound
    from ttsrt_rt.executor import Executor

__all__ = ["check_takes_recordings", "context_seconds", "convert_codes", "encode_voice"]

Codes = npt.NDArray[np.int32]

MAX_SECONDS = 600.0
MAX_LEVEL = 1 << 16


def encode_voice(
    sound: Sound, codec: Executor, engine: _core.Engine, *, seconds: float | None = None
) -> Codes:
    """Returns the context of a voice: int32 [frames, codebooks], special columns included, as
    `add_voice(codes=...)` and `Request(context_codes=...)` take it.

    Args:
        sound: The recording, of any rate; several channels are mixed.
        codec: An executor of the model's codec, built with its encoder.
        engine: The engine of the model.
        seconds: How long the voice is: the recording is cut, or repeated, to it. None for what the
            model's configuration says, or for the recording's own length.

    Raises:
        ConfigError: The model takes no codes as a context; the codec has no encoder, or codes that
            are not the model's; or the recording is too short or `seconds` out of its limits.
    """
    from ttsrt_rt.audio import to_rate

    check_takes_recordings(engine)
    info = codec.engine.info
    layout = _codec_layout(codec.engine)
    model = _model_of(engine)
    wanted = _layout_of(model["quantizer"], "quantizer") if model.get("quantizer") else layout
    _check_codes(engine, codec.engine, wanted)
    rate = info.sample_rate or 0
    mono = np.ascontiguousarray(sound.samples.mean(axis=1, dtype=np.float64), np.float32)
    samples = to_rate(mono, sound.sample_rate, rate)
    samples = _fit(samples, rate, context_seconds(engine) if seconds is None else seconds)
    if len(samples) < info.samples_per_frame:
        raise ConfigError(
            f"audio: expected at least {info.samples_per_frame} samples at {rate} Hz, one frame of "
            f"the codec, got {len(samples)}"
        )
    codes = convert_codes(codec.generate(samples=samples).codes, layout, wanted)
    begin, end = (engine.info.special_ids[name] for name in ("context_bos", "context_eos"))
    return np.pad(codes, ((1, 1), (0, 0)), constant_values=((begin, end), (0, 0))).astype(np.int32)


def check_takes_recordings(engine: _core.Engine) -> None:
    """Checks that codes can be a context of a model.

    Raises:
        ConfigError: They cannot; the message says what the model takes.
    """
    family = engine.info.family
    context = _model_of(engine).get("context")
    if context not in ("codes", "encoder", "memory"):
        takes = {
            "t3": "speaker embeddings (--speaker_emb)",
            "f5": "a reference with its text (ttsrt f5)",
            "nanocodec": "codes or samples alone, as it is a codec",
        }.get(family, "the voices that are stored with it" if context == "voices" else "no voices")
        raise ConfigError(
            f"{engine.path}: expected a model that takes codec codes as its context, got one of "
            f"{family}, which takes {takes}"
        )


def context_seconds(engine: _core.Engine) -> float | None:
    """How long voices are that a model was trained with; None where its checkpoint says nothing."""
    source = json.loads(engine.description).get("source")
    value: Any = source.get("context_seconds") if isinstance(source, dict) else None
    if not isinstance(value, (int, float)) or not 0 < value <= MAX_SECONDS:
        return None
    return float(value)


def convert_codes(codes: Codes, old: tuple[int, list[int]], new: tuple[int, list[int]]) -> Codes:
    """Returns the same values as codes of another layout.

    Args:
        codes: int32 [frames, groups], without special ids.
        old: The number of groups, and the levels of each: one codec's FSQ.
        new: As that, of the same levels in another division into groups.

    Raises:
        ConfigError: The layouts have other levels.
    """
    if old == new:
        return codes
    flat = old[0] * old[1]
    if flat != new[0] * new[1]:
        raise ConfigError(
            "quantizer: expected the codec's levels, divided into groups in another way, got "
            f"{new[0]} groups of {new[1]} for the codec's {old[0]} of {old[1]}"
        )
    places = _digits(codes, old[1]).reshape(len(codes), new[0], len(new[1]))
    bases = np.cumprod([1, *new[1][:-1]])
    made: Codes = (places * bases).sum(axis=2).astype(np.int32)
    return made


def _digits(codes: Codes, levels: list[int]) -> npt.NDArray[np.int64]:
    """The place of each code among the levels of each dimension [frames, groups, dimensions]."""
    bases = np.cumprod([1, *levels[:-1]])
    places: npt.NDArray[np.int64] = codes[:, :, None].astype(np.int64) // bases % np.array(levels)
    return places


def _fit(
    samples: npt.NDArray[np.float32], rate: int, seconds: float | None
) -> npt.NDArray[np.float32]:
    """The beginning of a recording, which is repeated where it is too short."""
    if seconds is None:
        return samples
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= MAX_SECONDS:
        raise ConfigError(
            f"seconds: expected above 0 and at most {MAX_SECONDS:g}, got {show(seconds)}"
        )
    count = int(seconds * rate)
    repeats = math.ceil(count / max(len(samples), 1))
    return np.tile(samples, repeats)[:count] if len(samples) else samples


def _model_of(engine: _core.Engine) -> dict[str, Any]:
    model: dict[str, Any] = json.loads(engine.description)["model"]
    return model


def _codec_layout(engine: _core.Engine) -> tuple[int, list[int]]:
    if engine.info.family != "nanocodec":
        raise ConfigError(
            f"codec: {engine.path}: expected an engine of a codec (nanocodec), got one of "
            f"{engine.info.family}"
        )
    if not engine.info.has_encoder:
        raise ConfigError(
            f"codec: {engine.path}: expected a codec with an encoder, got one that only decodes"
        )
    return _layout_of(_model_of(engine), "codec")


def _layout_of(block: dict[str, Any], where: str) -> tuple[int, list[int]]:
    groups, levels = block["groups"], block["levels"]
    numbers = [groups + 1, *levels]  # at least one group, of dimensions of at least two levels
    if len(numbers) < 2 or not all(2 <= each <= MAX_LEVEL for each in numbers):
        raise ConfigError(f"{where}: expected groups and their levels, got {show(block)}")
    return groups, list(levels)


def _check_codes(engine: _core.Engine, codec: _core.Engine, wanted: tuple[int, list[int]]) -> None:
    """Checks that codes of this layout are the model's."""
    info = engine.info
    count = math.prod(wanted[1])
    special = min(info.special_ids[name] for name in ("context_bos", "context_eos"))
    if wanted[0] != info.codebooks or count > special:
        raise ConfigError(
            f"codec: {codec.path}: expected codes of {info.codebooks} codebooks with ids below "
            f"{special}, which {engine.path} takes, got {wanted[0]} codebooks of {count}"
        )
