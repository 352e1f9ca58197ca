"""`convert`: from whatever people have to a checkpoint folder. Which family a source is of is told
by what it holds.

Families are rows of a table; a new one adds its converter and a line.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ttsrt_rt.convert.magpie_convert import convert_magpie, looks_like_magpie
from ttsrt_rt.errors import ConfigError

Detector = Callable[[Path], bool]
Converter = Callable[..., Path]

FAMILIES: dict[str, tuple[Detector, Converter]] = {
    "magpie": (looks_like_magpie, convert_magpie),
}


def convert(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    family: str | None = None,
    **options: Any,
) -> Path:
    """Converts a checkpoint of another program to ours and returns the folder.

    Args:
        source: a `.nemo`, a `.ckpt` with its YAML beside it, or a folder of the TensorRT-LLM fork's
            layout.
        output_dir: the folder to make.
        family: which converter; None looks at the source.
        **options: of the family, see `convert_magpie`.

    Raises:
        ConfigError: nothing there, an unknown family, a configuration that cannot be served, or
            `output_dir` is taken.
        FormatError: the source is damaged, holds code, or its tensors are not those its
            configuration asks for.
    """
    path = Path(source)
    if not path.exists():
        raise ConfigError(f"{path}: expected a checkpoint, got nothing there")
    if family is not None and family not in FAMILIES:
        raise ConfigError(f"family: expected one of {', '.join(FAMILIES)}, got {family!r}")
    for name, (detect, converter) in FAMILIES.items():
        if family == name or (family is None and detect(path)):
            return converter(path, output_dir, **options)
    raise ConfigError(
        f"{path}: of no known family ({', '.join(FAMILIES)}); pass family= if it is one"
    )
