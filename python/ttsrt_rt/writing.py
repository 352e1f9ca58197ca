"""Errors of writing files, as the package's own kinds and with the whole path."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ttsrt_rt.errors import CapacityError, ConfigError, DeviceError, Error

__all__ = ["writing"]

_KINDS: dict[int, type[Error]] = {
    errno.ENOSPC: CapacityError,
    errno.EDQUOT: CapacityError,
    errno.EFBIG: CapacityError,
    errno.EIO: DeviceError,
}


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns failures of the system inside the block into errors that name `path`.

    Raises:
        CapacityError: The disk, a quota or the limit of a file's size is full.
        DeviceError: The disk failed.
        ConfigError: Anything else, such as a missing permission.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        kind = _KINDS.get(error.errno or 0, ConfigError)
        reason = error.strerror or str(error)
        raise kind(f"{os.path.abspath(path)}: can't be written: {reason}") from error
