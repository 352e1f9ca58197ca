"""Runs a conversion of a language model: a folder of Hugging Face or of TensorRT-LLM with a Llama
or a Phi.

Weights come from safetensors or from pickles that are read as data; the files of the tokenizer go
along. Weights of 4 bits (AWQ, GPTQ, compressed-tensors) become the float32 values that they stand
for, exactly.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from ttsrt_rt.convert.checkpoint import CheckpointWriter, config_of
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.llm_config import MAX_POSITIONS, LlmConfig, read_llm_config
from ttsrt_rt.convert.llm_front_end import (
    eos_of_tokenizer,
    front_end_of,
    num_tokens_of,
    read_text_files,
)
from ttsrt_rt.convert.llm_generation import read_defaults, read_generation, read_stop_ids
from ttsrt_rt.convert.llm_names import is_llm_folder, is_llm_part
from ttsrt_rt.convert.llm_older import with_todays_names
from ttsrt_rt.convert.llm_quantization import (
    Grid,
    dequantized,
    read_quantization,
    with_grids,
)
from ttsrt_rt.convert.llm_source import open_llm_weights
from ttsrt_rt.convert.llm_tensors import EMBEDDING, linears_of, plan_llm, unused_in
from ttsrt_rt.convert.manifest import check_mapped
from ttsrt_rt.convert.mapped_tensor import write_mapped
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.convert.tensor_plan import make_tensors
from ttsrt_rt.convert.tensor_shapes import axes_of, shapes_of
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.progress import Progress, reporting
from ttsrt_rt.quoting import show

__all__ = ["convert_llm", "looks_like_llm"]

LOGGER = logging.getLogger(__name__)


def looks_like_llm(path: Path) -> bool:
    """Whether this converter accepts `path`: a folder of a language model of Hugging Face, or
    one of its files.
    """
    return is_llm_folder(path) if path.is_dir() else is_llm_part(path)


def convert_llm(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    allow_long: int | None = None,
    overwrite: bool = False,
    progress: Progress = True,
) -> Path:
    """Converts a Llama or a Phi and returns the new folder.

    Args:
        source: the folder with `config.json` and the weights.
        output_dir, dtype, overwrite, progress: as of `ttsrt_rt.convert`.
        allow_long: positions that a text may have, more than `max_position_embeddings`, which is
            what the model was trained for.

    Raises:
        NotFoundError: a shard is not there.
        ConfigError: it is another model, or one with features that are not supported; or the
            output folder is in use or cannot be written.
        CapacityError: the disk is full.
        FormatError: the source is damaged, or tensors are missing, unexpected, doubled, of a wrong
            shape, or not finite.
    """
    dtype = None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        found = find_source(Path(source))
        folder = found if found.is_dir() else found.parent
        config = _longer(read_llm_config(folder), allow_long)
        quantization = read_quantization(folder, config.fields)
        generation = read_generation(folder)
        defaults = read_defaults(generation, config)
        text = read_text_files(folder)
        tensors: Mapping[str, LazyTensor] = with_todays_names(
            open_llm_weights(files, folder), config, str(folder)
        )
        grids: dict[str, Grid] = {}
        if quantization is not None:
            tensors, grids = dequantized(
                tensors, quantization, linears_of(config), config.decoder.has_bias
            )
        vocab = _vocab(config, tensors)
        ending = eos_of_tokenizer(text, str(folder))
        stop_ids = read_stop_ids(generation, config, vocab, ending)
        used = _used(num_tokens_of(text, str(folder)), vocab, stop_ids)
        plans = plan_llm(config, vocab)
        mapped = make_tensors(plans, tensors, dtype, unused_in(config))
        source_block: dict[str, Any] = {"file": folder.name, "model_type": config.kind}
        if quantization is not None:
            source_block["quantization"] = quantization.describe()
        blocks = {
            "model": config.model_block(vocab, stop_ids, used),
            "defaults": defaults.to_json(),
            "front_end": front_end_of(text, stop_ids, str(folder)),
        }
        written = config_of("llm", source_block, blocks)
        check_mapped(written, mapped)
        if dtype in (None, "float32"):  # other floats are no longer on the grid
            mapped = with_grids(mapped, plans, grids)
        LOGGER.info("%s: %s", folder, config.decoder)
        LOGGER.info("%s: ends a text by the ids %s", folder, list(stop_ids))
        writer.write(written, lambda made: write_mapped(made, mapped, report))
    return Path(output_dir)


def _longer(config: LlmConfig, positions: int | None) -> LlmConfig:
    """Returns a configuration with more positions, if these are given, and warns of them.

    Raises:
        ConfigError: they are no more than the model was trained for, or too many, or more than its
            window.
    """
    if positions is None:
        return config
    trained = config.decoder.max_positions
    if config.fields.has("sliding_window"):
        raise config.fields.fail("sliding_window", "none beside allow_long")
    if type(positions) is not int or not trained < positions <= MAX_POSITIONS:
        raise ConfigError(
            f"allow_long: expected {trained + 1} to {MAX_POSITIONS} positions, as "
            f"max_position_embeddings is {trained}, got {show(positions)}"
        )
    LOGGER.warning(
        "%sallow_long: texts may have %d positions; the model was trained for %d",
        *(config.fields.path, positions, trained),
    )
    return replace(config, decoder=replace(config.decoder, max_positions=positions))


def _used(num_tokens: int | None, vocab: int, stop_ids: Sequence[int]) -> int | None:
    """Returns the ids of the tokenizer where the table has more rows, and texts can still end."""
    if num_tokens is None or not max(stop_ids) < num_tokens < vocab:
        return None
    return num_tokens


def _vocab(config: LlmConfig, tensors: Mapping[str, LazyTensor]) -> int:
    """Returns the rows of the table, which decide where config.json says another number."""
    rows, _ = axes_of(shapes_of(tensors), EMBEDDING, 2)
    if rows != config.vocab:
        LOGGER.warning(
            "%svocab_size is %d, but the table has %d rows, which are taken",
            config.fields.path,
            config.vocab,
            rows,
        )
    return rows
