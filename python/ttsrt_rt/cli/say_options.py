"""What the flags of `ttsrt say` mean for requests, and which of them go together."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ttsrt_rt.cli.files import told_of
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.errors import ConfigError

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
]

_SPOKEN_ONLY = ("text", "file", "output_dir")
_OF_REQUESTS = ("seed", "temperature", "top_k", "cfg_scale", "language")
_OF_ONE = ("output", "stream", "play", "timestamps", "codes", "stream_input")
_OF_MANY = ("max_in_flight", "force", "keep_going", "fail_fast", "quiet")
MAX_IN_FLIGHT = 256  # rows at once
_ROUNDING = 1e-6  # frames: of a number of seconds that was made of whole frames
_WHOLE_CHUNK = 32  # frames that become sound together where nobody listens meanwhile


def check_say(args: argparse.Namespace) -> None:
    """Checks that there is one source of text, and flags that fit each other.

    Raises:
        ConfigError: There is none, or several; or a flag has nothing to do.
    """
    for name in ("list_voices", "list_languages"):
        if getattr(args, name):
            given = [each for each in (*_SPOKEN_ONLY, *_OF_ONE, *_OF_MANY) if getattr(args, each)]
            if given:
                shown = "a TEXT" if given[0] == "text" else f"--{given[0]}"
                raise ConfigError(f"--{name}: expected it alone, as nothing is spoken; got {shown}")
            return
    if "-" in args.text and len(args.text) > 1:
        raise ConfigError(
            "say: expected - alone, for standard input, or a TEXT; got - beside other words"
        )
    if bool(args.text) == (args.file is not None):
        got = "both" if args.text else "none"
        raise ConfigError(f"say: expected a TEXT (- for standard input) or --file, got {got}")
    if args.output_dir is not None:
        for name in _OF_ONE:
            if getattr(args, name):
                raise ConfigError(f"--{name}: expected no --output_dir with it, got both")
        if args.file is None:
            raise ConfigError("--output_dir: expected --file with it, got a text")
    else:
        for name in _OF_MANY:
            if getattr(args, name):
                raise ConfigError(f"--{name}: expected --output_dir with it, got none")
    if args.stream_input and args.text != ["-"]:
        raise ConfigError("--stream_input: expected - for standard input with it, got a text")
    if args.stream_input and args.ssml:
        raise ConfigError("--stream_input: expected no --ssml with it, which has one end; got both")
    if args.watermark is not None and (args.stream or args.play or args.output == "-"):
        raise ConfigError(
            "--watermark: expected a file for the sound, which is marked when all of it is there; "
            "got --stream, --play or --output -"
        )
    if args.voice_description is not None and args.voice is not None:
        raise ConfigError("--voice_description: expected no --voice with it, got both")
    if args.max_seconds is not None and not 0 < args.max_seconds <= 86400:
        raise ConfigError(
            f"--max_seconds: expected more than 0 and at most 86400, got {args.max_seconds:g}"
        )
    if args.max_in_flight is not None and not 1 <= args.max_in_flight <= MAX_IN_FLIGHT:
        raise ConfigError(
            f"--max_in_flight: expected 1 to {MAX_IN_FLIGHT}, got {args.max_in_flight}"
        )


def text_options_of(args: argparse.Namespace) -> TextOptions:
    """How texts are read.

    Raises:
        ConfigError, FormatError: The lexicon can't be read.
    """
    from ttsrt_rt.text.lexicon import read_lexicon
    from ttsrt_rt.text_options import TextOptions

    with told_of("--lexicon"):
        lexicon = None if args.lexicon is None else read_lexicon(args.lexicon)
    return TextOptions(
        strict=args.strict_text,
        normalize=args.normalize or "off",
        markup="ssml" if args.ssml else "none",
        lexicon=lexicon,
    )


def request_fields(args: argparse.Namespace, executor: Executor) -> dict[str, Any]:
    """The fields of requests that flags give."""
    given = {name: getattr(args, name) for name in _OF_REQUESTS if getattr(args, name) is not None}
    given["text_options"] = text_options_of(args)
    if args.max_seconds is not None:
        given["max_frames"] = frames_of(args.max_seconds, executor)
    if args.verbose:
        default = f"{executor.default_language}, the engine's default"
        tell(f"ttsrt: language: {default if args.language is None else args.language}")
    return given


def frames_of(seconds: float, executor: Executor) -> int:
    """How many frames so many seconds have at most, at least those of a step.

    Raises:
        ConfigError: They are less than a step.
    """
    info = executor.engine.info
    step = max(1, info.frame_stacking)
    frames = math.floor(seconds * info.frame_rate + _ROUNDING)
    if frames < step:
        raise ConfigError(
            f"--max_seconds: expected at least {step / info.frame_rate:.4f}, a step of this model, "
            f"got {seconds:g}"
        )
    return frames


@contextmanager
def in_seconds(executor: Executor) -> Iterator[None]:
    """Tells the most frames that a request may have as seconds, as the flag does.

    Raises:
        ConfigError: The block raised one.
    """
    try:
        yield
    except ConfigError as error:
        if error.limit is None:
            raise
        most = error.limit / executor.engine.info.frame_rate
        raise ConfigError(
            f"--max_seconds: expected at most {most:.2f} for this engine and text, got more"
        ) from error


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
