"""Chooses the converter for a source from the contents of the source.

The families are rows of a table; a new family adds its converter and one row.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.f5_convert import convert_f5, looks_like_f5
from ttsrt_rt.convert.llm_convert import convert_llm, looks_like_llm
from ttsrt_rt.convert.magpie_convert import convert_magpie, looks_like_magpie
from ttsrt_rt.convert.nanocodec_convert import convert_nanocodec, looks_like_nanocodec
from ttsrt_rt.convert.s3gen_convert import convert_s3gen, looks_like_s3gen
from ttsrt_rt.convert.t3_convert import convert_t3, looks_like_t3
from ttsrt_rt.convert.vocos_convert import convert_vocos, looks_like_vocos
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import list_names, show

Detector = Callable[[Path], bool]
Converter = Callable[..., Path]

FAMILIES: dict[str, tuple[Detector, Converter]] = {
    "llm": (looks_like_llm, convert_llm),
    "f5": (looks_like_f5, convert_f5),
    "vocos": (looks_like_vocos, convert_vocos),
    "nanocodec": (looks_like_nanocodec, convert_nanocodec),
    "magpie": (looks_like_magpie, convert_magpie),
    "t3": (looks_like_t3, convert_t3),
    "s3gen": (looks_like_s3gen, convert_s3gen),
}


def find_converter(path: Path, family: str | None) -> Converter:
    """Returns the converter of the named family, or of the first family that detects the source.

    Raises:
        ConfigError: The source does not exist, or the family is unknown or was not detected.
        FormatError: The source is damaged or holds code.
    """
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"family: expected one of {', '.join(FAMILIES)}, got {show(family)}")
    for name, (detect, converter) in FAMILIES.items():
        if family == name or (family is None and detect(path)):
            return converter
    with open_weights(path) as weights:
        names = list(weights)
    raise ConfigError(
        f"{path}: expected a checkpoint of a known family ({', '.join(FAMILIES)}), got another "
        f"one, with tensors {list_names(names)}"
    )
