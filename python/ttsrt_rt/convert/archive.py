"""Opens the weights of a checkpoint; the kind of file is detected by content, not by its name.

`open_weights(path)` looks at the first bytes to recognize a torch zip archive (`.ckpt`, `.pt`,
`.bin`), a `.nemo` (tar, plain or gzip), or a `.safetensors`. The result maps names to
`LazyTensor`s. The values of a tensor are read only by its `read()`, and nothing in the file is
executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.nemo_archive import (
    MAX_ARTIFACT_BYTES,
    WEIGHTS,
    NemoArchive,
    Progress,
    unpack_gzip,
)
from ttsrt_rt.convert.nemo_folder import NemoFolder, is_nemo_folder
from ttsrt_rt.convert.safetensors_file import SafetensorsFile, looks_like_safetensors
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.convert.tar_entries import looks_like_tar
from ttsrt_rt.convert.torch_zip import TorchArchive, refuse_legacy
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import show

__all__ = ["Weights", "open_weights"]


class Weights(Mapping[str, LazyTensor]):
    """Maps the names of one checkpoint's tensors to the tensors, in the order of the file.

    Attributes:
        name: the file's name.
        kind: "torch", "nemo" or "safetensors".
        metadata: free text of a `.safetensors` header; empty for other kinds.
        averages: the paths of other entries of a torch archive that seem to be averaged weights
            (EMA).

    Close it, or use it in `with`, to release the file: later reads raise `ClosedError`; arrays that
    were already read stay valid.
    """

    def __init__(
        self, file: FileBytes, *, root: str | None = None, folder: Path | None = None
    ) -> None:
        self._file = file
        self._nemo: NemoArchive | NemoFolder | None = None
        self.name = file.name if folder is None else folder.name
        self.metadata: dict[str, str] = {}
        self.averages: tuple[str, ...] = ()
        head = file.all.read(0, HEAD_BYTES)
        if folder is not None:
            self.kind = "nemo"
            self._nemo = NemoFolder(folder, file)
            self._tensors, self.averages = self._nemo.weights.tensors, self._nemo.weights.averages
        elif head[:4] == b"PK\x03\x04":
            self.kind = "torch"
            archive = TorchArchive(file.all, file.name, root)
            self._tensors, self.averages = archive.tensors, archive.averages
        elif looks_like_tar(head):
            self.kind = "nemo"
            self._nemo = NemoArchive(file)
            self._tensors, self.averages = self._nemo.weights.tensors, self._nemo.weights.averages
        elif looks_like_safetensors(head):
            self.kind = "safetensors"
            found = SafetensorsFile(file)
            self._tensors, self.metadata = found.tensors, found.metadata
        elif head[:1] == b"\x80":
            raise refuse_legacy(file.name)
        else:
            got = describe_foreign(head) or f"a file that starts with {head[:8]!r}"
            raise FormatError(
                f"{file.name}: expected a torch archive (.ckpt, .pt, .bin), a .nemo or a "
                f".safetensors, got {got}"
            )
        if root is not None and self.kind != "torch":
            raise ConfigError(
                f"{file.name}: root: expected none for a {self.kind} file, got {show(root)}"
            )

    @property
    def config(self) -> Config:
        """Returns the configuration inside a `.nemo`.

        Raises:
            ConfigError: the file is of another kind, whose configuration is a separate file.
        """
        return self._nemo_of("a configuration inside").config

    @property
    def artifacts(self) -> tuple[str, ...]:
        """Returns the names of the other files in a `.nemo`; other kinds of files have none."""
        return () if self._nemo is None else self._nemo.artifacts

    def artifact(self, name: str, max_bytes: int = MAX_ARTIFACT_BYTES) -> bytes:
        """Returns the bytes of an artifact of a `.nemo`.

        Args:
            name: as in `artifacts`, or as the configuration writes it (`nemo:<hash>_<name>`).
            max_bytes: the limit on its size.

        Raises:
            ConfigError: the archive has no such artifact, or the file is of another kind.
            FormatError: the artifact is larger than the limit.
        """
        return self._nemo_of("artifacts").artifact(name, max_bytes)

    def _nemo_of(self, what: str) -> NemoArchive | NemoFolder:
        if self._nemo is None:
            raise ConfigError(f"{self.name}: expected a .nemo with {what}, got a {self.kind} file")
        return self._nemo

    def close(self) -> None:
        """Releases the file; may be called again."""
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
        path: the file; or a folder with one `.nemo` or `.ckpt` inside, an unpacked `.nemo`, or a
            model in the cache of Hugging Face.
        root: for torch archives: the key of the state dict in the top-level dict, if it is not
            `state_dict`.
        progress: called with (bytes done, total bytes) while a gzipped `.nemo` is unpacked.

    Raises:
        ConfigError: the file does not exist, the folder has none or several, or `root` was given
            for a kind of file without one.
        FormatError: the kind of file is unknown, or the file is damaged or holds anything but data.
        CapacityError: there is no space for the unpacked copy of a gzipped `.nemo`.
    """
    found = find_source(Path(path))
    if is_nemo_folder(found):
        return Weights(FileBytes.open(found / WEIGHTS), root=root, folder=found)
    file = FileBytes.open(found)
    if file.all.read(0, 2) == b"\x1f\x8b":
        file = unpack_gzip(file, progress)
    return Weights(file, root=root)
