"""Reads the bytes of a checkpoint at given places; every reader of this package reads from here.

The file is not mapped: a mapped file that another process truncates ends the reading process with
SIGBUS. Every read goes into memory of the size that was asked for, so a conversion needs little
more memory than its largest tensor. A file must stay as it was when it was opened: one that is
truncated or written to meanwhile is a `FormatError` that names it.
"""

from __future__ import annotations

import os
import weakref
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ClosedError, ConfigError, FormatError
from ttsrt_rt.regular_file import check_regular, open_regular

__all__ = ["FileBytes", "Region"]

CHUNK = 1 << 20
MAX_READ = 16 << 20  # of one call: signal handlers run between two calls


class FileBytes:
    """One open file.

    Attributes:
        name: the file's name, for errors.
        size: the file's size in bytes when it was opened.
    """

    def __init__(self, handle: int, name: str) -> None:
        """Takes over an open descriptor, and closes it with the object.

        Raises:
            ConfigError: it is not a regular file.
            FormatError: it is empty.
        """
        self._handle = handle
        self._closer = weakref.finalize(self, os.close, handle)
        self._closer.atexit = False
        status = os.fstat(handle)
        check_regular(name, status)
        if status.st_size == 0:
            raise FormatError(f"{name}: expected a checkpoint, got an empty file")
        self.name = name
        self.size = status.st_size
        self._written_at = status.st_mtime_ns

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> FileBytes:
        """Opens the file at `path`.

        Raises:
            ConfigError: the file does not exist, is not readable, or is not a regular file.
            FormatError: the file is empty.
        """
        if Path(path).is_dir():
            raise ConfigError(f"{path}: expected a checkpoint file, got a folder")
        return cls(open_regular(path), Path(path).name)

    def fill(self, begin: int, target: memoryview) -> None:
        """Fills writable memory with the bytes from `begin` on, all of which must be in the file.

        Raises:
            ClosedError: the file was closed.
            FormatError: the file has changed since it was opened.
        """
        if self.is_closed:
            raise ClosedError(f"{self.name}: read after close")
        done = 0
        while done < target.nbytes:
            part = target[done : done + MAX_READ]
            try:
                count = os.preadv(self._handle, [part], begin + done)
            except OSError as error:
                raise FormatError(f"{self.name}: cannot be read ({error.strerror})") from error
            if count == 0:
                break
            done += count
        status = os.fstat(self._handle)
        if (status.st_size, status.st_mtime_ns) != (self.size, self._written_at):
            raise FormatError(
                f"{self.name}: expected {self.size} bytes that stay as they were when the file "
                f"was opened, got a file that was changed while it was read ({status.st_size} "
                "bytes now)"
            )
        if done < target.nbytes:
            raise FormatError(f"{self.name}: expected {target.nbytes} bytes at {begin}, got {done}")

    @property
    def all(self) -> Region:
        """Returns the region of all bytes."""
        return Region(self, 0, self.size)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return not self._closer.alive

    def close(self) -> None:
        """Closes the file; may be called again. Arrays that were read stay valid."""
        self._closer()


class Region:
    """A part of a file, such as a member of an archive; nothing of it is in memory.

    Attributes:
        file: the file.
        size: the number of bytes.
    """

    __slots__ = ("_begin", "file", "size")

    def __init__(self, file: FileBytes, begin: int, size: int) -> None:
        self.file = file
        self._begin = begin
        self.size = size

    def part(self, begin: int, size: int) -> Region:
        """Returns a region inside this one; the caller has checked that it is inside."""
        return Region(self.file, self._begin + begin, size)

    def read(self, begin: int = 0, size: int | None = None) -> bytes:
        """Returns `size` bytes from `begin` on, or fewer at the end; all of them by default.

        Raises:
            ClosedError: the file was closed.
            FormatError: the file has changed since it was opened.
        """
        rest = max(self.size - begin, 0)
        made = bytearray(rest if size is None else min(size, rest))
        self.file.fill(self._begin + begin, memoryview(made))
        return bytes(made)

    def read_array(self, begin: int, size: int) -> npt.NDArray[np.uint8]:
        """Returns bytes as a new array, which is aligned for every dtype; errors as for `read`."""
        made: npt.NDArray[Any] = np.empty(size, np.uint8)
        self.file.fill(self._begin + begin, made.data)
        return made

    def crc32(self) -> int:
        """Returns the CRC-32 of all bytes, read piece by piece; errors as for `read`."""
        found = 0
        buffer = bytearray(min(CHUNK, self.size))
        for begin in range(0, self.size, CHUNK):
            piece = memoryview(buffer)[: min(CHUNK, self.size - begin)]
            self.file.fill(self._begin + begin, piece)
            found = zlib.crc32(piece, found)
        return found
