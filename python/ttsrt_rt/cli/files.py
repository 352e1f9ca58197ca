"""Arrays on the command line: FILE or FILE:KEY, of .npy, .npz, .safetensors or .json."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import list_names, quote, shorten, show

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["load_array", "told_of"]

MAX_JSON_BYTES = 32 << 20
MAX_JSON_VALUES = 1_000_000


@contextmanager
def told_of(flag: str) -> Iterator[None]:
    """Names the flag in front of what is wrong with its file.

    Raises:
        ConfigError, FormatError: The block raised one.
    """
    try:
        yield
    except (ConfigError, FormatError) as error:
        raise type(error)(f"{flag}: {error}") from error


def load_array(text: str) -> NDArray[np.generic]:
    """Reads an array; nothing in the file is executed.

    Args:
        text: "ids.json", "codes.npy", "golden.npz:codes", "voice.safetensors:rows". No key is
            needed if the file has one array. A .json holds an array, or arrays under keys.

    Raises:
        ConfigError: There is no such file or key, or the file's ending is unknown.
        FormatError: The file is not of the kind that its ending says.
    """
    path, key = _split(text)
    readers = {
        ".json": _read_json,
        ".npy": _read_npy,
        ".npz": _read_npz,
        ".safetensors": _read_safetensors,
    }
    ending = path.suffix.lower()
    if ending not in readers:
        raise ConfigError(f"{shorten(text)}: expected a file that ends in {', '.join(readers)}")
    if not path.exists():
        raise NotFoundError(f"{path}: no such file")
    return readers[ending](path, key)


def _split(text: str) -> tuple[Path, str | None]:
    if os.path.exists(text) or ":" not in text:
        return Path(text), None
    path, _, key = text.rpartition(":")
    return Path(path), key


def _read_json(path: Path, key: str | None) -> NDArray[Any]:
    import numpy as np

    values = read_json(path, max_bytes=MAX_JSON_BYTES, max_values=MAX_JSON_VALUES)
    if isinstance(values, dict):
        values = _pick(values, path, key)
    elif key is not None:
        raise ConfigError(f"{path}: expected no key for a file of one list, got {quote(key)}")
    if not _is_numeric(values, axes=3):
        raise FormatError(f"{path}: expected a list of numbers, got {show(values)}")
    try:
        return np.asarray(values)
    except (ValueError, OverflowError) as error:
        raise FormatError(f"{path}: expected a list of numbers: {shorten(str(error))}") from error


def _is_numeric(values: Any, axes: int) -> bool:
    """Whether this is a number, or lists of numbers of so many axes at most. NumPy would give text
    the width of the longest one.
    """
    if isinstance(values, list):
        return axes > 0 and all(_is_numeric(each, axes - 1) for each in values)
    return isinstance(values, (int, float)) and not isinstance(values, bool)


def _read_npy(path: Path, key: str | None) -> NDArray[Any]:
    from ttsrt_rt.array_file import read_npy

    if key is not None:
        raise ConfigError(f"{path}: expected no key for .npy, got {quote(key)}")
    return read_npy(path)


def _read_npz(path: Path, key: str | None) -> NDArray[Any]:
    from ttsrt_rt.array_file import NpzFile

    array: NDArray[Any] = _pick(NpzFile(path), path, key)
    return array


def _read_safetensors(path: Path, key: str | None) -> NDArray[Any]:
    from ttsrt_rt.convert import open_weights
    from ttsrt_rt.convert.casting import bits_to_float32

    with open_weights(path) as weights:
        tensor = _pick(weights, path, key)
        values: NDArray[Any] = tensor.read()
        return bits_to_float32(values) if tensor.dtype == "bfloat16" else values


def _pick(arrays: Mapping[str, Any], path: Path, key: str | None) -> Any:
    names = list(arrays)
    if not names:
        raise FormatError(f"{path}: expected an array under a key, got a file without any")
    if key is None and len(names) == 1:
        key = names[0]
    if key not in names:
        asked = "no key" if key is None else quote(key)
        raise ConfigError(
            f"{path}: expected {path.name}:KEY with one of {list_names(names)}; got {asked}"
        )
    return arrays[key]
