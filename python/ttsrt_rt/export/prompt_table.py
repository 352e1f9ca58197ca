"""`prompt_table.npz`: the rows of any number of voices, one beside the other.

TensorRT-LLM takes a row by `id - vocab_size + task * rows_per_task`, so every voice (task) has as
many rows as the longest one; what is left of a shorter one is zeros. The arrays:

    prompt_embedding_table   [voices * rows_per_task, hidden], float16, or float32
    prompt_vocab_size        int32 [1]: rows per task
    prompt_lengths           int32 [voices]: rows of each voice
    voice_names              text [voices]

NumPy has no bfloat16, so values rounded to it are stored as float32, which holds them exactly.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.convert.casting import bits_to_float32, cast
from ttsrt_rt.errors import FormatError
from ttsrt_rt.export.t3_checkpoint import Floats
from ttsrt_rt.quoting import shorten
from ttsrt_rt.regular_file import open_regular
from ttsrt_rt.writing import writing

__all__ = ["PromptTable", "pack_prompt_table", "read_prompt_table", "rounded", "write_prompt_table"]

KEYS = ("prompt_embedding_table", "prompt_vocab_size", "prompt_lengths", "voice_names")


@dataclass(frozen=True, eq=False)
class PromptTable:
    """The four arrays."""

    table: NDArray[Any]
    rows_per_task: NDArray[np.int32]
    lengths: NDArray[np.int32]
    names: NDArray[np.str_]


def rounded(name: str, values: Floats, dtype: str) -> Floats:
    """Rounds float32 to `dtype` and widens it again.

    Raises:
        FormatError: A value is too large for the dtype; the message has `name`.
    """
    made = cast(name, np.ascontiguousarray(values), "float32", dtype)
    if dtype == "bfloat16":
        return bits_to_float32(made)
    return made.astype(np.float32)


def pack_prompt_table(rows: Mapping[str, Floats], dtype: str) -> PromptTable:
    """Puts the rows of voices ([rows, hidden] each, at least one) into one table, by their names.

    Raises:
        FormatError: A value is too large for the dtype.
    """
    most = max(len(each) for each in rows.values())
    stored = np.float16 if dtype == "float16" else np.float32
    width = next(iter(rows.values())).shape[1]
    table = np.zeros((len(rows) * most, width), stored)
    for task, (name, each) in enumerate(rows.items()):
        begin = task * most
        table[begin : begin + len(each)] = rounded(f"rows of voice {name}", each, dtype)
    lengths = np.array([len(each) for each in rows.values()], np.int32)
    return PromptTable(table, np.array([most], np.int32), lengths, np.array(list(rows)))


def write_prompt_table(path: Path, table: PromptTable) -> None:
    """Writes the arrays to a new file.

    Raises:
        ConfigError: The file can't be written.
        CapacityError: The disk is full.
    """
    with writing(path):
        np.savez(
            path,
            prompt_embedding_table=table.table,
            prompt_vocab_size=table.rows_per_task,
            prompt_lengths=table.lengths,
            voice_names=table.names,
        )


def read_prompt_table(path: str | os.PathLike[str]) -> PromptTable:
    """Reads the arrays, with whatever shapes and values they have.

    Raises:
        ConfigError: The file can't be read.
        FormatError: It is no archive of arrays, or an array is missing.
    """
    with os.fdopen(open_regular(path), "rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
                raise FormatError(f"{path}: expected arrays that are not compressed, got others")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                missing = [key for key in KEYS if key not in arrays]
                if missing:
                    raise FormatError(f"{path}: expected {missing[0]}, got nothing")
                return PromptTable(*(arrays[key] for key in KEYS))
        except FormatError:
            raise
        except (zipfile.BadZipFile, EOFError, ValueError, OSError, RuntimeError) as error:
            raise FormatError(
                f"{path}: expected an .npz archive of plain arrays, got: {shorten(str(error))}"
            ) from error
