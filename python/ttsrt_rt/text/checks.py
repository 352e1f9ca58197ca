"""Checks of a text that a caller gives."""

from __future__ import annotations

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = ["MAX_TEXT", "check_text"]

MAX_TEXT = 16 << 20  # characters


def check_text(text: object, where: str, most: int = MAX_TEXT) -> str:
    """Returns a value that is text that can be written in UTF-8.

    Args:
        text: the value.
        where: its name, for messages.
        most: characters that it may have.

    Raises:
        ConfigError: it is something else, is longer, or has a lone surrogate.
    """
    if not isinstance(text, str):
        raise ConfigError(f"{where}: expected text, got {show(text)}")
    if len(text) > most:
        raise ConfigError(f"{where}: expected at most {most} characters, got {len(text)}")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{where}: expected Unicode text, got a lone surrogate at {error.start}"
        ) from error
    return text
