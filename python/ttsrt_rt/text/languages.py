"""Finds the language that a request names."""

from __future__ import annotations

from collections.abc import Mapping

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import list_names, show

__all__ = ["find_language"]


def find_language(asked: object, known: Mapping[str, str], default: str) -> str:
    """Returns the name of a language as the engine has it.

    The name is compared without case and with "-" for "_": the whole of it first, then its first
    part. Nothing is guessed beyond that.

    Args:
        asked: "de", "de-DE", "de_DE"; None for the default.
        known: the engine's languages, with their tokenizers.
        default: the engine's default.

    Raises:
        ConfigError: the engine does not speak it.
    """
    if asked is None:
        return default
    names = {name.lower().replace("_", "-"): name for name in known}
    if isinstance(asked, str):
        wanted = asked.lower().replace("_", "-")
        for name in (wanted, wanted.split("-")[0]):
            if name in names:
                return names[name]
    raise ConfigError(f"language: expected one of {list_names(known)}, got {show(asked)}")
