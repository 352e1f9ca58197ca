"""Reads `.ckpt` and `.pt`, the zip archives that `torch.save` writes, as names and lazy tensors.

The archive has one folder with `data.pkl` (the structure, read by `pickle_machine`), `data/<key>`
(one entry for each storage), and `byteorder`. A tensor is a view of a storage, and several tensors
may share one; a storage is accessed only by `read()`. The bounds of all tensors in the state dict
are checked when the archive is opened.

The state dict is the entry `state_dict` of the top-level dict, or that dict itself if it holds a
tensor, or its only entry if that is `model`, or the entry that the caller names. A list of one dict
stands for that dict. Each of its values must be a tensor. All other entries of the archive are
ignored as inert data. `TorchFile` gives the whole structure to readers of other files.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from ttsrt_rt.convert.file_bytes import Region
from ttsrt_rt.convert.lazy_tensor import (
    DTYPES,
    Array,
    LazyTensor,
    array_from_bytes,
    check_bools,
    check_shape,
)
from ttsrt_rt.convert.pickle_machine import MAX_STREAM_BYTES, read_pickle
from ttsrt_rt.convert.pickle_values import Dict, Sequence, TensorRef, describe
from ttsrt_rt.convert.strided_read import is_contiguous, read_strided, span_of
from ttsrt_rt.convert.zip_entries import ZipEntries
from ttsrt_rt.errors import ClosedError, FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import list_names, quote

__all__ = ["TorchArchive", "TorchFile", "check_torch_head", "refuse_legacy"]

# A view with zero strides may have more values than its storage, but at most this many bytes.
MAX_EXPANDED_BYTES = 1 << 28
MAX_TENSORS = 65_536
MAX_AVERAGES = 10
# Exponential moving averages: of NeMo, Lightning ("averaging"), timm, diffusers and others.
AVERAGE = re.compile(r"(?:^|[^a-z])ema(?:[^a-z]|$)|EMA|averag|(?:^|_)swa(?:_|$)", re.ASCII)


def refuse_legacy(where: str) -> FormatError:
    """Returns the error for checkpoints of torch before 1.6, which are bare pickles."""
    return FormatError(
        f"{where}: expected a torch zip archive, got a bare pickle (torch before 1.6, or "
        "pickle.dump); if you trust the file, load it with that torch and save its state dict with "
        "torch.save(state_dict, path)"
    )


def check_torch_head(data: Region, where: str) -> None:
    """Checks that the weights of a `.nemo` begin like an archive.

    Raises:
        FormatError: they are something else, which the message names.
    """
    head = data.read(0, HEAD_BYTES)
    if head[:1] == b"\x80":
        raise refuse_legacy(where)
    if (foreign := describe_foreign(head)) is not None:
        raise FormatError(f"{where}: expected a torch zip archive, got {foreign}")


class TorchFile:
    """One archive, with the structure that it holds.

    Args:
        data: all bytes of the archive.
        where: the name of the archive in errors.

    Attributes:
        top: the value that was saved, as `pickle_values` describes it.

    Raises:
        FormatError: the bytes are not such an archive, are damaged, or hold anything but data.
    """

    def __init__(self, data: Region, where: str) -> None:
        self._file = data.file
        self._where = where
        self._zip = ZipEntries(data, where)
        self._folder = self._find_folder()
        self._check_byteorder()
        pickle_where = f"{where}: {self._folder}data.pkl"
        stream = self._zip.read(self._folder + "data.pkl", MAX_STREAM_BYTES)
        self.top = read_pickle(stream, pickle_where)

    def _find_folder(self) -> str:
        """Returns the name of the archive's only folder, with its slash."""
        names = [name for name in self._zip.entries if name.endswith("/data.pkl")]
        if len(names) != 1:
            raise FormatError(f"{self._where}: expected one entry */data.pkl, got {len(names)}")
        folder = names[0].removesuffix("data.pkl")
        if folder + "constants.pkl" in self._zip.entries:
            raise FormatError(
                f"{self._where}: expected a checkpoint of torch.save, got a TorchScript program"
            )
        return folder

    def _check_byteorder(self) -> None:
        """Rejects big-endian storages; archives without the entry are little-endian."""
        name = self._folder + "byteorder"
        if name in self._zip.entries:
            order = self._zip.read(name, 16)
            if order != b"little":
                raise FormatError(f"{self._where}: byteorder: expected 'little', got {order!r}")

    def tensor(self, name: str, value: object, where: str) -> LazyTensor:
        """Checks shape, strides and storage of a tensor and returns it.

        Args:
            name: the name that it gets.
            value: a value of the structure.
            where: its place, for errors.

        Raises:
            FormatError: it is no tensor, or not within its storage.
        """
        if not isinstance(value, TensorRef):
            raise FormatError(f"{where}: expected a tensor, got {describe(value)}")
        itemsize = DTYPES[value.dtype].itemsize
        shape = check_shape(where, value.shape, itemsize)
        nbytes = math.prod(shape) * itemsize
        strides, offset = self._check_bounds(value, shape, where)

        def read() -> Array:
            return self._read(value, shape, strides, offset, where)

        return LazyTensor(name, value.dtype, shape, nbytes, read)

    def _check_bounds(
        self, value: TensorRef, shape: tuple[int, ...], where: str
    ) -> tuple[tuple[int, ...], int]:
        """Checks that a view is inside its storage; returns strides and offset in elements."""
        count, itemsize = math.prod(shape), DTYPES[value.dtype].itemsize
        if len(value.strides) != len(shape):
            raise FormatError(f"{where}: expected {len(shape)} strides, got {len(value.strides)}")
        numbers: list[int] = []
        for each in (*value.strides, value.offset):
            if type(each) is not int or not 0 <= each < 1 << 62:
                raise FormatError(
                    f"{where}: expected offset and strides >= 0, got {describe(each)}"
                )
            numbers.append(each)
        *strides, offset = numbers
        stored = self._storage_bytes(value, where) // itemsize
        last = offset + span_of(shape, tuple(strides)) - 1
        if (count and last >= stored) or offset > stored:
            raise FormatError(
                f"{where}: expected a view within {stored} elements, got element "
                f"{max(last, offset)}"
            )
        if count > stored and count * itemsize > MAX_EXPANDED_BYTES:
            raise FormatError(
                f"{where}: expected an expanded view of at most {MAX_EXPANDED_BYTES} bytes, got "
                f"{count * itemsize}"
            )
        return tuple(strides), offset

    def _storage_bytes(self, value: TensorRef, where: str) -> int:
        """Returns the size of a tensor's storage after checking it against the zip entry."""
        storage = value.storage
        entry = self._zip.entries.get(f"{self._folder}data/{storage.key}")
        if entry is None:
            raise FormatError(f"{where}: expected a storage data/{storage.key}, got none")
        size = storage.count * (DTYPES[storage.dtype].itemsize if storage.dtype else 1)
        if entry.size != size:
            raise FormatError(
                f"{where}: storage data/{storage.key}: expected {size} bytes, got {entry.size}"
            )
        return size

    def _read(
        self,
        value: TensorRef,
        shape: tuple[int, ...],
        strides: tuple[int, ...],
        offset: int,
        where: str,
    ) -> Array:
        """Returns the values; no more of the storage than they need is in memory."""
        if self._file.is_closed:
            raise ClosedError(f"{where}: read after close")
        name = f"{self._folder}data/{value.storage.key}"
        dtype = DTYPES[value.dtype]
        if is_contiguous(shape, strides):
            begin, size = offset * dtype.itemsize, math.prod(shape) * dtype.itemsize
            if size == self._zip.entries[name].size:
                data = self._zip.read_array(name)
            else:
                data = self._zip.region(name).read_array(begin, size)
            return array_from_bytes(where, data, value.dtype, shape)
        gathered: Array = np.empty(shape, np.uint8 if value.dtype == "bool" else dtype)
        read_strided(self._zip.region(name), gathered, offset, strides)
        if value.dtype == "bool":
            check_bools(where, gathered)
            gathered = gathered.view(dtype)
        gathered.flags.writeable = False
        return gathered


class TorchArchive(TorchFile):
    """The tensors of the state dict in one archive.

    Args:
        data: all bytes of the archive.
        where: the name of the archive in errors.
        root: the key of the state dict in the top-level dict; None detects it.

    Attributes:
        tensors: name -> tensor, in the order of the file.
        averages: the paths of other entries that seem to hold averaged weights (EMA).

    Raises:
        FormatError: as for `TorchFile`, or there is no state dict.
    """

    def __init__(self, data: Region, where: str, root: str | None = None) -> None:
        super().__init__(data, where)
        state, path = self._find_state(self.top, root)
        if len(state.items) > MAX_TENSORS:
            raise FormatError(
                f"{where}: expected at most {MAX_TENSORS} tensors, got {len(state.items)}"
            )
        self.averages = tuple(find_averages(self.top, state))
        self.tensors = {
            name: self.tensor(name, value, f"{where}: {path}[{quote(name)}]")
            for name, value in state.items.items()
        }

    def _find_state(self, top: Any, root: str | None) -> tuple[Dict, str]:
        """Returns the state dict and its name in errors."""
        if not isinstance(top, Dict):
            raise FormatError(f"{self._where}: expected a dict of tensors, got {describe(top)}")
        if root is None:
            holds_tensors = any(isinstance(value, TensorRef) for value in top.items.values())
            is_wrapped = isinstance(top.items.get("state_dict"), Dict)
            is_model = list(top.items) == ["model"] and not top.num_others and not holds_tensors
            wrapper = "model" if is_model else "state_dict"
            root = wrapper if is_wrapped or not (holds_tensors or top.is_empty) else ""
        found: Any = top.items.get(root) if root else top
        path = root or "state dict"
        if isinstance(found, Sequence) and not found.is_tuple and len(found.items) == 1:
            inner = found.items[0]
            found, path = (inner, f"{path}[0]") if isinstance(inner, Dict) else (found, path)
        if not isinstance(found, Dict):
            got = (
                describe(found)
                if root in top.items
                else f"the keys {list_names(top.items, is_quoted=True)}"
            )
            raise FormatError(f"{self._where}: expected a dict at {quote(root)}, got {got}")
        if found.num_others:
            raise FormatError(f"{self._where}: {path}: expected text keys, got others")
        return found, path


def find_averages(top: Any, state: Dict) -> Iterator[str]:
    """Yields the paths of entries beside the state dict whose names say that they are averages."""
    waiting: list[tuple[str, Any, int]] = [("", top, 0)]
    found = 0
    for path, value, depth in waiting:
        items: list[tuple[str, Any]] = []
        if isinstance(value, Dict):
            items = list(islice(value.items.items(), 1000))
        elif isinstance(value, Sequence):
            items = [(str(index), each) for index, each in enumerate(value.items[:100])]
        for name, each in items:
            if each is state or not isinstance(each, (Dict, Sequence, TensorRef)):
                continue
            inner = f"{path}.{name[:100]}" if path else name[:100]
            if AVERAGE.search(name):
                yield inner
                found += 1
                if found == MAX_AVERAGES:
                    return
            elif depth < 2 and len(waiting) < 1000 and not isinstance(each, TensorRef):
                waiting.append((inner, each, depth + 1))
