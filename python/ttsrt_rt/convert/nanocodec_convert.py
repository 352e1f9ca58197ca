"""Runs a conversion of a NanoCodec: a `.nemo`, also unpacked or gzipped, or a `.ckpt` with its
configuration beside it (`<stem>.hparams.yaml`, `<stem>.yaml`, `hparams.yaml`).
"""

from __future__ import annotations

import gzip
import json
import logging
import os
import zlib
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

from ttsrt_rt.convert.archive import Weights, open_weights
from ttsrt_rt.convert.checkpoint import CheckpointWriter, config_of
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.magpie_model import to_json
from ttsrt_rt.convert.manifest import check_mapped
from ttsrt_rt.convert.mapped_tensor import write_mapped
from ttsrt_rt.convert.nanocodec_model import CodecModel, find_codec_block, read_codec_model
from ttsrt_rt.convert.nanocodec_tensors import PARTS, is_unused, plan_codec, rename_norms
from ttsrt_rt.convert.sources import find_source, find_yaml
from ttsrt_rt.convert.tensor_plan import make_tensors
from ttsrt_rt.convert.wrapped_names import unwrap_names
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import FormatError
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.progress import Progress, reporting

__all__ = ["convert_nanocodec", "looks_like_nanocodec"]

LOGGER = logging.getLogger(__name__)

GZIP_HEAD = 1 << 20  # the configuration comes before the weights
DECODER, ENCODER = "audio_decoder.", "audio_encoder."


def looks_like_nanocodec(path: Path) -> bool:
    """Whether this converter accepts `path`: weights that have an audio decoder at the top."""
    if path.is_file() and FileBytes.open(path).all.read(0, 2) == b"\x1f\x8b":
        return b"\naudio_decoder:" in _head_of_gzip(path)
    if path.is_dir() and not (path / "model_config.yaml").is_file():
        return False
    with open_weights(path) as weights:
        if not any(DECODER in name for name in weights):
            return False
        names, _ = unwrap_names(weights, PARTS)
        return any(name.startswith(DECODER) for name in names)


def _head_of_gzip(path: Path) -> bytes:
    """Returns the first bytes of what a gzip holds; nothing if it is damaged, which the reader of
    the whole file will say.
    """
    try:
        with gzip.open(path, "rb") as file:
            return file.read(GZIP_HEAD)
    except (OSError, EOFError, zlib.error):
        return b""


def convert_nanocodec(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    progress: Progress = True,
    root: str | None = None,
) -> Path:
    """Converts a NanoCodec and returns the new folder.

    Args:
        source, output_dir, dtype, overwrite, progress: as of `ttsrt_rt.convert`.
        config: the YAML file of a `.ckpt`, if it is not beside it.
        root: the entry of a `.ckpt` that holds the weights, if it is not `state_dict`.

    Raises:
        ConfigError: the configuration is missing or is of another codec, or the output folder is in
            use or cannot be written.
        CapacityError: the disk is full.
        FormatError: the source is damaged, or tensors are missing, unexpected, of a wrong shape, or
            not finite.
    """
    dtype = None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        path = find_source(Path(source))
        weights = files.enter_context(open_weights(path, root=root))
        tensors, _ = unwrap_names(weights, PARTS)
        tensors = rename_norms(tensors)
        notices: list[str] = []
        model = read_codec_model(
            find_codec_block(_config_of(weights, path, config)),
            notices,
            has_encoder=any(name.startswith(ENCODER) for name in tensors),
        )
        _check_levels(model, tensors)
        has_encoder = model.encoder is not None
        mapped = make_tensors(
            plan_codec(model),
            tensors,
            dtype,
            lambda name: is_unused(name, has_encoder=has_encoder),
        )
        codec = {"name": weights.name[:100], "sample_rate": model.sample_rate}
        blocks = {"codec": codec, "model": to_json(model), "defaults": {}}
        written = config_of("nanocodec", {"file": weights.name}, blocks)
        check_mapped(written, mapped)
        for notice in notices:
            LOGGER.warning("%s: %s", weights.name, notice)
        for name, value in to_json(model).items():
            LOGGER.info("model.%s: %s", name, json.dumps(value))
        writer.write(written, lambda made: write_mapped(made, mapped, report))
    return Path(output_dir)


def _config_of(weights: Weights, path: Path, config: str | os.PathLike[str] | None) -> Config:
    """Returns the configuration that is given, inside the source, or beside it."""
    if config is not None:
        return Config.load(config)
    return weights.config if weights.kind == "nemo" else Config.load(find_yaml(path))


def _check_levels(model: CodecModel, tensors: Mapping[str, LazyTensor]) -> None:
    """Compares the stored levels of the quantizers, where there are some, with those stated."""
    for group in range(model.groups):
        name = f"vector_quantizer.fsqs.{group}.num_levels"
        if name not in tensors:
            continue
        stored = tensors[name].read().reshape(-1).tolist()
        if stored != list(model.levels):
            raise FormatError(f"{name}: expected {list(model.levels)}, got {stored[:20]}")
