"""Voice files of codec codes: the voice of a model that takes codes as its context.

A file holds the columns in front of the audio, int32 [frames, codebooks], with the special ones, in
safetensors, which is safe to load. The metadata names the family. A folder `voices` of an engine
may have such files; an executor adds them when it opens the engine.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.safetensors_file import SafetensorsFile, looks_like_safetensors
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import FormatError
from ttsrt_rt.foreign_file import HEAD_BYTES, describe_foreign
from ttsrt_rt.quoting import list_names, show

__all__ = ["FAMILIES", "is_code_voice_family", "read_code_voice", "write_code_voice"]

FORMAT, FORMAT_VERSION = "ttsrt.voice", "1"
FAMILIES = ("magpie",)
MAX_BYTES = 4 << 20

Codes = npt.NDArray[np.int32]


def is_code_voice_family(family: str) -> bool:
    """Whether engines of this family may have voice files of codes."""
    return family in FAMILIES


def write_code_voice(path: str | os.PathLike[str], codes: Codes, family: str) -> None:
    """Writes a voice file; one that is there is replaced when the new one is complete.

    Args:
        path: The file.
        codes: int32 [frames, codebooks], special columns included.
        family: Of the models that may use it.

    Raises:
        ConfigError: The file cannot be written there.
        CapacityError: The disk is full.
    """
    metadata = {"format": FORMAT, "format_version": FORMAT_VERSION, "family": family}
    array = np.ascontiguousarray(codes, np.int32)
    write_safetensors(path, {"codes": tensor_of_array("codes", array)}, metadata)


def read_code_voice(path: str | os.PathLike[str], family: str) -> Codes:
    """Reads the codes of a voice file, int32 [frames, codebooks]. Whether they are codes of a model
    says `add_voice`.

    Raises:
        NotFoundError: The file does not exist.
        ConfigError: It is not a regular file.
        FormatError: It is not such a voice file, or one of another family.
    """
    file = FileBytes.open(path)
    try:
        return _read(file, str(path), family)
    finally:
        file.close()


def _read(file: FileBytes, where: str, family: str) -> Codes:
    if file.size > MAX_BYTES:
        raise FormatError(
            f"{where}: expected a voice file of at most {MAX_BYTES} bytes, got {file.size}"
        )
    head = file.all.read(0, min(HEAD_BYTES, file.size))
    if not looks_like_safetensors(head):
        got = describe_foreign(head) or f"a file that starts with {head[:8]!r}"
        raise FormatError(f"{where}: expected a voice file (.safetensors), got {got}")
    opened = SafetensorsFile(file)
    expected = {"format": FORMAT, "format_version": FORMAT_VERSION, "family": family}
    for name, value in expected.items():
        if opened.metadata.get(name) != value:
            raise FormatError(
                f"{where}: {name}: expected {value!r}, got {show(opened.metadata.get(name))}; "
                "`ttsrt voice --audio` writes a voice file of codes"
            )
    if list(opened.tensors) != ["codes"]:
        raise FormatError(
            f"{where}: expected the tensor codes alone, got {list_names(list(opened.tensors))}"
        )
    tensor: Any = opened.tensors["codes"]
    if tensor.dtype != "int32" or len(tensor.shape) != 2 or 0 in tensor.shape:
        raise FormatError(
            f"{where}: codes: expected int32 [frames, codebooks], got {tensor.dtype} "
            f"{list(tensor.shape)}"
        )
    codes: Codes = tensor.read()
    return codes
