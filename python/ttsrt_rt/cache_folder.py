"""Where files that were made once are kept: engines of checkpoints, grammars of a normalizer."""

from __future__ import annotations

import os
from pathlib import Path

from ttsrt_rt.options import path_of

__all__ = ["VARIABLE", "cache_folder"]

VARIABLE = "TTSRT_CACHE_DIR"


def cache_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder of cached engines: the given one, or that of TTSRT_CACHE_DIR in the environment,
    or `ttsrt_rt/engines` in XDG_CACHE_HOME, or in `~/.cache`.
    """
    if given is not None:
        return path_of(given, "cache_dir")
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE])
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "ttsrt_rt" / "engines"
