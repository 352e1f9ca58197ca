"""Checks of the files of an export against its checkpoint; each returns what it found, or fails.

Everything that an export states is derived from the checkpoint a second time here, and compared bit
for bit; only the rows of voices, which matrix products make, have a tolerance.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.safetensors_file import SafetensorsFile
from ttsrt_rt.errors import FormatError
from ttsrt_rt.export.prompt_table import PromptTable, read_prompt_table, rounded
from ttsrt_rt.export.t3_checkpoint import T3Checkpoint
from ttsrt_rt.export.t3_prefix import prefix_rows, read_prefix_weights, voice_hash
from ttsrt_rt.export.trtllm import position_tensors
from ttsrt_rt.export.trtllm_bias import logits_bias
from ttsrt_rt.export.trtllm_layout import ExportTensor, config_of, rank_tensors
from ttsrt_rt.export.trtllm_metadata import (
    BIAS,
    CONFIG,
    METADATA,
    POSITIONS,
    PROMPT_TABLE,
    SCRIPT,
    VOICES,
    WEIGHTS,
    metadata_of,
    read_metadata,
)
from ttsrt_rt.export.trtllm_reference import ExportedModel
from ttsrt_rt.export.trtllm_script import build_script
from ttsrt_rt.export.voices import read_stored_voices
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import show
from ttsrt_rt.regular_file import read_regular

__all__ = [
    "Exported",
    "check_bias",
    "check_embeddings",
    "check_integrity",
    "check_prompt_table",
    "check_voices",
    "check_weights",
]

# Of the largest value of a voice's rows: products of float32 are summed in another order elsewhere.
_PREFIX_TOLERANCE = 1e-5
_ROUNDING = {"float32": 0.0, "float16": 2.0**-10, "bfloat16": 2.0**-7}
_DTYPES = ("float16", "bfloat16", "float32")
_TABLE = "transformer.vocab_embedding.weight"


class Exported:
    """The export under test, the checkpoint that it was made from, and its prompt table's file."""

    def __init__(self, folder: Path, checkpoint: T3Checkpoint, prompt_table: Path | None) -> None:
        """Reads nothing."""
        self.folder = folder
        self.checkpoint = checkpoint
        self.prompt_table = prompt_table or folder / PROMPT_TABLE

    @property
    def dtype(self) -> str:
        """The dtype that config.json states."""
        dtype = read_json(self.folder / CONFIG).get("dtype")
        if dtype not in _DTYPES:
            raise FormatError(f"{CONFIG}: dtype: expected {_DTYPES}, got {show(dtype)}")
        return str(dtype)

    def table(self) -> PromptTable:
        """Reads the prompt table, whose shapes are still unchecked."""
        return read_prompt_table(self.prompt_table)

    def voice_entries(self) -> list[Mapping[str, Any]]:
        """Returns the voices that t3_metadata.json lists."""
        entries = read_metadata(self.folder).block("prompt").values.get("voices")
        if not isinstance(entries, list) or not entries:
            raise FormatError(f"{METADATA}: prompt.voices: expected voices, got {show(entries)}")
        if not all(isinstance(entry, dict) and {"name", "rows"} <= set(entry) for entry in entries):
            raise FormatError(f"{METADATA}: prompt.voices: expected names and rows of each")
        return entries


def check_integrity(export: Exported) -> str:
    """Every file, every field and every tensor is there, with its shape and dtype."""
    fields, dtype = export.checkpoint.fields, export.dtype
    _compare_fields(CONFIG, config_of(fields, dtype), read_json(export.folder / CONFIG))
    count = 0
    files = {WEIGHTS: rank_tensors(export.checkpoint)}
    positions = position_tensors(export.checkpoint)
    if positions:
        files[POSITIONS] = positions
    for name, expected in files.items():
        found = SafetensorsFile.open(export.folder / name).tensors
        _compare_tensors(name, expected, found, dtype)
        count += len(expected)
    entries = export.voice_entries()
    voices = read_stored_voices(export.folder / VOICES, [str(each["name"]) for each in entries])
    lengths = [int(each["rows"]) for each in entries]
    expected_metadata = metadata_of(
        fields,
        voices,
        lengths,
        dtype=dtype,
        conditioning_hash=export.checkpoint.conditioning_hash(),
    )
    _compare_fields(METADATA, expected_metadata, read_json(export.folder / METADATA))
    script = export.folder / SCRIPT
    text = read_regular(script, 1 << 16).decode("utf-8", "replace")
    if text != build_script(fields, dtype, len(lengths) * max(lengths)):
        raise FormatError(f"{SCRIPT}: expected the script of this export, got another")
    if not os.access(script, os.X_OK):
        raise FormatError(f"{SCRIPT}: expected an executable file, got one that isn't")
    return f"{count} tensors, {dtype}"


def check_weights(export: Exported) -> str:
    """Every tensor but the table has the checkpoint's values, bit for bit in the export's dtype."""
    count = 0
    for name, tensors in (
        (WEIGHTS, rank_tensors(export.checkpoint)),
        (POSITIONS, position_tensors(export.checkpoint)),
    ):
        if not tensors:
            continue
        found = SafetensorsFile.open(export.folder / name).tensors
        for tensor, expected in tensors.items():
            if tensor != _TABLE:
                _compare_values(name, tensor, expected, found, export.dtype)
                count += 1
    return f"{count} tensors equal"


def check_embeddings(export: Exported) -> str:
    """Rows of text and of speech, with their positions, are the checkpoint's, bit for bit."""
    source, dtype = export.checkpoint, export.dtype
    fields, tensors = source.fields, rank_tensors(source)
    found = SafetensorsFile.open(export.folder / WEIGHTS).tensors
    _compare_values(WEIGHTS, _TABLE, tensors[_TABLE], found, dtype)
    model = ExportedModel(export.folder)
    dim = fields.dim

    def stored(name: str, *shape: int) -> Any:
        return rounded(name, source.floats(name, *shape), dtype)

    text = stored("text_embedding", fields.text_vocab, dim)
    speech = stored("speech_embedding", fields.speech_rows, dim)
    text_at, speech_at = np.zeros((1, dim), np.float32), np.zeros((2, dim), np.float32)
    if fields.text_positions:
        text_at = stored("text_positions", fields.text_positions, dim)
        speech_at = stored("speech_positions", fields.speech_positions, dim)
    for begin in range(0, fields.text_vocab, 512):
        ids = range(begin, min(begin + min(512, fields.text_positions or 512), fields.text_vocab))
        where = text_at[: len(ids)]
        _compare_rows("text rows", text[list(ids)] + where, model.text_rows(ids))
        alone = np.zeros((len(ids), dim), np.float32) + where
        _compare_rows("unconditional rows", alone, model.text_rows(ids, unconditional=True))
    starts = np.repeat((speech[fields.bos] + speech_at[0])[None], fields.start_rows, 0)
    _compare_rows("BOS rows", starts, model.start_embeddings())
    most = len(speech_at) if fields.speech_positions else fields.speech_vocab
    for step in range(min(most - 1, fields.speech_vocab)):
        at = speech_at[step + 1] if fields.speech_positions else 0
        row = model.generated_row(fields.text_vocab + step, step)
        _compare_rows(f"speech row {step}", (speech[step] + at)[None], row)
    return (
        f"{fields.text_vocab} text rows, {fields.start_rows} BOS rows, speech rows with positions"
    )


def check_bias(export: Exported) -> str:
    """The logits bias masks all ids but speech, and has the bias of the head."""
    expected = logits_bias(export.checkpoint)
    found = _load_npy(export.folder / BIAS)
    if found.dtype != np.float32 or found.shape != expected.shape:
        raise FormatError(
            f"{BIAS}: expected float32 {list(expected.shape)}, got {found.dtype} "
            f"{list(found.shape)}"
        )
    wrong = np.flatnonzero(found != expected)
    if len(wrong):
        at = int(wrong[0])
        raise FormatError(f"{BIAS}: [{at}]: expected {expected[at]:g}, got {found[at]:g}")
    return f"{len(expected)} ids, {int((expected > -1.0e8).sum())} of them speech"


def check_prompt_table(export: Exported) -> str:
    """The three arrays have the shapes that TensorRT-LLM reads, and no NaN."""
    where = export.prompt_table.name
    table, entries = export.table(), export.voice_entries()
    dim = export.checkpoint.fields.dim
    rows, lengths = table.rows_per_task, table.lengths
    if rows.dtype != np.int32 or rows.shape != (1,):
        raise FormatError(
            f"{where}: prompt_vocab_size: expected int32 [1], got {rows.dtype} {list(rows.shape)}"
        )
    if lengths.dtype != np.int32 or lengths.shape != (len(entries),):
        raise FormatError(
            f"{where}: prompt_lengths: expected int32 [{len(entries)}], got {lengths.dtype} "
            f"{list(lengths.shape)}"
        )
    names = [each["name"] for each in entries]
    if table.names.tolist() != names:
        raise FormatError(f"{where}: voice_names: expected {show(names)}, got others")
    wanted = [int(each["rows"]) for each in entries]
    if lengths.tolist() != wanted:
        raise FormatError(f"{where}: prompt_lengths: expected {wanted}, got {lengths.tolist()}")
    per_task = int(rows[0])
    if per_task != max(wanted):
        raise FormatError(f"{where}: prompt_vocab_size: expected {max(wanted)}, got {per_task}")
    stored = np.float16 if export.dtype == "float16" else np.float32
    expected = (len(entries) * per_task, dim)
    if table.table.dtype != stored or table.table.shape != expected:
        raise FormatError(
            f"{where}: prompt_embedding_table: expected {np.dtype(stored)} {list(expected)}, got "
            f"{table.table.dtype} {list(table.table.shape)}"
        )
    if not np.isfinite(table.table).all():
        raise FormatError(
            f"{where}: prompt_embedding_table: expected finite values, got NaN or inf"
        )
    for task, length in enumerate(wanted):
        if table.table[task * per_task + length : (task + 1) * per_task].any():
            raise FormatError(f"{where}: expected zeros behind the rows of voice {task}")
    return f"{len(entries)} voices of {per_task} rows or fewer, width {dim}"


def check_voices(export: Exported) -> str:
    """The rows of every voice are finite, as long as stated, and those of (checkpoint, voice)."""
    table, entries = export.table(), export.voice_entries()
    voices = read_stored_voices(export.folder / VOICES, [str(each["name"]) for each in entries])
    weights, dtype = read_prefix_weights(export.checkpoint), export.dtype
    conditioning = export.checkpoint.conditioning_hash()
    per_task = int(table.rows_per_task[0])
    worst = 0.0
    for task, (entry, voice) in enumerate(zip(entries, voices, strict=True)):
        hashed = voice_hash(conditioning, voice)
        if entry.get("hash") != hashed:
            raise FormatError(
                f"voice {voice.name}: hash of (checkpoint, voice, emotion): expected {hashed}, got "
                f"{show(entry.get('hash'))}"
            )
        expected = prefix_rows(weights, voice)
        begin = task * per_task
        found = table.table[begin : begin + int(entry["rows"])].astype(np.float32)
        if found.shape != expected.shape:
            raise FormatError(
                f"voice {voice.name}: expected {list(expected.shape)}, got {list(found.shape)}"
            )
        if not np.isfinite(found).all():
            raise FormatError(f"voice {voice.name}: expected finite rows, got NaN or infinity")
        largest = float(np.abs(expected).max())
        allowed = _PREFIX_TOLERANCE * largest + _ROUNDING[dtype] * np.abs(expected)
        difference = np.abs(found - expected)
        if (difference > allowed).any():
            row = int(np.argmax((difference - allowed).max(1)))
            raise FormatError(
                f"voice {voice.name}: row {row}: expected the checkpoint's within "
                f"{_PREFIX_TOLERANCE:g}, got a difference of {difference[row].max():.3g}"
            )
        worst = max(worst, float(difference.max()) / largest)
    return f"{len(voices)} voices, largest relative difference {worst:.2g}"


def _load_npy(path: Path) -> Any:
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path.name}: expected an array, got an error: {error}") from error


def _compare_fields(where: str, expected: Any, found: Any) -> None:
    """Compares two JSON values field by field; other fields than the expected may be there."""
    if isinstance(expected, dict):
        if not isinstance(found, dict):
            raise FormatError(f"{where}: expected an object, got {show(found)}")
        for name, value in expected.items():
            if name not in found:
                raise FormatError(f"{where}: {name}: expected {show(value)}, got nothing")
            _compare_fields(f"{where}: {name}", value, found[name])
    elif isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        for index, value in enumerate(expected):
            _compare_fields(f"{where}[{index}]", value, found[index])
    elif expected != found or isinstance(expected, bool) != isinstance(found, bool):
        raise FormatError(f"{where}: expected {show(expected)}, got {show(found)}")


def _compare_tensors(
    where: str, expected: Mapping[str, ExportTensor], found: Mapping[str, LazyTensor], dtype: str
) -> None:
    for name, tensor in expected.items():
        if name not in found:
            raise FormatError(f"{where}: {name}: expected {list(tensor.shape)}, got nothing")
        got = found[name]
        if got.shape != tensor.shape or got.dtype != dtype:
            raise FormatError(
                f"{where}: {name}: expected {dtype} {list(tensor.shape)}, got {got.dtype} "
                f"{list(got.shape)}"
            )
    others = sorted(set(found) - set(expected))
    if others:
        raise FormatError(f"{where}: {others[0]}: expected no such tensor, got one")


def _compare_values(
    where: str,
    name: str,
    expected: ExportTensor,
    found: Mapping[str, LazyTensor],
    dtype: str,
) -> None:
    _compare_tensors(where, {name: expected}, {n: t for n, t in found.items() if n == name}, dtype)
    wanted = cast(name, np.ascontiguousarray(expected.read()), "float32", dtype)
    got = found[name].read()
    wrong = np.flatnonzero((wanted.view(np.uint8) != got.view(np.uint8)).reshape(-1))
    if len(wrong):
        at = np.unravel_index(int(wrong[0]) // wanted.itemsize, wanted.shape)
        place = ", ".join(str(int(axis)) for axis in at)
        raise FormatError(f"{where}: {name}: [{place}] differs from the checkpoint")


def _compare_rows(what: str, expected: Any, found: Any) -> None:
    if expected.shape != found.shape:
        raise FormatError(f"{what}: expected {list(expected.shape)}, got {list(found.shape)}")
    wrong = np.flatnonzero((expected != found).any(1))
    if len(wrong):
        raise FormatError(f"{what}: row {int(wrong[0])} differs from the checkpoint")
