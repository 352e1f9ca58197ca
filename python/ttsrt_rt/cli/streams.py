"""Standard streams that are closed, or that can't show every letter, never fail a command."""

from __future__ import annotations

import codecs
import io
import os
import sys

__all__ = [
    "drop_output",
    "finish_output",
    "is_closed",
    "lose_output",
    "prepare_streams",
    "tell",
]


class _NullStream(io.TextIOWrapper):
    """Stands for a standard stream that was closed when the process began."""


def prepare_streams() -> None:
    """Opens closed standard streams on the null device, and escapes letters that they can't show.

    A closed descriptor would otherwise be given to the first file that is opened.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != descriptor:
                os.dup2(opened, descriptor)
                os.close(opened)
        if getattr(sys, name) is None:
            null = open(os.devnull, "rb" if name == "stdin" else "wb")  # noqa: SIM115 - stays open
            setattr(sys, name, _NullStream(null, encoding="utf-8"))
    codecs.register_error("ttsrt_escape", _escape)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ttsrt_escape")


def _escape(error: UnicodeError) -> tuple[str, int]:
    """Shows what a stream can't: bytes of names that are not UTF-8 as `\\xff`, letters by code."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = "".join(
        f"\\x{ord(letter) - 0xDC00:02x}"
        if "\udc80" <= letter <= "\udcff"
        else letter.encode("ascii", "backslashreplace").decode("ascii")
        for letter in error.object[error.start : error.end]
    )
    return shown, error.end


def is_closed(stream: object) -> bool:
    """Whether a standard stream was closed when the process began."""
    return isinstance(stream, _NullStream)


def finish_output(code: int) -> int:
    """Flushes standard output and returns the exit code: `code`, or 1 if the output was lost.

    A reader that has closed its end has seen what it wanted, so that is no failure.
    """
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        drop_output()
    except OSError as error:
        return code or lose_output(error)
    return code


def lose_output(error: OSError) -> int:
    """Tells that standard output can't be written, and returns the exit code."""
    drop_output()
    tell(f"ttsrt: error: standard output: {error.strerror}")
    return 1


def drop_output() -> None:
    """Sends what is left in the buffer of standard output to the null device."""
    _drop(sys.stdout)


def tell(line: str) -> None:
    """Prints a line on standard error; one that nobody can read is dropped."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _drop(sys.stderr)


def _drop(stream: object) -> None:
    try:
        descriptor = stream.fileno()  # type: ignore[attr-defined]
    except (OSError, ValueError, AttributeError):
        return
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)
