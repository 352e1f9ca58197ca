"""What the flags of `ttsrt say` mean for requests, and which of them go together."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.request_flags import voice_of
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import list_names, quote

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.request import Request
    from ttsrt_rt.text_options import TextOptions

__all__ = [
    "MAX_IN_FLIGHT",
    "check_say",
    "in_seconds",
    "request_fields",
    "request_of",
    "text_options_of",
    "voice_fields",
]

_OF_REQUESTS = ("seed", "temperature", "top_k", "cfg_scale", "language")
_OF_ONE = ("output", "stream", "play", "timestamps", "codes", "stream_input")
_OF_MANY = ("max_in_flight", "force", "keep_going", "fail_fast", "quiet")
MAX_IN_FLIGHT = 256  # rows at once
_WHOLE_CHUNK = 32  # frames that become sound together where nobody listens meanwhile


def check_say(args: argparse.Namespace) -> None:
    """Checks that there is one source of text, and flags that fit each other.

    Raises:
        ConfigError: There is none, or several; or a flag has nothing to do.
    """
    if args.list_voices or args.list_languages:
        return
    if bool(args.text) == (args.file is not None):
        got = "both" if args.text else "none"
        raise ConfigError(f"say: expected a TEXT (- for standard input) or --file, got {got}")
    if args.output_dir is not None:
        for name in _OF_ONE:
            if getattr(args, name):
                raise ConfigError(f"--{name}: expected without --output_dir, got both")
        if args.file is None:
            raise ConfigError("--output_dir: expected --file with it, got a text")
    else:
        for name in _OF_MANY:
            if getattr(args, name):
                raise ConfigError(f"--{name}: expected with --output_dir, got none")
    if args.stream_input and args.text != ["-"]:
        raise ConfigError("--stream_input: expected - for standard input with it, got a text")
    if args.stream_input and args.ssml:
        raise ConfigError("--stream_input: expected without --ssml, which has one end; got both")
    if args.voice_description is not None and args.voice is not None:
        raise ConfigError("--voice_description: expected without --voice, got both")
    if args.max_seconds is not None and not 0 < args.max_seconds <= 86400:
        raise ConfigError(f"--max_seconds: expected 0 to 86400, got {args.max_seconds}")
    if args.max_in_flight is not None and not 1 <= args.max_in_flight <= MAX_IN_FLIGHT:
        raise ConfigError(
            f"--max_in_flight: expected 1 to {MAX_IN_FLIGHT}, got {args.max_in_flight}"
        )
    if args.speed is not None:
        raise ConfigError(
            f"--speed: expected none, as Magpie has no speed (ttsrt f5 has one), got {args.speed}"
        )


def text_options_of(args: argparse.Namespace) -> TextOptions:
    """How texts are read.

    Raises:
        ConfigError, FormatError: The lexicon can't be read.
    """
    from ttsrt_rt.text.lexicon import read_lexicon
    from ttsrt_rt.text_options import TextOptions

    return TextOptions(
        strict=args.strict_text,
        normalize=args.normalize or "off",
        markup="ssml" if args.ssml else "none",
        lexicon=None if args.lexicon is None else read_lexicon(args.lexicon),
    )


def request_fields(args: argparse.Namespace, executor: Executor) -> dict[str, Any]:
    """The fields of requests that flags give."""
    given = {name: getattr(args, name) for name in _OF_REQUESTS if getattr(args, name) is not None}
    given["text_options"] = text_options_of(args)
    if args.max_seconds is not None:
        given["max_frames"] = frames_of(args.max_seconds, executor)
    if args.language is None and args.verbose:
        tell(f"ttsrt: language: {executor.default_language}, the engine's default")
    return given


def frames_of(seconds: float, executor: Executor) -> int:
    """How many frames so many seconds have at least."""
    return max(1, math.ceil(seconds * executor.engine.info.frame_rate))


@contextmanager
def in_seconds(executor: Executor) -> Iterator[None]:
    """Tells the most frames that a request may have as seconds, as the flag does.

    Raises:
        ConfigError: The block raised one.
    """
    try:
        yield
    except ConfigError as error:
        found = re.match(r"max_frames: expected at most ([0-9]+) frames", str(error))
        if found is None:
            raise
        most = int(found[1]) / executor.engine.info.frame_rate
        raise ConfigError(
            f"--max_seconds: expected at most {most:.2f} for this engine and text, got more"
        ) from error


def voice_fields(args: argparse.Namespace, executor: Executor) -> dict[str, Any]:
    """The field of the voice, or of its description; a file is added to the executor.

    Raises:
        ConfigError: There is no such voice, or the engine has none.
    """
    if args.voice_description is not None:
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
    return {"voice": named_voice(args.voice, executor)}


def named_voice(text: str, executor: Executor) -> int | str:
    """The voice that a flag or a row names: by its name, its index, or a file, which is added.

    Raises:
        ConfigError: There is none, or the file is a recording.
    """
    voice = voice_of(text)
    names = executor.voices()
    if voice in names or isinstance(voice, int):
        return voice
    path = Path(text)
    ending = path.suffix.lower()
    if ending == ".safetensors":
        if path.stem not in names:
            executor.add_voice(path.stem, file=path)
        return path.stem
    if ending in (".wav", ".flac", ".mp3", ".ogg", ".opus"):
        raise ConfigError(
            f"--voice: {text}: expected a voice, got a recording, which an engine without an "
            f"encoder can't hear; make one of it: ttsrt voice ENGINE {path.stem} --audio {text} "
            "--codec CODEC"
        )
    raise ConfigError(
        f"--voice: expected one of {list_names(names)}, an index or a .safetensors, got "
        f"{quote(str(voice))}"
    )


def request_of(
    fields: Mapping[str, Any], text: str, executor: Executor, *, is_demo: bool, is_heard: bool
) -> Request:
    """The request of a text.

    Args:
        fields: Of all texts.
        text: What to say.
        executor: That it is for.
        is_demo: Whether a demo speaks, which has no end of speech.
        is_heard: Whether somebody listens while the sound is made.
    """
    from ttsrt_rt.demo_speech import demo_seconds
    from ttsrt_rt.request import Request

    values = dict(fields)
    if is_demo and "max_frames" not in values:
        values["max_frames"] = frames_of(demo_seconds(text), executor)
    if not is_heard:
        values["chunk_frames"] = _WHOLE_CHUNK
    return Request(text=text, **values)
