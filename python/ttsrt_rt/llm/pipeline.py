"""From a configuration to a checkpoint and an engine: `convert_model` and `build_engine`.

What the configuration says of quantization is stored in the checkpoint, so that `ttsrt build` of it
alone builds the same weights.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttsrt_rt import _core
from ttsrt_rt.convert.stored_options import store_options
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.llm.config import LlmConfigFile, config_of, read_config

if TYPE_CHECKING:
    from ttsrt_rt.progress import Progress

__all__ = ["build_engine", "build_options", "convert_model", "executor_options_of", "loaded"]

_LOG = logging.getLogger(__name__)
_EMBEDDING = "embedding"
_BLOCK = 16  # positions of a block of the cache


def loaded(config: Mapping[str, Any] | LlmConfigFile | str | os.PathLike[str]) -> LlmConfigFile:
    """Returns a configuration that is given as a dict, as the name of a YAML file, or read already.

    Raises:
        ConfigError, FormatError: as of `read_config`.
    """
    is_name = isinstance(config, (str, os.PathLike))
    return read_config(config) if is_name else config_of(config)  # type: ignore[arg-type]


def convert_model(
    config: Mapping[str, Any] | LlmConfigFile | str | os.PathLike[str],
    *,
    allow_long: int | None = None,
    overwrite: bool = False,
    progress: Progress = True,
) -> Path:
    """Converts the model of a configuration and returns the checkpoint's folder.

    Args:
        config: a dict with the names of a configuration file, or the name of a YAML file.
        allow_long: as of `convert_llm`.
        overwrite: whether a checkpoint that is there is replaced.
        progress: as of `convert`.

    Raises:
        ConfigError: the configuration is wrong, or names a model that is not there or not
            supported.
        FormatError: the model is damaged.
        CapacityError: the disk is full.
    """
    from ttsrt_rt.convert import convert

    found = loaded(config)
    source, folder = found.source(), Path(found.folder("checkpoint_dir"))
    _check_build(found)
    if found.uses_awq:
        source = _quantized_by_awq(found, source, folder, overwrite=overwrite, progress=progress)
    convert(
        source,
        folder,
        family="llm",
        allow_long=allow_long,
        overwrite=overwrite,
        progress=progress,
    )
    _store(found, folder)
    return folder


def build_engine(
    config: Mapping[str, Any] | LlmConfigFile | str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress = True,
) -> Path:
    """Builds the engine of a configuration from its checkpoint and returns the engine's folder.

    Args:
        config, overwrite, progress: as of `convert_model`.

    Raises:
        ConfigError: there is no checkpoint, or the configuration is wrong.
        FormatError: the checkpoint is damaged.
        CapacityError: the disk is full.
    """
    from ttsrt_rt.build import build
    from ttsrt_rt.convert.checkpoint import check_checkpoint

    found = loaded(config)
    checkpoint = check_checkpoint(found.folder("checkpoint_dir"))
    engine = Path(found.folder("engine_dir"))
    _check_build(found)
    told = found.engine
    if told.tokens_per_block != _BLOCK:
        _LOG.info(
            "%s: engine.tokens_per_block: %d; blocks hold 16 positions here, which changes no "
            "result",
            found.where,
            told.tokens_per_block,
        )
    build(
        checkpoint,
        engine,
        overwrite=overwrite,
        progress=progress,
        max_batch_size=told.max_batch_size,
        max_input_len=told.max_input_len,
        max_seq_len=told.seq_len,
        max_num_tokens=told.max_num_tokens,
        **build_options(found, checkpoint),
    )
    return engine


def build_options(config: LlmConfigFile, checkpoint: Path) -> dict[str, Any]:
    """Returns the options of `build` that say how weights are stored.

    Args:
        config: what is wanted.
        checkpoint: the converted model, whose own type "auto" stands for.
    """
    quantization = config.engine_quantization
    made: dict[str, Any] = {"dtype": config.wanted_dtype or _own_dtype(checkpoint)}
    if quantization == "none":
        return made | {"quantization": "none"}
    made |= {"quantization": quantization, "head_quantization": config.quantization.lm_head}
    if quantization.startswith("w4"):
        made |= {"group_size": config.group, "zero_points": not config.quantization.symmetric}
    return made


def executor_options_of(
    config: LlmConfigFile, engine: str | os.PathLike[str], device: str | None = None
) -> dict[str, Any]:
    """Returns the options of an executor that a configuration asks for.

    Args:
        config: the configuration.
        engine: the engine, which knows the bytes of a position.
        device: where it will run, as of `Executor`; None for "auto".
    """
    told = config.engine
    made: dict[str, Any] = {}
    if config.kv_cache_dtype is not None:
        made["kv_cache_dtype"] = config.kv_cache_dtype
    if config.speculation.mode != "none":
        made["speculation"] = dataclasses.asdict(config.speculation)
        draft = made["speculation"].pop("draft_engine")
        if config.speculation.mode == "draft":
            made["draft_engine"] = draft
    if told.kv_cache_free_gpu_mem_fraction is not None and _is_gpu(device or "auto"):
        made["kv_cache_free_gpu_mem_fraction"] = told.kv_cache_free_gpu_mem_fraction
    if told.max_cache_bytes is not None and told.use_paged_kv_cache:
        from ttsrt_rt.memory import plan_memory

        kinds: Any = [config.kv_cache_dtype] if config.kv_cache_dtype else []
        (plan,) = plan_memory(
            engine, batch_sizes=[told.max_batch_size], kv_cache_dtypes=kinds, device="cpu"
        )
        bytes_of_position = plan.kv_cache / plan.cache_tokens
        blocks = int(told.max_cache_bytes / bytes_of_position) // _BLOCK
        if blocks * _BLOCK < plan.cache_tokens:
            made["max_tokens_in_paged_kv_cache"] = max(blocks, 1) * _BLOCK
    return made


def _is_gpu(device: str) -> bool:
    """Whether a device is a GPU, or "auto" stands for one."""
    if device != "auto":
        return device.startswith("cuda")
    return any(each.available and each.name.startswith("cuda") for each in _core.list_devices())


def _own_dtype(checkpoint: Path) -> str:
    """The type of the table of words: what the model was trained or stored in."""
    from ttsrt_rt.convert import open_weights
    from ttsrt_rt.convert.checkpoint import WEIGHTS_NAME

    with open_weights(checkpoint / WEIGHTS_NAME) as weights:
        return weights[_EMBEDDING].dtype


def _store(config: LlmConfigFile, checkpoint: Path) -> None:
    """Notes in the checkpoint what was decided, and logs it."""
    build = build_options(config, checkpoint)
    run = {} if config.kv_cache_dtype is None else {"kv_cache_dtype": config.kv_cache_dtype}
    notes = {"model_name": config.model_name}
    store_options(checkpoint, build, run, notes)
    of = config.quantization
    if config.group is not None and of.awq_block_size != of.group_size:
        key = "awq_block_size" if config.uses_awq else "group_size"
        _LOG.info("%s: of awq_block_size and group_size, %s is taken", config.where, key)
    _LOG.info("%s: the engine is built with %s", checkpoint, json.dumps(build))


def _check_build(config: LlmConfigFile) -> None:
    """Refuses, before a model is read, what `build` does not offer."""
    if config.group == -1:
        raise ConfigError(
            f"{config.where}: quantization.group_size: expected 32, 64 or 128 for 4 bits, got -1"
        )


def _quantized_by_awq(
    config: LlmConfigFile, source: Path, folder: Path, *, overwrite: bool, progress: Progress
) -> Path:
    """Quantizes a model into a folder beside the checkpoint's, and returns it."""
    from ttsrt_rt.llm.awq import AwqOptions, quantize_awq

    of = config.quantization
    if of.calibration_file is None:
        raise ConfigError(
            f"{config.where}: quantization.calibration_file: expected a text, or builtin, beside "
            "use_awq; got nothing"
        )
    options = AwqOptions(
        group_size=of.awq_block_size,
        samples=of.calibration_samples,
        length=of.calibration_length,
        apply_clip=of.apply_clip,
    )
    made = folder.with_name(f"{folder.name}.awq")
    quantize_awq(
        source, made, of.calibration_file, options=options, overwrite=overwrite, progress=progress
    )
    return made
