"""What makes sound of T3's tokens goes into its checkpoint: the S3Gen that a release brings.

It is a checkpoint of its own, in the folder `sound`. `build` makes it a part of the engine.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from ttsrt_rt.convert.checkpoint import CONFIG_NAME, SOUND_NAME, WEIGHTS_NAME, write_config
from ttsrt_rt.convert.mapped_tensor import write_mapped
from ttsrt_rt.convert.s3gen_convert import OpenedS3Gen, check_voice, open_s3gen
from ttsrt_rt.convert.sources import S3GEN_FILE
from ttsrt_rt.convert.t3_model import GPT2_VARIANTS
from ttsrt_rt.convert.t3_voice import CONDS_NAME
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.progress import ProgressCallback
from ttsrt_rt.quoting import list_names
from ttsrt_rt.voice_file import VoiceFile

__all__ = ["find_sound", "open_sound", "sound_writers"]

LOGGER = logging.getLogger(__name__)

MEAN_FLOW = "meanflow"  # in the names of the files of Turbo and Nano


def find_sound(
    source: Path, sound: str | os.PathLike[str] | bool | None, variant: str
) -> Path | None:
    """Returns the file of the S3Gen to store with a T3.

    Turbo and Nano take one with mean flow where there is one, the others one without. A `.pt` that
    is there as `.safetensors`, too, is passed over.

    Args:
        source: the file of T3.
        sound: a file; None for the one in the folder of the source, if any; True if there must be
            one; False for none.
        variant: of T3.

    Raises:
        NotFoundError: there is none.
        ConfigError: there are several.
    """
    if sound is False:
        return None
    if sound is not None and sound is not True:
        path = Path(os.fsdecode(sound))
        if not path.is_file():
            raise NotFoundError(f"sound: {path}: expected a file of S3Gen, got none of this name")
        return path
    names = sorted(each.name for each in source.parent.iterdir() if S3GEN_FILE.fullmatch(each.name))
    names = [
        name for name in names if not (name.endswith(".pt") and f"{name[:-3]}.safetensors" in names)
    ]
    mean = [name for name in names if MEAN_FLOW in name]
    others = [name for name in names if MEAN_FLOW not in name]
    fitting = mean or others if variant in GPT2_VARIANTS else others or mean
    usual = [name for name in fitting if Path(name).stem in ("s3gen", f"s3gen_{MEAN_FLOW}")]
    found = usual or fitting
    if len(found) > 1:
        raise ConfigError(
            f"sound: expected one s3gen* file in {source.parent}, got {list_names(found)}; name "
            "one, or say false"
        )
    if not found and sound is True:
        raise NotFoundError(f"sound: expected an s3gen* file in {source.parent}, got none")
    return source.parent / found[0] if found else None


def open_sound(
    files: ExitStack, path: Path | None, voice: VoiceFile | None, dtype: str | None
) -> OpenedS3Gen | None:
    """Opens an S3Gen to store with a T3.

    Args:
        files: closes what is opened.
        path: of the S3Gen; None for none.
        voice: the voice of the release, which is compared with it.
        dtype: as of `convert`.

    Raises:
        ConfigError, NotFoundError, FormatError: as `convert_s3gen`; or it has no flow or no
            vocoder.
    """
    if path is None:
        return None
    made = open_s3gen(files, path, dtype=dtype)
    for name in ("flow", "vocoder"):
        if getattr(made.model, name) is None:
            raise ConfigError(f"sound: {path}: expected an S3Gen with a {name}, got one without")
    if voice is not None and voice.generator:
        check_voice(voice, made.model, path.parent / CONDS_NAME)
    LOGGER.info("%s: it makes the sound of the model's tokens", path.name)
    return made


def sound_writers(
    made: OpenedS3Gen | None, report: ProgressCallback
) -> Mapping[str, Callable[[Path], object]]:
    """Returns what writes the files of an S3Gen in a checkpoint, by their names there.

    Args:
        made: what `open_sound` returned.
        report: is told of each tensor.
    """
    if made is None:
        return {}
    return {
        f"{SOUND_NAME}/{CONFIG_NAME}": functools.partial(write_config, config=made.config),
        f"{SOUND_NAME}/{WEIGHTS_NAME}": lambda at: write_mapped(at, made.tensors, report),
    }
