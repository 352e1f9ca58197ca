"""What the commands of several benchmarks share: where files go, and a check of --json."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ttsrt_rt.errors import ConfigError

__all__ = ["check_json", "open_folder"]


@contextmanager
def open_folder(chosen: Path | None, prefix: str) -> Iterator[Path]:
    """The folder that was chosen, which is made, or a temporary one, whose name has the prefix."""
    if chosen is None:
        with tempfile.TemporaryDirectory(prefix=prefix) as made:
            yield Path(made)
    else:
        chosen.mkdir(parents=True, exist_ok=True)
        yield chosen


def check_json(path: Path | None) -> None:
    """Refuses a file whose folder does not exist, before minutes are spent.

    Raises:
        ConfigError: it does not.
    """
    if path is not None and not path.resolve().parent.is_dir():
        raise ConfigError(f"--json: {path.parent} is not a folder")
