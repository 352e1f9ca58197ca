"""Runs a conversion of a Vocos vocoder: a folder with `config.yaml` and `pytorch_model.bin` (or
`model.safetensors`), or the file of the weights with `config.yaml` beside it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import get_args

from ttsrt_rt.convert.archive import Weights, open_weights
from ttsrt_rt.convert.checkpoint import CheckpointWriter, config_of
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.manifest import check_mapped
from ttsrt_rt.convert.mapped_tensor import write_mapped
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.convert.tensor_plan import make_tensors
from ttsrt_rt.convert.tensor_shapes import shapes_of
from ttsrt_rt.convert.vocos_model import VocosConfig, read_vocos_config, read_vocos_model
from ttsrt_rt.convert.vocos_tensors import is_unused, plan_vocoder
from ttsrt_rt.errors import Error, NotFoundError
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.progress import Progress, reporting

__all__ = ["convert_vocos", "looks_like_vocos", "open_vocoder"]

LOGGER = logging.getLogger(__name__)

CONFIG = "config.yaml"
WEIGHTS = ("pytorch_model.bin", "model.safetensors")
TOLD_BY = ("backbone.convnext.0.gamma", "head.out.weight")


def looks_like_vocos(path: Path) -> bool:
    """Whether this converter accepts `path`: weights of Vocos, or a folder that has them."""
    if path.is_dir():
        return _weights_in(path) is not None and (path / CONFIG).is_file()
    try:
        with open_weights(path) as weights:
            return all(name in weights for name in TOLD_BY)
    except Error:
        return False  # the reader of another family says what is wrong


def _weights_in(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)


def open_vocoder(
    files: ExitStack, path: str | os.PathLike[str], config: str | os.PathLike[str] | None = None
) -> tuple[Weights, VocosConfig]:
    """Opens a vocoder.

    Args:
        files: what closes it.
        path: its folder, also in the cache of Hugging Face, or its weights.
        config: its config.yaml; None: the one beside the weights.

    Raises:
        NotFoundError: there are no weights or no configuration.
        ConfigError: it is another vocoder.
        FormatError: a file is damaged.
    """
    given = Path(path)
    if (given / "snapshots").is_dir():
        given = find_source(given)
    found = _weights_in(given) if given.is_dir() else given
    if found is None or not found.exists():
        raise NotFoundError(
            f"{given}: expected a vocoder, {CONFIG} and {' or '.join(WEIGHTS)}, got no weights"
        )
    beside = Path(config) if config is not None else found.parent / CONFIG
    if not beside.is_file():
        raise NotFoundError(
            f"{beside}: expected the configuration of {found.name}, got no file of this name"
        )
    weights = files.enter_context(open_weights(found))
    return weights, read_vocos_config(beside)


def convert_vocos(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    overwrite: bool = False,
    progress: Progress = True,
    config: str | os.PathLike[str] | None = None,
) -> Path:
    """Converts a Vocos vocoder and returns the new folder.

    Args:
        source, output_dir, dtype, overwrite, progress: as of `ttsrt_rt.convert`.
        config: `config.yaml`, if it is not beside the weights.

    Raises:
        ConfigError: it is another vocoder, its configuration contradicts the tensors, or the output
            folder is in use or cannot be written.
        CapacityError: the disk is full.
        FormatError: the source is damaged, or tensors are missing, unexpected, of a wrong shape, or
            not finite.
    """
    dtype = None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        weights, told = open_vocoder(files, source, config)
        tensors: Mapping[str, LazyTensor] = weights
        model = read_vocos_model(shapes_of(tensors), told)
        mapped = make_tensors(plan_vocoder(model), tensors, dtype, is_unused)
        blocks = {"model": asdict(model), "defaults": {}}
        written = config_of("vocos", {"file": weights.name}, blocks)
        check_mapped(written, mapped)
        LOGGER.info("%s: %s", weights.name, model)
        writer.write(written, lambda made: write_mapped(made, mapped, report))
    return Path(output_dir)
