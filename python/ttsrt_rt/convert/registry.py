"""Which converter a source goes to, told by what the source holds.

Families are rows of a table; a new one adds its converter and a line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ttsrt_rt.convert.magpie_convert import convert_magpie, looks_like_magpie
from ttsrt_rt.errors import ConfigError

Detector = Callable[[Path], bool]
Converter = Callable[..., Path]

FAMILIES: dict[str, tuple[Detector, Converter]] = {
    "magpie": (looks_like_magpie, convert_magpie),
}


def find_converter(path: Path, family: str | None) -> Converter:
    """The converter of a named family, or of the first that knows the source as its own.

    Raises:
        ConfigError: Nothing there, an unknown family, or a source of none.
        FormatError: The source is damaged, or holds code.
    """
    if not path.exists():
        raise ConfigError(f"{path}: expected a checkpoint, got nothing there")
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    for name, (detect, converter) in FAMILIES.items():
        if family == name or (family is None and detect(path)):
            return converter
    raise ConfigError(
        f"{path}: of no known family ({', '.join(FAMILIES)}); pass family= if it is one"
    )
