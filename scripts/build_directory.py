"""The directory in which `pip install .` builds a checkout, kept so that the next build is short.

It lies in the user's cache directory, outside the source: one directory per checkout and Python.
An unpacked sdist, which pip deletes after the build, has none.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1]


@contextmanager
def kept_directory(source: Path = SOURCE) -> Iterator[Path | None]:
    """The directory of a checkout, locked against other builds; None if there is to be none."""
    cache = _cache_folder()
    if cache is None or not (source / ".git").exists() or not _can_write(cache):
        yield None
        return
    _remove_orphans(cache)
    digest = hashlib.sha256(os.fsencode(source)).hexdigest()[:16]
    directory = cache / f"{digest}-{sys.implementation.cache_tag}"
    with open(f"{directory}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the file is closed
        yield directory


def _cache_folder() -> Path | None:
    """The part of the user's cache for these directories; None for a user without a home."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(caches, "ttsrt_rt", "build") if os.path.isabs(caches) else None


def _can_write(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)


def _remove_orphans(cache: Path) -> None:
    """Removes the directories of checkouts that no longer exist."""
    for info in cache.glob("*/.skbuild-info.json"):
        try:
            source = json.loads(info.read_text("utf-8"))["source_dir"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if not Path(source).exists():
            shutil.rmtree(info.parent, ignore_errors=True)
