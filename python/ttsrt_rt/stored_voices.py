"""The voice files that a checkpoint or an engine brings in its folder `voices`.

They are added when an executor opens the engine, so an engine is built with room for those of its
checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ttsrt_rt.code_voice import is_code_voice_family
from ttsrt_rt.convert.checkpoint import VOICES_NAME, read_config
from ttsrt_rt.convert.s3gen_manifest import FAMILY as S3GEN
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.voice_file import VoiceFile, read_voice

__all__ = [
    "has_voice_files",
    "limits_for_voices",
    "prefix_rows",
    "read_stored_voices",
    "stored_voice_files",
]

_USUAL_INPUT = 256  # the default of max_input_len
_USUAL_FRAMES = 501  # and that of models whose context is a spectrogram


def has_voice_files(family: str) -> bool:
    """Whether models of this family may bring voice files."""
    return family in ("t3", S3GEN) or is_code_voice_family(family)


def stored_voice_files(folder: str | os.PathLike[str]) -> list[Path]:
    """Returns the voice files of a checkpoint or an engine, in the order of their names."""
    return sorted(Path(os.fsdecode(folder), VOICES_NAME).glob("*.safetensors"))


def prefix_rows(voice: VoiceFile, model: Mapping[str, Any]) -> int:
    """Returns how many rows a voice has before the text.

    Args:
        voice: The voice.
        model: The description of the model, as config.json or engine.json has it.
    """
    conditioning = model["conditioning"]
    prompt = len(voice.cond_prompt_speech_tokens)
    queries = int(conditioning["queries"])
    return 1 + (queries if prompt and queries else prompt) + int(bool(conditioning["emotion"]))


def read_stored_voices(
    folder: str | os.PathLike[str], model: Mapping[str, Any]
) -> dict[Path, VoiceFile]:
    """Reads the voice files of a checkpoint or an engine of Chatterbox and checks all values. Those
    of an S3Gen, which every variant uses, may be for any.

    Raises:
        ConfigError: A voice was made for another variant, or a file can't be read.
        FormatError: A file is not a voice.
    """
    variant = model.get("variant")
    return {path: read_voice(path, variant=variant) for path in stored_voice_files(folder)}


def limits_for_voices(
    checkpoint: str | os.PathLike[str],
    *,
    max_input_len: int | None = None,
    max_seq_len: int | None = None,
) -> dict[str, int]:
    """Returns the limits of `build` that the stored voices of a checkpoint need beyond its
    defaults: nothing, or `max_input_len`.

    Args:
        checkpoint: The folder. One that is not a checkpoint of Chatterbox needs nothing here.
        max_input_len: What the caller chose; None or 0 for the default.
        max_seq_len: As that.

    Raises:
        ConfigError: A voice has no room in a limit that the caller chose, or it was made for
            another variant.
        FormatError: A stored voice is damaged.
    """
    try:
        config = read_config(os.fsdecode(checkpoint))
    except (ConfigError, FormatError):
        return {}  # `build` says what is wrong
    model: dict[str, Any] = config.get("model", {})
    is_sound = config.get("family") == S3GEN
    if not is_sound and (config.get("family") != "t3" or not _describes_voices(model)):
        return {}
    needed = 0
    for path, voice in read_stored_voices(checkpoint, {} if is_sound else model).items():
        rows = (
            len(voice.generator.get("prompt_feat", ())) if is_sound else prefix_rows(voice, model)
        )
        needed = max(needed, rows)
        if max_input_len and 0 < max_input_len < rows:
            raise ConfigError(
                f"max_input_len: expected at least the {rows} rows of the stored voice {path}, "
                f"got {max_input_len}"
            )
        if max_seq_len and 0 < max_seq_len <= rows:
            raise ConfigError(
                f"max_seq_len: expected more than the {rows} rows of the stored voice {path}, "
                f"got {max_seq_len}"
            )
    usual = _USUAL_FRAMES if is_sound else _USUAL_INPUT
    return {"max_input_len": needed} if not max_input_len and needed > usual else {}


def _describes_voices(model: object) -> bool:
    """Whether a description that was not checked yet says what a voice is."""
    if not isinstance(model, dict) or not isinstance(model.get("variant"), str):
        return False
    of = model.get("conditioning")
    return (
        isinstance(of, dict)
        and isinstance(of.get("queries"), int)
        and isinstance(of.get("emotion"), bool)
    )
