"""The voices that flags and rows of `ttsrt say` name: stored ones, and files, which are added."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.request_flags import voice_of
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import list_names, quote
from ttsrt_rt.regular_file import read_regular
from ttsrt_rt.voice_file import MAX_BYTES

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor

__all__ = ["named_voice", "voice_fields", "voice_key"]

_ENDING = ".safetensors"
_RECORDINGS = (".wav", ".flac", ".mp3", ".ogg", ".opus")


def voice_fields(args: argparse.Namespace, executor: Executor) -> dict[str, Any]:
    """The field of the voice, or of its description; a file is added to the executor.

    Raises:
        ConfigError: There is no such voice, or the engine has none.
        NotFoundError, FormatError: The file of a voice can't be read.
    """
    if args.voice_description is not None:
        front_end = executor.engine.front_end
        if front_end is None or not front_end.context_tokenizer:
            raise ConfigError(
                "--voice_description: expected none, as the model of this engine takes no such "
                "text; --list_voices lists its voices"
            )
        return {"context_text": args.voice_description}
    if args.voice is None:
        names = executor.voices()
        if not names:
            raise ConfigError(
                "--voice: expected a file of a voice, as the engine has none of its own (ttsrt "
                "voice makes one of a recording); got none"
            )
        if args.verbose:
            tell(f"ttsrt: voice: {names[0]}, the first of {len(names)}")
        return {"voice": names[0] if names[0] else 0}
    if args.verbose:
        tell(f"ttsrt: voice: {args.voice}")
    return {"voice": named_voice(args.voice, executor)}


def named_voice(text: str, executor: Executor) -> int | str:
    """The voice that a flag or a row names: by its name, its index, or a file. A file is added by
    the hash of its content, so that it is never taken for another voice of the same name.

    Raises:
        ConfigError: There is none, or the file is a recording.
        NotFoundError, FormatError: The file can't be read.
    """
    voice = voice_of(text)
    names = executor.voices()
    if voice in names or isinstance(voice, int):
        return voice
    path = Path(text)
    ending = path.suffix.lower()
    if ending == _ENDING:
        name = _name_of(path)
        if name not in names:
            executor.add_voice(name, file=path)
        return name
    if ending in _RECORDINGS:
        raise ConfigError(
            f"--voice: {text}: expected a voice, got a recording, which an engine without an "
            f"encoder can't hear; make one of it: ttsrt voice ENGINE {path.stem} --audio {text} "
            "--codec CODEC"
        )
    raise ConfigError(
        f"--voice: expected one of {list_names(names)}, an index or a {_ENDING}, got "
        f"{quote(str(voice))}"
    )


def voice_key(text: str | None, names: Sequence[str]) -> str | None:
    """What tells a voice from others: the content of a file, the name or the index of others.

    Raises:
        NotFoundError, ConfigError, FormatError: The file can't be read.
    """
    if text is None or voice_of(text) in names or Path(text).suffix.lower() != _ENDING:
        return text
    return _name_of(Path(text))


def _name_of(path: Path) -> str:
    return f"file-{hashlib.sha256(read_regular(path, MAX_BYTES)).hexdigest()[:32]}"
