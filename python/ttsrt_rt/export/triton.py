"""`export_triton`: writes a model repository that serves an engine with Triton."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.export.tree_writer import write_tree
from ttsrt_rt.export.triton_fields import (
    CODE_OUTPUTS,
    INPUTS,
    MODEL_NAME,
    S3GEN_NAME,
    SOUND_OUTPUTS,
    SPEECH_NAME,
    Tensor,
    config,
)
from ttsrt_rt.export.triton_s3gen import S3GEN_INPUTS, S3GEN_OUTPUTS, find_weights, require_package
from ttsrt_rt.export.triton_sound import NATIVE_INPUTS, TAKEN
from ttsrt_rt.export.triton_speech import SPEECH_OUTPUTS
from ttsrt_rt.export.voices import read_voice_arguments
from ttsrt_rt.options import path_of
from ttsrt_rt.quoting import show
from ttsrt_rt.regular_file import read_regular

if TYPE_CHECKING:
    from ttsrt_rt import _core

__all__ = ["export_triton"]

_FORMAT = "ttsrt.triton_repository"
_DESCRIPTION = "ttsrt_triton.json"
_MAX_VOICE_BYTES = 64 << 20
_CODECS = ("none", "native", "chatterbox")


def export_triton(
    engine: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    codec: str = "none",
    codec_dir: str | os.PathLike[str] | None = None,
    voices: Sequence[str | os.PathLike[str]] = (),
    device: str | None = None,
    num_threads: int | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a Triton model repository for an engine of any family and returns its folder.

    The model `ttsrt` holds one executor, which batches the requests in flight; it is decoupled and
    streams codes (docs/export.md). The server's Python needs this package.

    Args:
        engine: An engine folder; the repository refers to it by its absolute path.
        output_dir: The folder to create.
        codec: "none"; "native" for `ttsrt_speech`, which gives a waveform, and, where the engine
            makes no sound itself, `s3gen`, which makes it with an engine of S3Gen; or "chatterbox"
            for the same with an `s3gen` that calls the original package.
        codec_dir: With "native", the engine of S3Gen, if the other one makes no sound; with
            "chatterbox", the folder of the original files.
        voices: Voice files, or files of one array of rows or codes; they are copied, and each voice
            is named like its file.
        device: As of `Executor`; None for its default.
        num_threads: As of `Executor`.
        overwrite: Whether a repository that is there is replaced.

    Raises:
        ConfigError: The engine or a file does not exist, the engine does not take a voice, the
            device is none that an executor knows, the codec is unknown or its package is
            not installed, or the folder can't be written or holds something else.
        FormatError: The engine or a voice is damaged.
        CapacityError: The disk is full.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.native_request import check_run_options

    opened = _core.Engine.open(os.fspath(path_of(engine, "engine")))
    options = {"device": device, "num_threads": num_threads}
    check_run_options({name: value for name, value in options.items() if value is not None})
    parameters = {"engine": os.path.realpath(opened.path)}
    if device is not None:
        parameters["device"] = device
    if num_threads is not None:
        parameters["num_threads"] = str(num_threads)
    outputs = (*CODE_OUTPUTS, *(SOUND_OUTPUTS if opened.info.has_vocoder else ()))
    files = {
        f"{MODEL_NAME}/config.pbtxt": config(
            MODEL_NAME, INPUTS, outputs, parameters, is_decoupled=True
        ).encode(),
        f"{MODEL_NAME}/1/model.py": _program("triton_model", "Model"),
        **_voice_files(voices, opened),
        **_codec_files(codec, codec_dir, opened, voices),
    }
    return write_tree(
        path_of(output_dir, "output_dir"),
        files,
        noun="a model repository of ttsrt",
        format=_FORMAT,
        description=_DESCRIPTION,
        overwrite=overwrite,
    )


def _program(module: str, name: str) -> bytes:
    return f'''"""The class that Triton's Python backend looks for; ttsrt_rt has what it does."""

import triton_python_backend_utils as pb_utils

from ttsrt_rt.export.{module} import {name}


class TritonPythonModel({name}):
    utils = pb_utils
'''.encode()


def _voice_files(
    voices: Sequence[str | os.PathLike[str]], engine: _core.Engine
) -> dict[str, bytes]:
    """The voices as files of the repository, once it is known that the engine takes them."""
    if isinstance(voices, (str, bytes, os.PathLike)):
        raise ConfigError(f"voices: expected a list of files, got {show(voices)}")
    files: dict[str, bytes] = {}
    for each in voices:
        path = path_of(each, "voices")
        name = f"{MODEL_NAME}/1/voices/{path.stem}.safetensors"
        if path.suffix != ".safetensors":
            raise ConfigError(f"voices: expected .safetensors files, got {path}")
        if name in files:
            raise ConfigError(f"voices: expected files of different names, got two {path.stem}")
        files[name] = read_regular(path, _MAX_VOICE_BYTES)
        read_voice_arguments(path, engine)
    return files


def _codec_files(
    codec: str,
    codec_dir: str | os.PathLike[str] | None,
    engine: _core.Engine,
    voices: Sequence[str | os.PathLike[str]],
) -> dict[str, bytes]:
    if codec not in _CODECS:
        raise ConfigError(f"codec: expected one of {', '.join(_CODECS)}, got {show(codec)}")
    if codec == "none":
        if codec_dir is not None:
            raise ConfigError("codec_dir: expected none without a codec")
        return {}
    if codec == "native" and engine.info.has_vocoder:
        if codec_dir is not None:
            raise ConfigError("codec_dir: expected none, as the engine makes sound itself")
        return _speech_files({"model": MODEL_NAME})
    if codec_dir is None:
        wanted = "an engine of S3Gen" if codec == "native" else "the folder of Chatterbox's files"
        raise ConfigError(f"codec_dir: expected {wanted}, got none")
    folder = path_of(codec_dir, "codec_dir")
    files: dict[str, bytes] = {}
    speech = {"model": MODEL_NAME, "vocoder": S3GEN_NAME}
    inputs: tuple[Tensor, ...] = S3GEN_INPUTS
    if codec == "native":
        files |= _sound_voices(voices, _open_sound(folder))
        program = _program("triton_sound", "Sound")
        inputs, speech = NATIVE_INPUTS, {**speech, "vocoder_takes": ",".join(TAKEN)}
    else:
        require_package()
        find_weights(folder)
        program = _program("triton_s3gen", "Vocoder")
    vocoder = {"codec_dir": os.path.realpath(folder)}
    return {
        f"{S3GEN_NAME}/config.pbtxt": config(
            S3GEN_NAME, inputs, S3GEN_OUTPUTS, vocoder, is_decoupled=False
        ).encode(),
        f"{S3GEN_NAME}/1/model.py": program,
        **files,
        **_speech_files(speech),
    }


def _speech_files(parameters: dict[str, str]) -> dict[str, bytes]:
    return {
        f"{SPEECH_NAME}/config.pbtxt": config(
            SPEECH_NAME, INPUTS, SPEECH_OUTPUTS, parameters, is_decoupled=False
        ).encode(),
        f"{SPEECH_NAME}/1/model.py": _program("triton_speech", "Speech"),
    }


def _open_sound(folder: Path) -> _core.Engine:
    """The engine that makes sound of codes.

    Raises:
        ConfigError: It is of another model.
        FormatError: It is damaged.
    """
    from ttsrt_rt import _core

    engine = _core.Engine.open(os.fspath(folder))
    if engine.info.family != "s3gen" or not engine.info.has_vocoder:
        raise ConfigError(
            f"codec_dir: {folder}: expected an engine of S3Gen with its vocoder, got one of "
            f"{engine.info.family}"
        )
    return engine


def _sound_voices(
    voices: Sequence[str | os.PathLike[str]], engine: _core.Engine
) -> dict[str, bytes]:
    """The voice files that have what makes sound, as files of the vocoder."""
    files: dict[str, bytes] = {}
    for each in voices:
        path = path_of(each, "voices")
        read_voice_arguments(path, engine)
        files[f"{S3GEN_NAME}/1/voices/{path.name}"] = read_regular(path, _MAX_VOICE_BYTES)
    return files
