"""The contents of a checkpoint or engine folder, as plain values."""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.options import path_of

if TYPE_CHECKING:
    from ttsrt_rt import _core

__all__ = ["Contents", "TensorLine", "TokenizerLine", "inspect_folder"]


@dataclass(frozen=True)
class TensorLine:
    """One stored tensor: `layout` and `sha256` are empty for a checkpoint."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    num_bytes: int
    layout: str = ""
    sha256: str = ""


@dataclass(frozen=True)
class TokenizerLine:
    """One of the vocabularies of a front end, which has `num_ids` ids from `first_id` on."""

    name: str
    kind: str
    first_id: int
    num_ids: int


@dataclass(frozen=True)
class Contents:
    """A folder's contents: `kind` is "checkpoint" or "engine"; `description` its JSON.

    `products`: how this machine's CPU multiplies an engine's matrices; empty for a checkpoint.
    `voice_files`: names of the voices that are files in the folder, as those of Chatterbox are.
    `codec`: what makes sound of codes there, or codes of sound, in words; empty where nothing does.
    `tokenizers`, `languages`: what the folder's front end turns texts into ids with, and the
    tokenizer of each language; empty where there is none, or one that only Python knows.
    """

    kind: str
    path: str
    description: dict[str, Any]
    tensors: tuple[TensorLine, ...]
    products: str = ""
    voice_files: tuple[str, ...] = ()
    codec: str = ""
    tokenizers: tuple[TokenizerLine, ...] = ()
    languages: dict[str, str] = field(default_factory=dict)


def inspect_folder(path: str | os.PathLike[str], *, verify: bool = False) -> Contents:
    """Reads the description of a folder and the list of its tensors.

    Args:
        path: A folder that `convert` or `build` wrote.
        verify: Whether to read every weight of an engine and compare it with its recorded hash,
            and to read every voice file and check its values. A checkpoint has no hashes; its names
            and shapes are always checked against its configuration.

    Raises:
        NotFoundError: There is no such folder.
        ConfigError: The folder is neither a checkpoint nor an engine, or a voice file was made for
            another variant.
        FormatError: It, or a voice file, is damaged; the message names the file and the first
            thing that is wrong.
    """
    from ttsrt_rt import _core

    folder = path_of(path, "folder")
    try:
        if (folder / "engine.json").is_file():
            return _engine(folder, verify)
        if (folder / "config.json").is_file():
            return _checkpoint(folder, verify)
    except PermissionError as error:
        raise ConfigError(f"{error.filename or folder}: can't be read: no permission") from error
    try:
        _core.Engine.open(folder)  # says what is there, and which command comes next
    except NotFoundError as error:
        raise NotFoundError(_for_both(str(error))) from error
    except (ConfigError, FormatError) as error:
        raise ConfigError(_for_both(str(error))) from error
    raise ConfigError(f"{folder}: expected a checkpoint or an engine, got neither")


def _for_both(message: str) -> str:
    both = "expected a folder with engine.json or config.json, an engine or a checkpoint"
    return re.sub(r"expected an engine(?: folder \([^()]*\))?", both, message, count=1)


def _engine(folder: Path, verify: bool) -> Contents:
    from ttsrt_rt import _core

    engine = _core.Engine.open(folder)
    if verify:
        engine.verify()
    tensors = tuple(
        TensorLine(t.name, t.dtype, tuple(t.shape), t.bytes, t.layout, t.sha256)
        for t in engine.tensors()
    )
    description = json.loads(engine.description)
    description.pop("components", None)  # the list of tensors has the same
    products = _core.describe_products(description["dtype"], description["quantization"])
    voices = _voice_files(folder, description, verify)
    codec = _codec(description)
    return Contents(
        "engine",
        os.fspath(folder),
        description,
        tensors,
        products,
        voices,
        codec,
        *_front_end(engine.front_end),
    )


def _checkpoint(folder: Path, verify: bool) -> Contents:
    from ttsrt_rt import _core
    from ttsrt_rt.convert.checkpoint import open_checkpoint, open_tensors, read_config

    config = read_config(folder)
    if config.get("family") == "magpie":
        weights = open_checkpoint(folder).weights
    else:
        weights = open_tensors(folder, config)
    tensors = tuple(TensorLine(t.name, t.dtype, t.shape, t.nbytes) for t in weights.values())
    voices = _voice_files(folder, config, verify)
    return Contents(
        "checkpoint",
        os.fspath(folder),
        config,
        tensors,
        "",
        voices,
        _codec(config),
        *_front_end(_core.TextFrontEnd.find(folder)),
    )


def _front_end(
    front_end: _core.TextFrontEnd | None,
) -> tuple[tuple[TokenizerLine, ...], dict[str, str]]:
    if front_end is None:
        return (), {}
    lines = tuple(
        TokenizerLine(info.name, info.kind, info.offset, info.size)
        for info in front_end.tokenizers()
    )
    return lines, {of.language: of.tokenizer for of in front_end.languages()}


def _codec(description: dict[str, Any]) -> str:
    """The codec of a model, or the model that is one, in words."""
    family, model = description["family"], description["model"]
    sound = model.get("sound_model")
    if sound:
        kind = {"cfm": "guided", "meanflow": "mean"}[sound["flow"]["kind"]]
        return f"S3Gen ({kind} flow), {sound['sample_rate']} Hz"
    codec = model if family == "nanocodec" else model.get("codec_model")
    if not codec:
        return ""
    parts = " and ".join(name for name in ("encoder", "decoder") if codec.get(name))
    rate, samples = codec["sample_rate"], codec["samples_per_frame"]
    levels = " x ".join(map(str, codec["levels"]))
    return (
        f"{parts}, {rate} Hz, {samples} samples a frame ({rate / samples:.3f} frames/s), "
        f"{codec['groups']} codebooks of {math.prod(codec['levels'])} codes ({levels} levels)"
    )


def _voice_files(folder: Path, description: dict[str, Any], verify: bool) -> tuple[str, ...]:
    from ttsrt_rt.code_voice import is_code_voice_family, read_code_voice
    from ttsrt_rt.stored_voices import has_voice_files, read_stored_voices, stored_voice_files

    family = description["family"]
    if not has_voice_files(family):
        return ()
    if verify and is_code_voice_family(family):
        for path in stored_voice_files(folder):
            read_code_voice(path, family)
    elif verify:
        read_stored_voices(folder, description["model"])
    return tuple(path.stem for path in stored_voice_files(folder))
