"""Opens the files that users name, and reads them within a limit.

Only regular files are opened. A pipe or a device is refused before anything is read from it, and it
is opened without waiting, so that a pipe nobody writes to cannot stop the program.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError

__all__ = ["check_regular", "open_regular", "read_regular"]

KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
    (stat.S_ISSOCK, "a socket"),
)


def open_regular(path: str | os.PathLike[str]) -> int:
    """Opens a regular file for reading and returns its descriptor, which the caller closes.

    Raises:
        NotFoundError: the file does not exist.
        ConfigError: the file cannot be read, or is not a regular file.
    """
    text = os.fspath(path)
    if "\0" in text:
        raise ConfigError(f"{text!r}: expected a readable file, got a name with a null")
    try:
        check_regular(path, os.stat(text))  # opening a device may already have an effect
        handle = os.open(text, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except OSError as error:
        reason = error.strerror or error
        kind = NotFoundError if isinstance(error, FileNotFoundError) else ConfigError
        raise kind(f"{path}: expected a readable file, got: {reason}") from error
    except UnicodeEncodeError as error:
        raise ConfigError(f"{text!r}: expected a readable file, got a surrogate") from error
    try:
        check_regular(path, os.fstat(handle))
    except BaseException:
        os.close(handle)
        raise
    return handle


def check_regular(path: str | os.PathLike[str], status: os.stat_result) -> None:
    """Checks that the status is that of a regular file.

    Raises:
        ConfigError: it is not.
    """
    for is_kind, name in KINDS:
        if is_kind(status.st_mode):
            raise ConfigError(f"{path}: expected a regular file, got {name}")


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Reads a whole regular file.

    Raises:
        ConfigError: as for `open_regular`.
        FormatError: the file has more than `max_bytes` bytes.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        data = b"" if size > max_bytes else file.read(max_bytes + 1)
    if max(size, len(data)) > max_bytes:
        raise FormatError(
            f"{Path(path)}: expected at most {max_bytes} bytes, got {max(size, len(data))}"
        )
    return data
