"""The errors that ttsrt_rt raises.

`ConfigError` and `FormatError` are also `ValueError` (the caller or the file is wrong), the others
are also `RuntimeError`. The bindings raise the same classes for the C++ errors of the same names,
so one `except` catches both. A path that does not exist is a `NotFoundError`, a kind of
`ConfigError` that is also a `FileNotFoundError`. A message says what is wrong, where, what was
expected and what was found.
"""

from __future__ import annotations

__all__ = [
    "CapacityError",
    "ClosedError",
    "ConfigError",
    "DeviceError",
    "Error",
    "FormatError",
    "InternalError",
    "NotFoundError",
]


class Error(Exception):
    """The base of everything that ttsrt_rt raises on purpose."""


class ConfigError(Error, ValueError):
    """An argument, an option or a configuration field has a value that cannot be served.

    Attributes:
        limit: The largest value of `max_frames` that the request may have, where it has more; else
            None.
    """

    limit: int | None = None


class NotFoundError(ConfigError, FileNotFoundError):
    """A path names no file or folder. It is also a FileNotFoundError."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class FormatError(Error, ValueError):
    """A file is damaged, truncated, of an unknown kind, or contains code."""


class CapacityError(Error, RuntimeError):
    """A queue, a cache, a disk or a declared limit is full; the same call may succeed later.

    Attributes:
        is_final: Whether a request may need more cache than there is, so that submitting it again
            can't help.
    """

    is_final: bool = False


class ClosedError(Error, RuntimeError):
    """The object was closed, so it takes no more calls."""


class DeviceError(Error, RuntimeError):
    """The device is absent, or it failed; the message has the device's own reason."""


class InternalError(Error, RuntimeError):
    """Something inside ttsrt_rt failed: a bug to report, not a mistake of the caller."""
