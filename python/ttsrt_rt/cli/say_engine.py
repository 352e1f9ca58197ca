"""The engine of `ttsrt say`: of a flag, of the environment, or a demo; its voices and languages."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.streams import tell
from ttsrt_rt.engine_cache import cached_engine
from ttsrt_rt.errors import ConfigError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["VARIABLE", "open_executor", "show_languages", "show_voices", "use_engine"]

VARIABLE = "TTSRT_ENGINE"


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
    if name and (Path(name) / "engine.json").is_file():
        if codec is not None:
            raise ConfigError(f"--codec: expected a checkpoint for --engine with it, got {name}")
        return Path(name), False
    if name:
        if codec is None and Path(name).is_dir() and not Path(name, "config.json").exists():
            return Path(name), False  # opening it tells what it is
        made = cached_engine(name, {"codec": codec} if codec else {})
        return Path(made.path), False
    if codec is not None:
        raise ConfigError("--codec: expected --engine with it, got none")
    from ttsrt_rt.demo_speech import demo_speech_engine

    tell(
        f"ttsrt: no --engine and no {VARIABLE}: a demo speaks, whose weights are random, so its "
        "voice is noise"
    )
    return demo_speech_engine(), True


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
    if engine.info.family == "f5":
        raise ConfigError(
            f"engine: {engine.path}: expected a model with voices, got F5-TTS, which speaks as a "
            "reference does; use ttsrt f5"
        )
    if not engine.info.has_vocoder:
        raise ConfigError(
            f"engine: {engine.path}: expected one that makes sound, got one of "
            f"{engine.info.family}, which ends in codes; build it with --codec_dir"
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
