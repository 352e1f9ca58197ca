"""Checks of a text that a caller gives."""

from __future__ import annotations

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = ["MAX_TEXT_BYTES", "check_text"]

MAX_TEXT_BYTES = 16 << 20  # in UTF-8, as in cpp/src/text/front_end.cpp


def check_text(text: object, where: str, most: int | None = None) -> str:
    """Returns a value that is text that can be written in UTF-8.

    Args:
        text: the value.
        where: its name, for messages.
        most: characters that it may have; None for as many as 16 MiB of UTF-8 hold.

    Raises:
        ConfigError: it is something else, is longer, or has a lone surrogate.
    """
    if not isinstance(text, str):
        raise ConfigError(f"{where}: expected text, got {show(text)}")
    if most is not None and len(text) > most:
        raise ConfigError(f"{where}: expected at most {most} characters, got {len(text)}")
    try:
        num_bytes = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ConfigError(
            f"{where}: expected Unicode text, got a lone surrogate at {error.start}"
        ) from error
    if num_bytes > MAX_TEXT_BYTES:
        raise ConfigError(
            f"{where}: expected at most {MAX_TEXT_BYTES} bytes of UTF-8, got {num_bytes}"
        )
    return text
