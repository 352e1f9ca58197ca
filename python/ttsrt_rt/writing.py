"""Writes files whole, with errors of the package's own kinds that name the whole path."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ttsrt_rt.errors import CapacityError, ConfigError, DeviceError, Error

__all__ = ["LateFile", "replacing", "write_text", "writing"]

_KINDS: dict[int, type[Error]] = {
    errno.ENOSPC: CapacityError,
    errno.EDQUOT: CapacityError,
    errno.EFBIG: CapacityError,
    errno.EIO: DeviceError,
}


@contextmanager
def writing(path: str | os.PathLike[str], flag: str = "") -> Iterator[None]:
    """Turns failures of the system inside the block into errors that name `path`.

    Args:
        path: What is written.
        flag: The option that named it, which then begins the message.

    Raises:
        CapacityError: The disk, a quota or the limit of a file's size is full.
        DeviceError: The disk failed.
        ConfigError: Anything else, such as a missing permission.
    """
    try:
        yield
    except (BrokenPipeError, Error):
        raise
    except OSError as error:
        kind = _KINDS.get(error.errno or 0, ConfigError)
        reason = error.strerror or str(error)
        where = f"{flag}: " if flag else ""
        raise kind(f"{where}{os.path.abspath(path)}: can't be written: {reason}") from error


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Yields a file, open for writing and reading, that takes the name `path` when it is complete.

    A link stays, and its target is written. A device, or a file in a folder that cannot be written,
    is written in place.

    Raises:
        CapacityError, DeviceError, ConfigError: As `writing`; what was there is then unchanged.
    """
    real = Path(os.path.realpath(path))
    with writing(path):
        if real.exists() and (not real.is_file() or not os.access(real.parent, os.W_OK)):
            with real.open("wb") as file:
                yield file
            return
        made = real.with_name(f".ttsrt-{secrets.token_hex(8)}.tmp")
        try:
            with made.open("x+b") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if real.exists():
                os.chmod(made, real.stat().st_mode & 0o7777)
            os.replace(made, real)
        except BaseException:
            made.unlink(missing_ok=True)
            raise


class LateFile:
    """A file that is replaced by the first write, so that a run that makes nothing keeps it.

    What was written stays if the run ends early. A context manager; a run that ends well leaves a
    file, if an empty one.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Keeps the name; nothing is opened yet."""
        self._path = path
        self._file: BinaryIO | None = None

    def __enter__(self) -> LateFile:
        return self

    def __exit__(self, kind: object, *_error: object) -> None:
        if kind is None:
            self._open()
        if self._file is not None:
            with writing(self._path):
                self._file.close()

    def write(self, data: bytes) -> int:
        """Writes to the end of the file.

        Raises:
            CapacityError, DeviceError, ConfigError: As `writing`.
        """
        with writing(self._path):
            return self._open().write(data)

    def flush(self) -> None:
        """Hands what was written to the system."""
        if self._file is not None:
            with writing(self._path):
                self._file.flush()

    def _open(self) -> BinaryIO:
        if self._file is None:
            with writing(self._path):
                self._file = open(self._path, "wb")  # noqa: SIM115 - closed on leaving
        return self._file


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a whole text in UTF-8, as `replacing`."""
    with replacing(path) as file:
        file.write(text.encode("utf-8"))
