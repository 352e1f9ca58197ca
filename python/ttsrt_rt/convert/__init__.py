"""From the checkpoints people have to ours: `convert`, and the data-only readers under it.

The readers are imported where they are used: `import ttsrt_rt` imports this module, and should cost
next to nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttsrt_rt.convert.archive import open_weights

__all__ = ["convert", "open_weights"]


def convert(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    family: str | None = None,
    **options: Any,
) -> Path:
    """Converts a checkpoint of another program to ours and returns the folder.

    Args:
        source: A `.nemo`, a `.ckpt` with its YAML beside it, or a folder of the TensorRT-LLM fork's
            layout.
        output_dir: The folder to make.
        family: Which converter; None looks at the source.
        **options: Of the family, see `ttsrt_rt.convert.magpie_convert.convert_magpie`.

    Raises:
        ConfigError: Nothing there, an unknown family, a configuration that cannot be served, or a
            folder that is taken.
        FormatError: The source is damaged, holds code, or its tensors are not those its
            configuration asks for.
    """
    from ttsrt_rt.convert.registry import find_converter

    return find_converter(Path(source), family)(source, output_dir, **options)


def __getattr__(name: str) -> Any:
    if name != "open_weights":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ttsrt_rt.convert.archive import open_weights

    return open_weights
