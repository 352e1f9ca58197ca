"""The engine of `ttsrt say`: of a flag, of the environment, or a demo; its voices and languages."""

from __future__ import annotations

import argparse
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.streams import tell
from ttsrt_rt.engine_cache import cached_engine
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["VARIABLE", "open_executor", "show_languages", "show_voices", "use_engine"]

VARIABLE = "TTSRT_ENGINE"
# What a text becomes sound with, and what makes the sound, a checkpoint of its own.
_SPOKEN = {"magpie": "nanocodec", "t3": "s3gen"}
_HAS_SOUND = "t3"  # whose checkpoint may have it
_OTHERS = {
    "f5": ", which speaks as a reference does; use ttsrt f5",
    "llm": ", a language model; use ttsrt run --prompt",
}
_OF_CACHE = re.compile(r"codec_dir: [^\s:]*\.work/codec")


def use_engine(given: str | None, codec: str | None = None) -> tuple[Path, bool]:
    """The folder of the engine, and whether it is the demo, which is told.

    Args:
        given: An engine, or a checkpoint, of which an engine is made and kept; None for what the
            environment names.
        codec: The checkpoint of the codec that turns the codes of a checkpoint into sound.

    Raises:
        ConfigError, FormatError: It is neither.
    """
    name = given or os.environ.get(VARIABLE)
    where = "--engine" if given else VARIABLE
    if name and (Path(name) / "engine.json").is_file():
        if codec is not None:
            raise ConfigError(f"--codec: expected a checkpoint for --engine with it, got {name}")
        return Path(name), False
    if name:
        return _made(where, name, codec), False
    if codec is not None:
        raise ConfigError("--codec: expected --engine with it, got none")
    from ttsrt_rt.demo_speech import demo_speech_engine

    tell(
        f"ttsrt: no --engine and no {VARIABLE}: a demo speaks, whose weights are random, so its "
        "voice is noise"
    )
    return demo_speech_engine(), True


def _made(where: str, name: str, codec: str | None) -> Path:
    """The engine of a checkpoint and its codec. What they are is known before they are converted.

    Raises:
        ConfigError, FormatError: They are none, or of other kinds than are spoken.
    """
    family = _family(where, name)
    if family not in _SPOKEN:
        raise ConfigError(
            f"{where}: {name}: expected an engine or a checkpoint of MagpieTTS or Chatterbox, got "
            f"one of {family}{_OTHERS.get(family, '')}"
        )
    if codec is None and family == _HAS_SOUND:
        return Path(cached_engine(name, {}).path)
    if codec is None:
        raise ConfigError(
            f"--codec: expected the checkpoint of the codec with {name}, a checkpoint, got none"
        )
    of_codec = _family("--codec", codec)
    if of_codec != _SPOKEN[family]:
        raise ConfigError(
            f"--codec: {codec}: expected the checkpoint of a {_SPOKEN[family]}, got one of "
            f"{of_codec}"
        )
    try:
        return Path(cached_engine(name, {"codec": codec}).path)
    except ConfigError as error:
        told = _OF_CACHE.sub(f"--codec: {codec}".replace("\\", r"\\"), str(error))
        raise type(error)(told) from error


def _family(where: str, name: str) -> str:
    """The kind of model that a checkpoint is of, whether it is converted or not.

    Raises:
        ConfigError, FormatError: It is none.
    """
    from ttsrt_rt.convert.checkpoint import read_config
    from ttsrt_rt.convert.registry import FAMILIES, find_converter
    from ttsrt_rt.convert.sources import find_source

    if not os.path.exists(name):
        kind = "a checkpoint" if where == "--codec" else "an engine or a checkpoint"
        raise NotFoundError(f"{where}: {name}: expected {kind}, got no file of this name")
    with suppress(FormatError):
        return str(read_config(name)["family"])
    try:
        found = find_converter(find_source(Path(name)), None)
    except (ConfigError, FormatError) as error:
        raise type(error)(f"{where}: {error}") from error
    return next(family for family, (_, each) in FAMILIES.items() if each is found)


def open_executor(args: argparse.Namespace, engine: Path, **options: Any) -> Executor:
    """Opens an engine that turns text into sound.

    Raises:
        ConfigError: It has no front end, or no codec.
    """
    from ttsrt_rt import _core
    from ttsrt_rt.executor import Executor

    for name in ("device", "num_threads"):
        if getattr(args, name) is not None:
            options[name] = getattr(args, name)
    opened = _core.Engine.open(os.fsencode(engine))
    check_engine(opened)
    executor = Executor(opened, **options)
    try:
        if executor.default_language is None:
            raise ConfigError(
                f"engine: {engine}: expected one that reads text, got one without a front end; "
                "convert its source again, with the dictionaries of its text"
            )
    except BaseException:
        executor.close()
        raise
    return executor


def check_engine(engine: Any) -> None:
    """Refuses engines that say nothing.

    Raises:
        ConfigError: It makes no sound, or is of a model that needs a reference.
    """
    family = engine.info.family
    if family in _OTHERS or not engine.info.has_vocoder:
        is_spoken = family in _SPOKEN
        advice = "; build it with --codec_dir" if is_spoken else _OTHERS.get(family, "")
        ends = ", which ends in codes" if is_spoken else ""
        raise ConfigError(
            f"engine: {engine.path}: expected one of MagpieTTS with its codec or of Chatterbox "
            f"with its S3Gen, got one of {family}{ends}{advice}"
        )


def show_voices(engine: Path) -> int:
    """Prints the names of the voices, each on a line, with their indices."""
    from ttsrt_rt.executor import Executor

    with Executor(engine, num_threads=1) as executor:
        for index, name in enumerate(executor.voices()):
            print(f"{index}\t{name}")
    return 0


def show_languages(engine: Path) -> int:
    """Prints the languages, each on a line, with its tokenizer."""
    from ttsrt_rt.executor import Executor

    with Executor(engine, num_threads=1) as executor:
        default = executor.default_language
        if default is None:
            raise ConfigError(f"engine: {engine}: expected one that reads text, got no front end")
        for language, tokenizer in executor.languages.items():
            print(f"{language}\t{tokenizer}{' (default)' if language == default else ''}")
    return 0
