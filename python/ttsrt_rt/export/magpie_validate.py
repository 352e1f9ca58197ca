"""Checks of a Magpie export against its checkpoint; each returns what it found, or fails."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.checkpoint import Checkpoint, open_checkpoint
from ttsrt_rt.convert.magpie import map_tensors
from ttsrt_rt.convert.magpie_fork import read_fork_folder
from ttsrt_rt.convert.manifest import DeclaredTensor
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.export.magpie_layout import COMPONENTS, check_exportable, config_of
from ttsrt_rt.export.magpie_script import SCRIPT, build_script
from ttsrt_rt.export.magpie_trtllm import METADATA, files_of, metadata_of
from ttsrt_rt.export.trtllm_metadata import CONFIG
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import show
from ttsrt_rt.regular_file import read_regular

__all__ = ["CHECKS", "MagpieExport", "is_magpie_export", "open_magpie_export"]

_MAX_SCRIPT = 1 << 20
_LEFT_OUT = ("local_transformer.", "voices", "voice_lengths")


@dataclass(frozen=True)
class MagpieExport:
    """An export, and the checkpoint that it was made from."""

    folder: Path
    source: Checkpoint
    dtype: str


def is_magpie_export(folder: Path) -> bool:
    """Whether a folder has the metadata of a Magpie export."""
    return (folder / METADATA).is_file()


def open_magpie_export(
    folder: Path, checkpoint: Path, prompt_table: str | os.PathLike[str] | None
) -> MagpieExport:
    """Opens both.

    Raises:
        ConfigError: A prompt table is given, or a file can't be read.
        FormatError: The folder's metadata is not that of an export, or `checkpoint` is no Magpie
            checkpoint.
    """
    if prompt_table is not None:
        raise ConfigError("prompt_table: expected none for an export of Magpie, which has none")
    metadata = read_json(folder / METADATA)
    dtype = metadata.get("dtype") if isinstance(metadata, dict) else None
    if dtype not in ("float16", "bfloat16", "float32"):
        raise FormatError(
            f"{folder / METADATA}: dtype: expected float16, bfloat16 or float32, got {show(dtype)}"
        )
    return MagpieExport(folder, open_checkpoint(checkpoint), dtype)


def _check_integrity(export: MagpieExport) -> str:
    """Every file, every field, and every tensor with its shape and dtype."""
    source, dtype = export.source, export.dtype
    check_exportable(source.model)
    expected = {METADATA: metadata_of(source, dtype)}
    for part in COMPONENTS:
        expected[f"{part}/{CONFIG}"] = config_of(source.model, part, dtype, source.defaults.prior)
    for name, wanted in expected.items():
        _check_json(export.folder / name, name, json.loads(json.dumps(wanted)))
    script = read_regular(export.folder / SCRIPT, _MAX_SCRIPT).decode("utf-8", "replace")
    if script != build_script(source.model, dtype):
        raise FormatError(f"{SCRIPT}: expected the script of this model, got another")
    count = 0
    for file, tensors in files_of(source).items():
        found = SafetensorsFile.open(export.folder / file).tensors
        if found.keys() != tensors.keys():
            names = sorted(found.keys() ^ tensors.keys())
            raise FormatError(f"{file}: expected the model's tensors, missing or too many: {names}")
        for name, tensor in tensors.items():
            got = (found[name].dtype, found[name].shape)
            if got != (dtype, tensor.shape):
                raise FormatError(
                    f"{file}: {name}: expected {dtype} {list(tensor.shape)}, "
                    f"got {got[0]} {list(got[1])}"
                )
        count += len(tensors)
    return f"{count} tensors, {dtype}"


def _check_json(path: Path, name: str, expected: dict[str, object]) -> None:
    got = read_json(path)
    if not isinstance(got, dict):
        raise FormatError(f"{name}: expected an object")
    for field in sorted(expected.keys() | got.keys()):
        if field not in got or field not in expected or got[field] != expected[field]:
            raise FormatError(
                f"{name}: {field}: expected {show(expected.get(field))}, got {show(got.get(field))}"
            )


def _check_weights(export: MagpieExport) -> str:
    """Every tensor has the checkpoint's values, bit for bit in the dtype of the export."""
    count = 0
    for file, tensors in files_of(export.source).items():
        found = SafetensorsFile.open(export.folder / file).tensors
        for name, tensor in tensors.items():
            values = np.ascontiguousarray(tensor.read())
            wanted = cast(name, values, "float32", export.dtype)
            if name not in found or not np.array_equal(found[name].read(), wanted):
                raise FormatError(f"{file}: {name}: expected the checkpoint's values")
            count += 1
    return f"{count} tensors equal"


def _check_read_back(export: MagpieExport) -> str:
    """The converter reads the folder as the checkpoint: every tensor that the layout holds."""
    fork = read_fork_folder(export.folder)
    weights = export.source.weights
    declared = {
        name: DeclaredTensor(name, tensor.shape, (export.dtype,), "data")
        for name, tensor in weights.items()
        if not name.startswith(_LEFT_OUT)
    }
    model = dataclasses.replace(export.source.model, context="codes", num_voices=0)
    mapped = map_tensors(model, declared, fork.tensors, None, [])
    for name, tensor in mapped.items():
        stored = weights[name]
        values = cast(name, stored.read(), stored.dtype, export.dtype)
        if not np.array_equal(tensor.read(), values):
            raise FormatError(f"{name}: expected what the checkpoint has, read back another")
    return f"{len(mapped)} tensors, as ttsrt convert reads them"


CHECKS = (
    ("export_integrity", _check_integrity),
    ("weights", _check_weights),
    ("read_back", _check_read_back),
)
