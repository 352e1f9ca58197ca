"""Where the sound of `ttsrt say` goes: a file, a pipe, a loudspeaker; and its words and codes."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ttsrt_rt.audio.files import (
    Samples,
    audio_bytes,
    check_format,
    check_output,
    sample_bytes,
    wav_head,
)
from ttsrt_rt.cli.sound import SoundStream
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.errors import ConfigError, DeviceError
from ttsrt_rt.quoting import shorten
from ttsrt_rt.writing import LateFile, replacing, write_text, writing

if TYPE_CHECKING:
    from ttsrt_rt import _core
    from ttsrt_rt.result import Result
    from ttsrt_rt.text.words import Word

__all__ = ["Sinks", "format_of", "open_sinks", "write_codes", "write_words"]

_HOW = "ttsrt say ... -o - | aplay, or | ffplay -i -"
_NAMES = {"ogg": "opus"}  # the sound in .ogg


class Sink(Protocol):
    """Takes sound while it is made."""

    def write(self, samples: Samples, /) -> None: ...
    def finish(self) -> None: ...


class Sinks:
    """All places that the sound goes to.

    Attributes:
        are_heard: Whether one of them takes it while it is made.
        files: The names of those that are files.
    """

    def __init__(self, sinks: Sequence[Sink], *, are_heard: bool, files: Sequence[str]) -> None:
        """Keeps them."""
        self._sinks = sinks
        self.are_heard = are_heard
        self.files = files

    def write(self, samples: Samples) -> None:
        """Writes to all of them."""
        for sink in self._sinks:
            sink.write(samples)

    def finish(self) -> None:
        """Ends all of them."""
        for sink in self._sinks:
            sink.finish()


def format_of(args: argparse.Namespace, name: str | None) -> str:
    """The format of a file: that of the flag, or of the ending of its name; a pipe is a WAV.

    Raises:
        ConfigError: It is none, or needs what is not installed.
    """
    if args.format is None and name is not None and name != "-":
        return check_output(name)
    return check_format(_named_format(args, name), "--format")


def _named_format(args: argparse.Namespace, name: str | None) -> str:
    """What `format_of` returns, whether or not there is such a format."""
    if args.format is None and (name is None or name == "-"):
        return "wav"
    named: str = args.format or Path(name or "").suffix.lower().removeprefix(".")
    return _NAMES.get(named, named)


def open_sinks(args: argparse.Namespace, info: _core.EngineInfo, stack: ExitStack) -> Sinks:
    """Opens the places that flags name; nothing is written yet.

    Raises:
        ConfigError: A format can't be streamed, or the output is a terminal.
        DeviceError: There is no loudspeaker.
    """
    rate = info.sample_rate or 0
    sinks: list[Sink] = []
    files: list[str] = []
    kind = _named_format(args, args.output)
    if args.stream and kind not in ("wav", "pcm"):
        raise ConfigError(f"--stream: expected a .wav or .pcm, which grow; got {kind}")
    kind = format_of(args, args.output)
    if args.codes is not None and Path(args.codes).suffix.lower() != ".npz":
        raise ConfigError(f"--codes: expected a name that ends in .npz, got {args.codes}")
    if args.timestamps is not None:
        from ttsrt_rt.text.word_files import word_format

        word_format(args.timestamps, "--timestamps")
    if args.output == "-":
        sinks.append(_pipe(kind, rate))
    elif args.output is not None:
        files.append(args.output)
        if args.stream:
            sinks.append(stack.enter_context(_GrowingFile(args.output, kind, rate)))
        else:
            sinks.append(_File(args.output, kind, rate))
    if args.play:
        sinks.append(stack.enter_context(_Player(rate)))
    return Sinks(sinks, are_heard=args.play or args.stream or args.output == "-", files=files)


def _pipe(kind: str, rate: int) -> Sink:
    if sys.stdout.isatty():
        raise ConfigError(
            f"--output: expected a pipe or a file for the sound, got a terminal; {_HOW}"
        )
    if kind == "wav":
        return SoundStream(rate, width=16)
    if kind == "pcm":
        tell(f"ttsrt: integers of 16 bits, little-endian, one channel, {rate} samples per second")
        return _PcmStream()
    raise ConfigError(f"--format: expected wav or pcm for standard output, got {kind}")


class _PcmStream:
    """Samples alone on standard output."""

    def write(self, samples: Samples) -> None:
        sys.stdout.buffer.write(sample_bytes(samples))
        sys.stdout.buffer.flush()

    def finish(self) -> None:
        sys.stdout.buffer.flush()


class _File:
    """A file that appears when it is complete."""

    def __init__(self, name: str, kind: str, rate: int) -> None:
        self._name, self._kind, self._rate = name, kind, rate
        self._parts: list[Samples] = []

    def write(self, samples: Samples) -> None:
        self._parts.append(samples)

    def finish(self) -> None:
        import numpy as np

        whole = np.concatenate([np.zeros(0, np.float32), *self._parts])
        made = audio_bytes(whole, self._rate, self._kind)
        with replacing(self._name) as file:
            file.write(made)


class _GrowingFile:
    """A file that is written while the sound is made; the sizes of a WAV are known at its end."""

    def __init__(self, name: str, kind: str, rate: int) -> None:
        self._name, self._kind, self._rate = name, kind, rate
        self._late = LateFile(name)
        self._num_bytes = 0
        self._is_begun = False

    def __enter__(self) -> _GrowingFile:
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        self._late.__exit__(kind, *error)

    def write(self, samples: Samples) -> None:
        self._begin()
        self._num_bytes += self._late.write(sample_bytes(samples))
        self._late.flush()

    def finish(self) -> None:
        self._begin()
        self._late.flush()
        if self._kind != "wav" or not Path(self._name).is_file():
            return
        with writing(self._name), open(self._name, "r+b") as file:
            file.write(wav_head(self._rate, num_bytes=self._num_bytes))

    def _begin(self) -> None:
        if self._kind == "wav" and not self._is_begun:
            self._late.write(wav_head(self._rate))
        self._is_begun = True


class _Player:
    """The loudspeaker, by `sounddevice`."""

    def __init__(self, rate: int) -> None:
        try:
            sounddevice: Any = importlib.import_module("sounddevice")
        except (ImportError, OSError) as error:  # the package, or the library below it
            raise ConfigError(
                f"--play: expected the package sounddevice and PortAudio, got none (pip install "
                f"sounddevice: the extra play); or play through a pipe: {_HOW}"
            ) from error
        try:
            self._stream = sounddevice.OutputStream(samplerate=rate, channels=1, dtype="float32")
            self._stream.start()
        except Exception as error:  # of PortAudio, which has a kind of its own
            raise DeviceError(
                f"--play: expected a device that plays {rate} samples per second, got an error: "
                f"{shorten(str(error))}; or play through a pipe: {_HOW}"
            ) from error

    def __enter__(self) -> _Player:
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        if kind is not None:
            with suppress(Exception):  # the error that ends the block is the one to tell
                self._stream.abort()
                self._stream.close()
            return
        with _playing():
            self._stream.stop()  # when all of it was heard
            self._stream.close()

    def write(self, samples: Samples) -> None:
        with _playing():
            self._stream.write(samples.reshape(-1, 1))

    def finish(self) -> None:
        """The end of the block waits for the sound."""


@contextmanager
def _playing() -> Iterator[None]:
    """Tells what goes wrong with a loudspeaker while it plays.

    Raises:
        DeviceError: Anything did.
    """
    try:
        yield
    except Exception as error:  # of PortAudio, which has a kind of its own
        raise DeviceError(
            f"--play: expected a device that plays to the end, got an error: {shorten(str(error))}"
        ) from error


def write_words(name: str | None, said: Sequence[Result]) -> None:
    """Writes the words of texts that were spoken one after the other.

    Raises:
        ConfigError: The model tells no times.
    """
    if name is None:
        return
    from ttsrt_rt.text.word_files import word_format, words_as

    words: list[Word] = []
    text = ""
    seconds = 0.0
    for each in said:
        if each.words is None:
            raise ConfigError(
                "--timestamps: expected a model that tells where it is in the text, got another"
            )
        text += " " if text else ""
        words += [_moved(word, len(text), seconds) for word in each.words]
        text += each.text or ""
        seconds += each.seconds
    write_text(name, words_as(word_format(name, "--timestamps"), text, words))


def _moved(word: Word, letters: int, seconds: float) -> Word:
    from ttsrt_rt.text.words import Word

    return Word(
        word.text,
        word.begin + letters,
        word.end + letters,
        word.start_seconds + seconds,
        word.end_seconds + seconds,
    )


def write_codes(name: str | None, said: Sequence[Result]) -> None:
    """Writes the codes of texts that were spoken, and the ids of the texts."""
    if name is None or not said:
        return
    import numpy as np

    with replacing(name) as file:
        np.savez(
            file,
            codes=np.concatenate([each.codes for each in said]),
            text_ids=np.concatenate([each.text_ids for each in said if each.text_ids is not None]),
        )
