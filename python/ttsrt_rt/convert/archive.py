"""Opens the weights of any checkpoint that people have, by content and not by file name.

`open_weights(path)` looks at the first bytes: a torch zip archive (`.ckpt`, `.pt`, `.bin`), a
`.nemo` (tar, plain or gzip), or `.safetensors`. The result maps names to `LazyTensor`s; nothing of
a tensor is read before it is asked for, and nothing in the file is executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from types import TracebackType

from ttsrt_rt.convert.file_map import FileMap
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.nemo_archive import NemoArchive, Progress, unpack_gzip
from ttsrt_rt.convert.safetensors_file import SafetensorsFile, looks_like_safetensors
from ttsrt_rt.convert.tar_entries import looks_like_tar
from ttsrt_rt.convert.torch_zip import TorchArchive, refuse_legacy
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError, FormatError

__all__ = ["Weights", "open_weights"]


class Weights(Mapping[str, LazyTensor]):
    """The tensors of one checkpoint by name, in the order of the file.

    Attributes:
        name: the file's name.
        kind: "torch", "nemo" or "safetensors".
        metadata: free text of a `.safetensors` header; empty for other kinds.

    Close it, or use it in `with`, to forget the file: later reads raise `ClosedError`, while arrays
    already read live on.
    """

    def __init__(self, file: FileMap, *, root: str | None = None) -> None:
        self._file = file
        self._nemo: NemoArchive | None = None
        self.name = file.name
        self.metadata: dict[str, str] = {}
        head = bytes(file.view()[:512])
        if head[:4] == b"PK\x03\x04":
            self.kind = "torch"
            self._tensors = TorchArchive(file, file.view(), file.name, root).tensors
        elif looks_like_tar(head):
            self.kind = "nemo"
            self._nemo = NemoArchive(file)
            self._tensors = self._nemo.tensors
        elif looks_like_safetensors(head):
            self.kind = "safetensors"
            found = SafetensorsFile(file)
            self._tensors, self.metadata = found.tensors, found.metadata
        elif head[:1] == b"\x80":
            raise refuse_legacy(file.name)
        else:
            raise FormatError(
                f"{file.name}: expected a torch archive (.ckpt, .pt, .bin), a .nemo or a "
                ".safetensors, got a file that "
                f"starts with {head[:8]!r}"
            )
        if root is not None and self.kind != "torch":
            raise ConfigError(
                f"{file.name}: root: expected None for a {self.kind} file, got {root!r}"
            )

    @property
    def config(self) -> Config:
        """The configuration inside a `.nemo`.

        Raises:
            ConfigError: the file is of another kind; its configuration lies beside it.
        """
        return self._nemo_of("a configuration inside").config

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Files beside configuration and weights in a `.nemo`; none for other kinds."""
        return () if self._nemo is None else self._nemo.artifacts

    def artifact(self, name: str) -> bytes:
        """Returns the bytes of an artifact of a `.nemo`.

        Args:
            name: as in `artifacts`, or as the configuration says it (`nemo:<hash>_<name>`).

        Raises:
            ConfigError: no such artifact, or a file of another kind.
        """
        return self._nemo_of("artifacts").artifact(name)

    def _nemo_of(self, what: str) -> NemoArchive:
        if self._nemo is None:
            raise ConfigError(f"{self.name}: expected a .nemo with {what}, got a {self.kind} file")
        return self._nemo

    def close(self) -> None:
        """Forgets the file; may be called again."""
        self._file.close()

    def __enter__(self) -> Weights:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getitem__(self, name: str) -> LazyTensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __repr__(self) -> str:
        return f"Weights({self.name!r}, {self.kind!r}, {len(self)} tensors)"


def open_weights(
    path: str | os.PathLike[str], *, root: str | None = None, progress: Progress | None = None
) -> Weights:
    """Opens a checkpoint.

    Args:
        path: the file.
        root: for torch archives: the key of the state dict in the top-level dict, where it is not
        `state_dict`.
        progress: called with (bytes done, bytes in all) while a gzipped `.nemo` is unpacked.

    Raises:
        ConfigError: no such file, or `root` for a kind of file that has none.
        FormatError: an unknown kind of file, a damaged one, or one that holds anything but data.
        OSError: a gzipped `.nemo` finds no room for its unpacked copy.
    """
    file = FileMap.open(path)
    if bytes(file.view()[:2]) == b"\x1f\x8b":
        file = unpack_gzip(file, progress)
    return Weights(file, root=root)
