"""Runs a Magpie conversion: finds the configuration, maps the tensors (magpie.py), and writes.

The source is a Hugging Face `.nemo`, a Lightning `.ckpt` with `hparams.yaml`, or a folder of the
TensorRT-LLM fork. The configuration of a `.ckpt` is searched in its folder as
`<stem>.hparams.yaml`, `<stem>.yaml` and `hparams.yaml`.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt._core import is_voice_name
from ttsrt_rt.convert import magpie_json
from ttsrt_rt.convert.archive import Weights, open_weights
from ttsrt_rt.convert.checkpoint import FORMAT, FORMAT_VERSION, CheckpointWriter
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.file_bytes import FileBytes
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.magpie import ROOTS, check_dtype, map_tensors, normalize_names
from ttsrt_rt.convert.magpie_config import read_model
from ttsrt_rt.convert.magpie_defaults import read_defaults, window_prior
from ttsrt_rt.convert.magpie_fork import read_fork_folder
from ttsrt_rt.convert.magpie_model import MagpieModel, to_json
from ttsrt_rt.convert.magpie_reading import MagpieOptions, Reading, Shapes, find_model_block
from ttsrt_rt.convert.manifest import declared_tensors
from ttsrt_rt.convert.mapped_tensor import MappedTensor, write_mapped
from ttsrt_rt.convert.sources import find_source, find_yaml, is_fork_folder
from ttsrt_rt.convert.text_front_end import TextSources, file_writers, read_text_folder
from ttsrt_rt.convert.wrapped_names import unwrap_names
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.progress import Progress, reporting
from ttsrt_rt.quoting import list_names, quote, show

MAX_SAMPLE_RATE = 10_000_000
MAX_CONTEXT_SECONDS = 600.0

LOGGER = logging.getLogger(__name__)

MAX_SPEAKERS = 1 << 16
MAX_SPEAKERS_BYTES = 4 << 20


@dataclass(frozen=True)
class Source:
    """An opened source. `tensors` are keyed by original names; `weights` has the other files of an
    archive, and is None for the fork's folder; `window` holds the decoder configuration of the
    fork, which describes its window prior, or None.
    """

    block: Block
    tensors: Mapping[str, LazyTensor]
    speakers: Mapping[str, int]
    weights: Weights | None
    window: Block | None
    notices: tuple[str, ...]


def looks_like_magpie(path: Path) -> bool:
    """Whether this converter accepts `path`: the fork's folder, or a file with audio tables."""
    if is_fork_folder(path):
        return True
    if path.is_file() and FileBytes.open(path).all.read(0, 2) == b"\x1f\x8b":
        return True  # a gzipped .nemo: looking inside would mean unpacking all of it
    with open_weights(path) as weights:
        return any("audio_embeddings." in name or "decoder.layers." in name for name in weights)


def convert_magpie(
    source: str | os.PathLike[str],
    output_dir: str | os.PathLike[str],
    *,
    config: str | os.PathLike[str] | None = None,
    dtype: str | None = None,
    overwrite: bool = False,
    progress: Progress = True,
    generation: str | None = None,
    encoder_causal: bool | None = None,
    codebook_size: int | None = None,
    frame_rate: float | None = None,
    cross_heads: int | None = None,
    root: str | None = None,
    front_end: bool | None = None,
    text_files: str | os.PathLike[str] | None = None,
    dictionaries: Mapping[str, str | os.PathLike[str]] | None = None,
) -> Path:
    """Converts a Magpie checkpoint and returns the new folder.

    Args:
        source: what `ttsrt_rt.convert` takes.
        output_dir: the folder to create; see `overwrite`.
        config: the YAML file of a `.ckpt`, if it is not in the same folder.
        dtype: "float32", "float16" or "bfloat16" casts the weights; None keeps the dtype of the
            source.
        overwrite: whether to replace an existing checkpoint. Other folders are never replaced.
        progress: True shows a bar if standard error is a terminal; a function is called with
            (tensors done, of all, name of the one just done).
        generation: see MagpieOptions.
        encoder_causal: see MagpieOptions.
        codebook_size: see MagpieOptions.
        frame_rate: see MagpieOptions.
        cross_heads: see MagpieOptions.
        root: the entry of a `.ckpt` that holds the weights, if it is not `state_dict`: averaged
            weights (EMA), for example.
        front_end: whether to store what makes ids of a text. None: where the source has all of it;
            True: it is an error if it doesn't; False: never.
        text_files: a folder with the dictionaries that the source doesn't bring, by the names of
            the files in its configuration.
        dictionaries: single such files, by those names or by the names of tokenizers.

    Raises:
        ConfigError: the configuration is missing, is not supported, or contradicts the tensors; or
            the output folder is in use or cannot be written.
        CapacityError: the disk is full.
        FormatError: the source is damaged, or tensors are missing, unexpected, of a wrong shape, or
            not finite.
    """
    dtype = check_dtype(dtype)
    sources = TextSources(front_end, text_files, dictionaries)
    options = MagpieOptions(generation, encoder_causal, codebook_size, frame_rate, cross_heads)
    with ExitStack() as files:
        report = files.enter_context(reporting(progress, "convert"))
        writer = files.enter_context(CheckpointWriter(output_dir, overwrite=overwrite))
        opened = _open(find_source(Path(source)), config, root, files)
        shapes = Shapes({name: tensor.shape for name, tensor in opened.tensors.items()})
        reading = Reading(opened.block, shapes, options, opened.speakers, list(opened.notices))
        model = read_model(reading)
        defaults = read_defaults(reading, model)
        blocks = {"model": to_json(model), "defaults": to_json(defaults)}
        if opened.window is not None:
            blocks["defaults"]["prior"] = to_json(window_prior(opened.window, model))
            blocks["defaults"]["prior_mode"] = "window"
        _check_readable(blocks)
        declared = declared_tensors({"family": "magpie", **blocks})
        mapped = map_tensors(model, declared, opened.tensors, dtype, reading.notices)
        rows = shapes.get("text_embedding.weight", 2)[0]
        context_rows = _context_rows(opened.block, model)
        text = read_text_folder(
            opened.block, opened.weights, sources, rows, reading.notices, context_rows
        )
        for notice in reading.notices:
            LOGGER.warning("%s: %s", Path(source).name, notice)
        written = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "family": "magpie",
            "source": {**_describe_source(Path(source), opened.block), **reading.remarks},
            **_describe_codec(opened.block),
            **blocks,
        }
        _log(model, mapped)
        writer.write(written, lambda path: write_mapped(path, mapped, report), file_writers(text))
    return Path(output_dir)


def _log(model: MagpieModel, mapped: Mapping[str, MappedTensor]) -> None:
    """Tells what was found in the source and what is written."""
    dtypes = sorted({tensor.dtype for tensor in mapped.values()})
    LOGGER.info("%d tensors of %s", len(mapped), ", ".join(dtypes))
    for name, value in to_json(model).items():
        LOGGER.info("model.%s: %s", name, json.dumps(value)[:200])


def _check_readable(blocks: Mapping[str, Any]) -> None:
    """Checks that the blocks can be read back; this applies the reader's limits to all sizes."""
    model = magpie_json.read_model(Block(blocks["model"], "model", ConfigError))
    magpie_json.read_defaults(Block(blocks["defaults"], "defaults", ConfigError), model)


def _describe_source(path: Path, block: Block) -> dict[str, str | float | None]:
    """Returns the `source` field of config.json, which tells people what was converted, and how
    long the recordings were whose codes were the context in training.
    """
    names = ("model_type", "nemo_version")
    told: dict[str, str | float | None] = {"file": path.name}
    told |= {name: _short_text(block.values.get(name)) for name in names}
    seconds: Any = block.values.get("context_duration_max")
    if type(seconds) in (int, float) and 0 < seconds <= MAX_CONTEXT_SECONDS:
        told["context_seconds"] = float(seconds)
    return told


def _context_rows(block: Block, model: MagpieModel) -> int:
    """How many ids a text has that describes a voice, with its padding: as many as the longest
    recording has frames, and two. 0 where the model takes no such text by its tokenizers' ids.
    """
    if model.context_text != "shared" or not block.has("context_duration_max"):
        return 0
    seconds = block.number("context_duration_max", 0.01, MAX_CONTEXT_SECONDS)
    return int(seconds * model.frame_rate) + 2


def _describe_codec(block: Block) -> dict[str, dict[str, object]]:
    """Returns the `codec` field of config.json: what the configuration tells of the codec that its
    codes are for. It is absent where nothing is told.
    """
    codec: dict[str, object] = {}
    for field in ("codecmodel_path", "codec_model_path", "codec_model_name"):
        name = block.values.get(field)
        if isinstance(name, str) and name.strip():
            is_repository = name.count("/") == 1 and not name.endswith(".nemo")
            codec["name"] = (name if is_repository else name.rsplit("/", 1)[-1])[:100]
            break
    for field in ("output_sample_rate", "sample_rate"):
        rate = block.values.get(field)
        if isinstance(rate, int) and not isinstance(rate, bool) and 1 <= rate <= MAX_SAMPLE_RATE:
            codec["sample_rate"] = rate
            break
    return {"codec": codec} if codec else {}


def _short_text(value: object) -> str | None:
    text = value if isinstance(value, str) else show(value)
    return None if value is None else text[:100]


def _open(
    path: Path, config: str | os.PathLike[str] | None, root: str | None, files: ExitStack
) -> Source:
    if is_fork_folder(path):
        for name, value in (("config", config), ("root", root)):
            if value is not None:
                raise ConfigError(
                    f"{name}: expected none for a folder in the fork's layout, got {value}"
                )
        fork = read_fork_folder(path)
        block = Block(fork.config, f"{path.name}: ", ConfigError)
        return Source(block, fork.tensors, {}, None, fork.prior, fork.notices)
    weights = files.enter_context(open_weights(path, root=root))
    if config is None and weights.kind == "nemo":
        values: Mapping[str, Any] = weights.config
        where = "model_config.yaml: "
    else:
        found = Path(config) if config is not None else find_yaml(path)
        values, where = Config.load(found), f"{found.name}: "
    block = find_model_block(values, where)
    speakers, notices = _read_speakers(block, weights)
    tensors, prefix = unwrap_names(weights, ROOTS)
    if prefix:
        notices += (f"all names of tensors begin with {quote(prefix + '.')}, which was removed",)
    notices += tuple(_notice_averages(path, weights.averages, root))
    return Source(block, normalize_names(tensors), speakers, weights, None, notices)


def _notice_averages(path: Path, averages: tuple[str, ...], root: str | None) -> Iterator[str]:
    """Yields what to tell of averaged weights (EMA) that were not read."""
    others = [name for name in averages if name != root]
    if others:
        hint = ""
        if any("." not in name for name in others):
            hint = "; root= (--root) with such a name at the top reads it instead"
        yield (
            f"entries beside {quote(root or 'state_dict')} seem to hold averaged weights (EMA) and "
            f"were not read: {list_names(others, is_quoted=True)}{hint}"
        )
    beside = path.with_name(f"{path.stem}-EMA{path.suffix}")
    if path.is_file() and beside.is_file():
        yield f"averaged weights (EMA) seem to be in {quote(beside.name)}, which was not read"


def _read_speakers(block: Block, weights: Weights) -> tuple[dict[str, int], tuple[str, ...]]:
    """Reads the names of stored voices from the configuration or the archive's `*speakers.json`."""
    value = block.values.get("speaker_map")
    artifact = value if isinstance(value, str) and weights.kind == "nemo" else None
    if artifact is None and weights.kind == "nemo":
        artifact = next(
            (name for name in weights.artifacts if name.endswith("speakers.json")), None
        )
    if artifact is not None:
        raw = weights.artifact(artifact, MAX_SPEAKERS_BYTES)
        value = parse_json(raw, f"{weights.name}: {quote(artifact)}", max_pairs=MAX_SPEAKERS)
    if value is None or isinstance(value, str):
        return {}, ()
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    if is_list and len(set(value)) == len(value):
        value = {name: index for index, name in enumerate(value)}
    good = isinstance(value, Mapping) and all(
        isinstance(index, int) and not isinstance(index, bool) and len(str(name)) <= 200
        for name, index in value.items()
    )
    if not good:
        return {}, ("the speaker map does not map names to numbers, so the voices have no names",)
    return _voice_names(value)


def _voice_names(speakers: Mapping[object, int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Returns speakers under names that voices may have: every other character becomes "_". A
    voice whose name is then empty or taken has none.
    """
    names: dict[str, int] = {}
    changed: list[str] = []
    for speaker, index in speakers.items():
        name = str(speaker)
        if not is_voice_name(name):
            changed.append(name)
            name = "".join(c if is_voice_name(f"a{c}") else "_" for c in name)[:64]
            if name in speakers or not is_voice_name(name):
                continue
        names.setdefault(name, index)
    if not changed:
        return names, ()
    return names, (
        f"{len(changed)} voices were renamed, as names are letters, digits, '_', '-' and '.': "
        f"{list_names(changed)}",
    )
