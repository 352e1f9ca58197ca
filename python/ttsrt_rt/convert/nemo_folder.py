"""Reads a `.nemo` that was unpacked: a folder of `model_config.yaml`, `model_weights.ckpt`, and
artifacts. The weights are read in place, as from the archive.
"""

from __future__ import annotations

import os
from pathlib import Path

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.nemo_archive import (
    CONFIG,
    MAX_ARTIFACT_BYTES,
    WEIGHTS,
    find_artifact,
)
from ttsrt_rt.convert.torch_zip import TorchArchive, check_torch_head
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.regular_file import read_regular

__all__ = ["NemoFolder", "is_nemo_folder"]

MAX_FILES = 10_000


def is_nemo_folder(folder: Path) -> bool:
    """Whether a folder has the configuration and the weights of a `.nemo`."""
    return (folder / CONFIG).is_file() and (folder / WEIGHTS).is_file()


class NemoFolder:
    """One unpacked `.nemo`.

    Args:
        folder: the folder.
        weights: its `model_weights.ckpt`, open.

    Attributes:
        config: the contents of `model_config.yaml`.
        weights: the archive of the weights.

    Raises:
        FormatError: a file is damaged or of another kind.
    """

    def __init__(self, folder: Path, weights: FileBytes) -> None:
        self._folder = folder
        self.config = Config.load(folder / CONFIG)
        where = f"{folder.name}: {WEIGHTS}"
        check_torch_head(weights.all, where)
        self.weights = TorchArchive(weights.all, where)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of all other files, sorted."""
        with os.scandir(self._folder) as entries:
            names = [
                entry.name for entry, _ in zip(entries, range(MAX_FILES), strict=False)
                if entry.is_file() and entry.name not in (CONFIG, WEIGHTS)
            ]  # fmt: skip
        return tuple(sorted(names))

    def artifact(self, name: str, max_bytes: int = MAX_ARTIFACT_BYTES) -> bytes:
        """Returns the bytes of an artifact.

        Args:
            name: as in `artifacts`, or as the configuration writes it, with the prefix `nemo:`.
            max_bytes: the limit on its size.

        Raises:
            ConfigError: there is no such artifact.
            FormatError: the artifact exceeds the size limit.
        """
        name = find_artifact(name, self.artifacts, self.artifacts, self._folder.name)
        return read_regular(self._folder / name, max_bytes)
