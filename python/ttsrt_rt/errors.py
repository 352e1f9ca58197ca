"""What ttsrt_rt raises.

One small family: `ConfigError` and `FormatError` are also `ValueError` (the caller or the file is
wrong), the others are also `RuntimeError`. The bindings throw exactly these classes for the C++
kinds of the same names, so one `except` serves both sides. A message says what, where, what was
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
]


class Error(Exception):
    """The base of everything that ttsrt_rt raises on purpose."""


class ConfigError(Error, ValueError):
    """An argument, an option or a configuration field has a value that cannot be served."""


class FormatError(Error, ValueError):
    """A file is not what it says it is: damaged, truncated, of an unknown kind, or holding code."""


class CapacityError(Error, RuntimeError):
    """A queue, a cache or a declared limit is full; the same call may succeed later."""


class ClosedError(Error, RuntimeError):
    """The object was closed, so it takes no more calls."""


class DeviceError(Error, RuntimeError):
    """The device is absent, or it failed; the message has the device's own reason."""


class InternalError(Error, RuntimeError):
    """A promise inside ttsrt_rt was broken: a bug to report, not a mistake of the caller."""
