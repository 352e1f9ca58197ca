"""Reads a `.nemo`: a tar, plain or gzip, of `model_config.yaml`, `model_weights.ckpt`, artifacts.

A plain tar is read in place: the weights are a slice of the mapped file. A gzip is unpacked once,
into an anonymous temporary file of limited size. Artifacts (dictionaries, speaker maps) are small
files that the configuration names as `nemo:<hash>_<name>`.
"""

from __future__ import annotations

import gzip
import tempfile
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

from ttsrt_rt.convert.file_map import FileMap
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.pickle_values import quote
from ttsrt_rt.convert.tar_entries import TarMember, looks_like_tar, read_tar
from ttsrt_rt.convert.torch_zip import TorchArchive, refuse_legacy
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError, FormatError

__all__ = ["MAX_UNPACKED_BYTES", "NemoArchive", "Progress", "unpack_gzip"]

CONFIG = "model_config.yaml"
WEIGHTS = "model_weights.ckpt"
MAX_UNPACKED_BYTES = 64 << 30
MAX_ARTIFACT_BYTES = 256 << 20
# Weights compress badly, but masks and padding compress well. A file that unpacks to more than this
# much and exceeds the ratio is therefore taken for a decompression bomb.
FREE_UNPACKED_BYTES = 1 << 30
MAX_RATIO = 50
CHUNK = 4 << 20

Progress = Callable[[int, int], None]


class NemoArchive:
    """One `.nemo` archive.

    Args:
        file: the mapped tar; errors give its `name`.

    Attributes:
        config: the contents of `model_config.yaml`.
        tensors: name -> tensor, of `model_weights.ckpt`.

    Raises:
        FormatError: the file is not a valid `.nemo` archive.
    """

    def __init__(self, file: FileMap) -> None:
        self._file = file
        data = file.view()
        if not looks_like_tar(bytes(data[:512])):
            raise FormatError(f"{file.name}: expected a tar archive, got other bytes")
        self._members = read_tar(data, file.name)
        where = f"{file.name}: {WEIGHTS}"
        self.config = Config.parse(self._read(CONFIG), f"{file.name}: {CONFIG}")
        weights = self._slice(self._find(WEIGHTS))
        if bytes(weights[:1]) == b"\x80":
            raise refuse_legacy(where)
        self.tensors: dict[str, LazyTensor] = TorchArchive(file, weights, where).tensors

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of all files except configuration and weights, sorted."""
        return tuple(sorted(name for name in self._members if name not in (CONFIG, WEIGHTS)))

    def artifact(self, name: str) -> bytes:
        """Returns the bytes of an artifact.

        Args:
            name: as in `artifacts`, or as the configuration writes it, with the prefix `nemo:`.

        Raises:
            ConfigError: there is no such artifact.
            FormatError: the artifact exceeds the size limit.
        """
        name = name.removeprefix("nemo:").removeprefix("./")
        if name not in self._members:
            known = ", ".join(map(quote, self.artifacts[:20])) or "none"
            raise ConfigError(
                f"{self._file.name}: expected one of the artifacts {known}, got {quote(name)}"
            )
        return self._read(name)

    def _find(self, name: str) -> TarMember:
        member = self._members.get(name)
        if member is None:
            known = ", ".join(map(quote, list(self._members)[:20])) or "nothing"
            raise FormatError(f"{self._file.name}: expected a member {name}, got {known}")
        return member

    def _slice(self, member: TarMember) -> memoryview:
        return self._file.view()[member.offset : member.offset + member.size]

    def _read(self, name: str) -> bytes:
        member = self._find(name)
        if member.size > MAX_ARTIFACT_BYTES:
            raise FormatError(
                f"{self._file.name}: {quote(name)}: expected at most {MAX_ARTIFACT_BYTES} bytes, "
                f"got {member.size}"
            )
        return bytes(self._slice(member))


def unpack_gzip(
    packed: FileMap, progress: Progress | None = None, max_bytes: int = MAX_UNPACKED_BYTES
) -> FileMap:
    """Unpacks a gzip file into an anonymous temporary file and maps that.

    Args:
        packed: the mapped gzip file.
        progress: called from time to time with (bytes of the packed file done, its size).
        max_bytes: the limit on the size of the unpacked file.

    Raises:
        FormatError: the file is damaged or its unpacked size exceeds the limit.
        OSError: there is no space for the temporary file.
    """
    source = Source(packed.view())
    free = FREE_UNPACKED_BYTES
    written = 0
    with tempfile.TemporaryFile() as spool:
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
        return FileMap(cast(BinaryIO, spool), packed.name)


class Source:
    """Presents mapped bytes as the file object that gzip reads from."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes."""
        end = len(self.data) if size < 0 else min(self.at + size, len(self.data))
        chunk = bytes(self.data[self.at : end])
        self.at = end
        return chunk
