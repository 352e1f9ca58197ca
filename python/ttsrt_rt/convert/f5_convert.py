"""Runs a conversion of F5-TTS or IndicF5: finds the network's tensors, its vocabulary, its flags
and its vocoder, and writes.

The source is one file, `.safetensors` or `.pt`, averaged weights or not. `vocab.txt` and the
configuration beside it are taken, and the vocoder inside IndicF5's file; a Vocos may be given.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from ttsrt_rt.convert.checkpoint import CheckpointWriter, config_of
from ttsrt_rt.convert.f5_config import F5Config, read_f5_config
from ttsrt_rt.convert.f5_model import F5Model, check_variant, read_defaults, read_model
from ttsrt_rt.convert.f5_source import F5Names, F5Source, looks_like_f5, split_names
from ttsrt_rt.convert.f5_tensors import is_unused, plan_tensors
from ttsrt_rt.convert.f5_vocab import check_vocab, read_vocab
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.manifest import check_mapped
from ttsrt_rt.convert.mapped_tensor import MappedTensor, write_mapped
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.convert.tensor_plan import make_tensors
from ttsrt_rt.convert.tensor_shapes import shapes_of
from ttsrt_rt.convert.vocos_convert import open_vocoder
from ttsrt_rt.convert.vocos_model import VocosConfig, read_vocos_model
from ttsrt_rt.convert.vocos_tensors import is_unused as is_unused_vocoder
from ttsrt_rt.convert.vocos_tensors import plan_vocoder
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.options import DType, dtype_name
from ttsrt_rt.progress import Progress, reporting

__all__ = ["convert_f5", "looks_like_f5"]

LOGGER = logging.getLogger(__name__)

VOCAB_PLACES = ("vocab.txt", "checkpoints/vocab.txt")
BYTES = 256
TOKENIZERS = ("pinyin", "char", "byte")


def convert_f5(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    dtype: str | None = None,
    overwrite: bool = False,
    progress: Progress = True,
    root: str | None = None,
    variant: str | None = None,
    config: str | os.PathLike[str] | None = None,
    vocab: str | os.PathLike[str] | None = None,
    vocoder: str | os.PathLike[str] | None = None,
    use_ema: bool | None = None,
    tokenizer: str | None = None,
) -> Path:
    """Converts F5-TTS or IndicF5 and returns the new folder.

    Args:
        source, output_dir, dtype, overwrite, progress: as of `ttsrt_rt.convert`.
        root: the entry of a `.pt` that holds the weights, if it is none of the usual ones.
        variant: "v0" (F5TTS_Base, F5TTS_Small), "v1" (F5TTS_v1_*) or "indicf5"; must be given.
        config: the YAML of the training run or the JSON of the model card, if single flags differ
            from the variant's. None takes IndicF5's `config.json` beside the source.
        vocab: `vocab.txt`. None takes the one beside the source; without one, text must come as
            ids.
        vocoder: a Vocos to store with the model: its folder or its weights. None: the one inside
            the source, if there is one.
        use_ema: whether to take averaged weights. None: where there are some.
        tokenizer: "pinyin", "char" (code points as they are) or "byte". None: what the
            configuration says, "pinyin" without one.

    Raises:
        ConfigError: the variant is missing, or the configuration contradicts it or the tensors; or
            the output folder is in use or cannot be written.
        CapacityError: the disk is full.
        FormatError: the source is damaged, or tensors are missing, unexpected, of a wrong shape, or
            not finite; or the vocabulary is of another size.
    """
    dtype = None if dtype is None else dtype_name(dtype, "dtype", get_args(DType))
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        path = find_source(Path(source))
        variant = check_variant(variant, path.name)
        opened = files.enter_context(F5Source(path, root=root, use_ema=use_ema))
        names = split_names(opened.tensors)
        _check_average(path, names, opened.entry, use_ema)
        release = _find_config(path, config, variant)
        found, vocoder_config = _find_vocoder(files, names, vocoder)
        inner = None if found is None else read_vocos_model(shapes_of(found), vocoder_config)
        model = read_model(shapes_of(names.network), variant, release, inner)
        mapped = _map(model, names, found, dtype)
        blocks = {
            "model": asdict(model),
            "defaults": asdict(read_defaults(variant)),
            "front_end": _front_end(path, vocab, model, release, variant, tokenizer),
        }
        written = config_of("f5", _source(path, opened.entry, names, variant), blocks)
        check_mapped(written, mapped)
        _log(path, opened.entry, model, mapped)
        writer.write(written, lambda made: write_mapped(made, mapped, report))
    return Path(output_dir)


def _map(
    model: F5Model,
    names: F5Names,
    vocoder: Mapping[str, LazyTensor] | None,
    dtype: str | None,
) -> dict[str, MappedTensor]:
    """Maps the tensors of the network, and of the vocoder if it has one."""
    mapped = make_tensors(plan_tensors(model), names.network, dtype, is_unused)
    if vocoder is None or model.vocoder is None:
        return mapped
    plans = plan_vocoder(model.vocoder, "vocoder.")
    return mapped | make_tensors(plans, vocoder, dtype, is_unused_vocoder)


def _source(path: Path, entry: str, names: F5Names, variant: str) -> dict[str, Any]:
    """Returns what people may want to know of the source."""
    is_averaged = names.is_averaged or entry.startswith("ema_")
    told: dict[str, Any] = {"file": path.name, "variant": variant, "averaged": is_averaged}
    return {**told, "entry": entry} if entry else told


def _check_average(path: Path, names: F5Names, entry: str, use_ema: bool | None) -> None:
    """Refuses flat weights that are not the ones asked for."""
    if use_ema is None or entry or names.is_averaged == use_ema:
        return
    kinds = {True: "averaged weights (ema_model.*)", False: "trained weights (transformer.*)"}
    raise ConfigError(
        f"{path.name}: use_ema: expected {kinds[use_ema]}, got {kinds[not use_ema]} alone"
    )


def _find_config(path: Path, given: str | os.PathLike[str] | None, variant: str) -> F5Config:
    """Returns the configuration of the release: the given one, or IndicF5's beside the source."""
    if given is not None:
        config = read_f5_config(given)
    elif variant == "indicf5" and (path.parent / "config.json").is_file():
        config = read_f5_config(path.parent / "config.json")
    else:
        return F5Config()
    if config.is_indic and variant != "indicf5":
        raise ConfigError(
            f"{config.name}: variant: expected indicf5, as its model_type is inf5, got {variant}"
        )
    return config


def _find_vocoder(
    files: ExitStack, names: F5Names, given: str | os.PathLike[str] | None
) -> tuple[Mapping[str, LazyTensor] | None, VocosConfig]:
    """Returns the tensors of the vocoder to store and its configuration."""
    if given is not None:
        return open_vocoder(files, given)
    return names.vocoder or None, VocosConfig()


def _front_end(
    path: Path,
    given: str | os.PathLike[str] | None,
    model: F5Model,
    config: F5Config,
    variant: str,
    tokenizer: str | None,
) -> dict[str, Any]:
    """Returns what the Python front end needs: how text becomes ids, and sound a spectrogram."""
    if tokenizer is not None and tokenizer not in TOKENIZERS:
        raise ConfigError(f"tokenizer: expected one of {', '.join(TOKENIZERS)}, got {tokenizer}")
    kind = tokenizer or (config.tokenizer if config.tokenizer in ("byte",) else "pinyin")
    made: dict[str, Any] = {"tokenizer": kind, "vocab": None, "mel": config.mel}
    made["rules"] = "indicf5" if variant == "indicf5" else "f5"
    if kind == "byte":
        if model.text_vocab != BYTES:
            raise ConfigError(
                f"{path.name}: tokenizer: expected a text table of {BYTES + 1} rows for bytes, got "
                f"{model.text_vocab + 1}"
            )
        return made
    places = [path.parent / place for place in VOCAB_PLACES]
    found = Path(given) if given is not None else next((p for p in places if p.is_file()), None)
    if found is None:
        LOGGER.warning(
            "%s: there is no vocab.txt beside it and none was given, so text must come as ids",
            path.name,
        )
        return made
    tokens = read_vocab(found)
    check_vocab(tokens, model.text_vocab + 1, found.name)
    return {**made, "vocab": list(tokens)}


def _log(path: Path, entry: str, model: F5Model, mapped: Mapping[str, MappedTensor]) -> None:
    """Tells what was found in the source and what is written."""
    LOGGER.info("%s: weights of %s", path.name, entry or "the file")
    dtypes = sorted({tensor.dtype for tensor in mapped.values()})
    LOGGER.info("%d tensors of %s", len(mapped), ", ".join(dtypes))
    for name, value in asdict(model).items():
        LOGGER.info("model.%s: %s", name, json.dumps(value)[:200])
