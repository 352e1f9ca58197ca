"""Arrays on the command line: FILE or FILE:KEY, of .npy, .npz, .safetensors or .json."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt.errors import ConfigError, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["check_output", "load_array"]


def load_array(text: str) -> NDArray[np.generic]:
    """Reads an array; nothing in the file is executed.

    Args:
        text: "ids.json", "codes.npy", "golden.npz:codes", "voice.safetensors:rows". No key is
            needed if the file has one array.

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
    if path.suffix not in readers:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(readers)}")
    if not path.is_file():
        raise ConfigError(f"{path}: no such file")
    return readers[path.suffix](path, key)


def _split(text: str) -> tuple[Path, str | None]:
    if os.path.exists(text) or ":" not in text:
        return Path(text), None
    path, _, key = text.rpartition(":")
    return Path(path), key


def _read_json(path: Path, key: str | None) -> NDArray[Any]:
    import numpy as np

    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path}: expected JSON: {error}") from error
    if key is not None:
        values = _pick(values if isinstance(values, dict) else {}, path, key)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise FormatError(f"{path}: expected a list of numbers: {error}") from error


def _read_npy(path: Path, key: str | None) -> NDArray[Any]:
    import numpy as np

    if key is not None:
        raise ConfigError(f"{path}: expected no key for .npy, got {key!r}")
    try:
        array: NDArray[Any] = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise FormatError(f"{path}: expected a .npy array: {error}") from error
    return array


def _read_npz(path: Path, key: str | None) -> NDArray[Any]:
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            array: NDArray[Any] = _pick(archive, path, key)
    except ConfigError:
        raise
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path}: expected .npz arrays: {error}") from error
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
    if key is None and len(names) == 1:
        key = names[0]
    if key not in names:
        asked = "a key" if key is None else repr(key)
        raise ConfigError(
            f"{path}: expected {path.name}:KEY with one of {', '.join(names)}; got {asked}"
        )
    return arrays[key]


def check_output(path: Path | None) -> None:
    """Checks, before a long run, that a file can be written there.

    Raises:
        ConfigError: The folder does not exist.
    """
    if path is not None and not path.parent.is_dir():
        raise ConfigError(f"{path}: expected a folder that exists, got {path.parent}")
