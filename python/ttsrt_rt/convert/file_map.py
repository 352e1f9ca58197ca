"""Maps a file into memory, read-only; every reader of this package reads from such a map.

Opening loads nothing: the system loads a page when its bytes are first accessed. A region of a map,
such as a member of a tar, is a slice without a copy. Arrays made from a map keep it mapped; `close`
only makes later reads fail with an error that names the file.
"""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import BinaryIO

from ttsrt_rt.errors import ClosedError, ConfigError, FormatError

__all__ = ["FileMap"]


class FileMap:
    """One mapped file.

    Attributes:
        name: the file's name, for errors.
        size: the file's size in bytes.
    """

    def __init__(self, file: BinaryIO, name: str) -> None:
        """Maps an open file; the file object may be closed afterwards.

        Raises:
            ConfigError: it is not a regular file.
            FormatError: it is empty.
        """
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"{name}: expected a regular file, got something else")
        if status.st_size == 0:
            raise FormatError(f"{name}: expected a checkpoint, got an empty file")
        self.name = name
        self.size = status.st_size
        self._view: memoryview | None = memoryview(
            mmap.mmap(file.fileno(), status.st_size, access=mmap.ACCESS_READ)
        )

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> FileMap:
        """Maps the file at `path`.

        Raises:
            ConfigError: the file does not exist, is not readable, or is not a regular file.
            FormatError: the file is empty.
        """
        path = Path(path)
        if "\0" in str(path):
            raise ConfigError(f"{str(path)!r}: expected a readable file, got a name with a null")
        if path.is_dir():
            raise ConfigError(f"{path}: expected a checkpoint file, got a folder")
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path}: expected a regular file, got something else")
        try:
            with path.open("rb") as file:
                return cls(file, path.name)
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"{path}: expected a readable file, got: {reason}") from error

    def view(self) -> memoryview:
        """Returns all bytes of the file without copying them.

        Raises:
            ClosedError: the map was closed.
        """
        if self._view is None:
            raise ClosedError(f"{self.name}: read after close")
        return self._view

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._view is None

    def close(self) -> None:
        """Releases the map; the file is unmapped when the last array that uses it is freed."""
        self._view = None
