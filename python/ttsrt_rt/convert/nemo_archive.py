"""Reads a `.nemo`: a tar, plain or gzip, of `model_config.yaml`, `model_weights.ckpt`, artifacts.

A plain tar is read in place: the weights are a region of the file. A gzip is unpacked once,
into an anonymous temporary file of limited size. Artifacts (dictionaries, speaker maps) are small
files that the configuration names as `nemo:<hash>_<name>`.
"""

from __future__ import annotations

import gzip
import os
import tempfile
import zlib
from collections.abc import Callable, Container, Sequence
from typing import BinaryIO, cast

from ttsrt_rt.convert.file_bytes import FileBytes, Region
from ttsrt_rt.convert.tar_entries import TarMember, looks_like_tar, read_tar
from ttsrt_rt.convert.torch_zip import TorchArchive, check_torch_head
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.convert.yaml_values import MAX_BYTES
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import list_names, quote
from ttsrt_rt.writing import writing

__all__ = ["MAX_UNPACKED_BYTES", "NemoArchive", "Progress", "unpack_gzip"]

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
MAX_UNPACKED_BYTES = 64 << 30
MAX_ARTIFACT_BYTES = 64 << 20
# Weights compress badly, but masks and padding compress well. A file that unpacks to more than this
# much and exceeds the ratio is therefore taken for a decompression bomb.
FREE_UNPACKED_BYTES = 64 << 20
MAX_RATIO = 20
CHUNK = 4 << 20

Progress = Callable[[int, int], None]


def find_artifact(name: str, among: Container[str], artifacts: Sequence[str], where: str) -> str:
    """The plain name of an artifact, which a configuration may write with the prefix `nemo:`.

    Args:
        name: as the caller has it.
        among: the names that are there.
        artifacts: those to suggest.
        where: the archive or folder, for the message.

    Raises:
        ConfigError: there is none of this name.
    """
    name = name.removeprefix("nemo:").removeprefix("./")
    if name not in among:
        known = list_names(artifacts, is_quoted=True)
        raise ConfigError(f"{where}: expected one of the artifacts {known}, got {quote(name)}")
    return name


class NemoArchive:
    """One `.nemo` archive.

    Args:
        file: the open tar; errors give its `name`.

    Attributes:
        config: the contents of `model_config.yaml`.
        weights: the archive of `model_weights.ckpt`.

    Raises:
        FormatError: the file is not a valid `.nemo` archive.
    """

    def __init__(self, file: FileBytes) -> None:
        self._file = file
        if not looks_like_tar(file.all.read(0, 512)):
            raise FormatError(f"{file.name}: expected a tar archive, got other bytes")
        self._members = read_tar(file.all, file.name)
        where = f"{file.name}: {WEIGHTS}"
        self.config = Config.parse(self._read(CONFIG, MAX_BYTES), f"{file.name}: {CONFIG}")
        weights = self._slice(self._find(WEIGHTS))
        check_torch_head(weights, where)
        self.weights = TorchArchive(weights, where)

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of all files except configuration and weights, sorted."""
        return tuple(sorted(name for name in self._members if name not in (CONFIG, WEIGHTS)))

    def artifact(self, name: str, max_bytes: int = MAX_ARTIFACT_BYTES) -> bytes:
        """Returns the bytes of an artifact.

        Args:
            name: as in `artifacts`, or as the configuration writes it, with the prefix `nemo:`.
            max_bytes: the limit on its size.

        Raises:
            ConfigError: there is no such artifact.
            FormatError: the artifact exceeds the size limit.
        """
        name = find_artifact(name, self._members, self.artifacts, self._file.name)
        return self._read(name, max_bytes)

    def _find(self, name: str) -> TarMember:
        member = self._members.get(name)
        if member is None:
            known = list_names(self._members, "nothing", is_quoted=True)
            raise FormatError(f"{self._file.name}: expected a member {name}, got {known}")
        return member

    def _slice(self, member: TarMember) -> Region:
        return self._file.all.part(member.offset, member.size)

    def _read(self, name: str, max_bytes: int) -> bytes:
        member = self._find(name)
        if member.size > max_bytes:
            raise FormatError(
                f"{self._file.name}: {quote(name)}: expected at most {max_bytes} bytes, "
                f"got {member.size}"
            )
        return self._slice(member).read()


def unpack_gzip(
    packed: FileBytes, progress: Progress | None = None, max_bytes: int = MAX_UNPACKED_BYTES
) -> FileBytes:
    """Unpacks a gzip file into an anonymous temporary file and opens that.

    Args:
        packed: the open gzip file.
        progress: called from time to time with (bytes of the packed file done, its size).
        max_bytes: the limit on the size of the unpacked file.

    Raises:
        FormatError: the file is damaged or its unpacked size exceeds the limit.
        CapacityError: there is no space for the temporary file.
    """
    source = Source(packed.all)
    free = FREE_UNPACKED_BYTES
    written = 0
    with writing(tempfile.gettempdir()), tempfile.TemporaryFile() as spool:
        try:
            with gzip.GzipFile(fileobj=cast(BinaryIO, source), mode="rb") as unpacker:
                while chunk := unpacker.read(CHUNK):
                    written += len(chunk)
                    if written > max_bytes or (
                        written > free and written > MAX_RATIO * packed.size
                    ):
                        raise FormatError(
                            f"{packed.name}: expected at most {max_bytes} bytes in the gzip and "
                            f"{MAX_RATIO} times its "
                            f"size, got more than {written}"
                        )
                    spool.write(chunk)
                    if progress is not None:
                        progress(source.at, packed.size)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise FormatError(f"{packed.name}: expected a whole gzip file, got: {error}") from error
        spool.flush()
        return FileBytes(os.dup(spool.fileno()), packed.name)


class Source:
    """Presents a region as the file object that gzip reads from."""

    def __init__(self, data: Region) -> None:
        self.data = data
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes."""
        chunk = self.data.read(self.at, None if size < 0 else size)
        self.at += len(chunk)
        return chunk
