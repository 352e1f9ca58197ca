"""Writes a `.nemo` of made-up weights: a plain tar of a configuration, artifacts and weights."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from ttsrt_rt.synth.torch_writer import SynthTensor, write_torch_archive
from ttsrt_rt.writing import replacing

__all__ = ["write_nemo"]


def write_nemo(
    path: str | os.PathLike[str],
    members: Mapping[str, bytes],
    tensors: Mapping[str, SynthTensor],
) -> Path:
    """Writes an archive, one tensor in memory at a time.

    Args:
        path: the file to create.
        members: its small files by their names, `model_config.yaml` among them.
        tensors: its weights.

    Raises:
        ConfigError: it cannot be written.
        CapacityError: the disk is full.
    """
    path = Path(path)
    with replacing(path) as file:
        for name, data in members.items():
            file.write(_tar_header(name, len(data)))
            file.write(data + bytes(-len(data) % tarfile.BLOCKSIZE))
        _write_weights(file, tensors)
        file.write(bytes(2 * tarfile.BLOCKSIZE))
        file.write(bytes(-file.tell() % tarfile.RECORDSIZE))
    return path


def _tar_header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(f"./{name}")
    info.size = size
    return info.tobuf(tarfile.USTAR_FORMAT)


def _write_weights(file: BinaryIO, tensors: Mapping[str, SynthTensor]) -> None:
    """Appends the member with the weights; its header is written once its size is known."""
    name = "model_weights.ckpt"
    header = file.tell()
    file.write(bytes(tarfile.BLOCKSIZE))
    begin = file.tell()
    write_torch_archive(file, tensors, folder="model_weights")
    size = file.tell() - begin
    file.seek(header)
    file.write(_tar_header(name, size))
    file.seek(0, io.SEEK_END)
    file.write(bytes(-size % tarfile.BLOCKSIZE))
