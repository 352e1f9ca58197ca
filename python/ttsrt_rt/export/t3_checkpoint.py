"""Opens a checkpoint of the family "t3" as the exports need it: its fields, and tensors as float32.

Tensors are read one at a time, when they are asked for, and their shapes are checked then.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.convert.archive import open_weights
from ttsrt_rt.convert.checkpoint import WEIGHTS_NAME, read_config
from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.errors import FormatError
from ttsrt_rt.export.float_tensors import Floats, read_floats
from ttsrt_rt.quoting import show

__all__ = ["Conditioning", "Floats", "T3Checkpoint", "T3Fields", "open_t3"]

_MOST = 1 << 24
_VARIANTS = ("english", "multilingual", "turbo", "nano", "flash")
_STACK = ("layers", "dim", "ffn_dim", "heads", "kv_heads", "head_dim", "max_positions")


@dataclass(frozen=True)
class Conditioning:
    """How a voice becomes rows: `model.conditioning` of config.json.

    Attributes:
        speaker_dim: Numbers of a speaker embedding.
        queries: Rows that the perceiver makes; 0 for a model without one.
        heads: Heads of the perceiver.
        norm_epsilon: Of its layer norm.
        has_emotion: Whether the last row of a voice is its emotion.
        max_prompt: Most speech tokens of a voice.
    """

    speaker_dim: int
    queries: int
    heads: int
    norm_epsilon: float
    has_emotion: bool
    max_prompt: int


@dataclass(frozen=True)
class T3Fields:
    """The numbers of `model` in config.json that the exports read.

    `speech_vocab` is the number of rows of the head and `speech_rows` that of the speech table;
    `decoder` is the causal stack as it stands there.
    """

    variant: str
    text_vocab: int
    speech_vocab: int
    speech_rows: int
    frame_rate: float
    bos: int
    eos: int
    start_rows: int
    text_start: int | None
    text_stop: int | None
    text_positions: int
    speech_positions: int
    has_head_bias: bool
    conditioning: Conditioning
    decoder: Mapping[str, Any]

    @property
    def layers(self) -> int:
        """Decoder layers."""
        return int(self.decoder["layers"])

    @property
    def dim(self) -> int:
        """Width of every row."""
        return int(self.decoder["dim"])


class T3Checkpoint:
    """A checkpoint of the family "t3": its fields, and its tensors by name."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any], weights: Mapping[str, LazyTensor]
    ) -> None:
        """Reads the fields; `weights` are still unread."""
        self.folder = folder
        self.fields = _read_fields(Block(config.get("model"), "model"))
        self.defaults: Mapping[str, Any] = Block(config.get("defaults"), "defaults").values
        self._weights = weights

    def floats(self, name: str, *shape: int) -> Floats:
        """Reads a tensor as float32, exactly, and checks its shape.

        Raises:
            FormatError: It is missing, has another shape, or is not of floats.
        """
        return read_floats(self._weights, name, shape, f"{self.folder / WEIGHTS_NAME}")

    def conditioning_hash(self) -> str:
        """Returns a SHA-256 of all that a voice's rows depend on but the voice itself."""
        hashed = hashlib.sha256(json.dumps(_plain(self.fields.conditioning)).encode())
        names = [name for name in self._weights if name.startswith("conditioning.")]
        tables = ("speech_embedding", "speech_positions")
        for name in [*sorted(names), *(each for each in tables if each in self._weights)]:
            tensor = self._weights[name]
            hashed.update(f"{name} {tensor.dtype} {tensor.shape}".encode())
            hashed.update(np.ascontiguousarray(tensor.read()).reshape(-1).view(np.uint8).data)
        return hashed.hexdigest()


def open_t3(folder: str | os.PathLike[str]) -> T3Checkpoint:
    """Opens a checkpoint of the family "t3"; no tensor is read.

    Raises:
        FormatError: The folder is not such a checkpoint, or a field is missing or out of its
            limits.
        ConfigError: A file can't be read.
    """
    config = read_config(folder)
    if config.get("family") != "t3":
        raise FormatError(f"{folder}: family: expected 't3', got {show(config.get('family'))}")
    return T3Checkpoint(Path(folder), config, open_weights(Path(folder) / WEIGHTS_NAME))


def _read_fields(model: Block) -> T3Fields:
    speech_vocab = model.integer("speech_vocab", 2, _MOST)
    decoder = model.block("decoder")
    for name in _STACK:
        decoder.integer(name, 1, _MOST)
    return T3Fields(
        variant=model.word("variant", _VARIANTS),
        text_vocab=model.integer("text_vocab", 1, _MOST),
        speech_vocab=speech_vocab,
        speech_rows=model.integer("speech_rows", speech_vocab, _MOST, default=speech_vocab),
        frame_rate=model.number("frame_rate", 1e-3, 1e6),
        bos=model.integer("bos", 0, speech_vocab - 1),
        eos=model.integer("eos", 0, speech_vocab - 1),
        start_rows=model.integer("start_rows", 1, 2),
        text_start=_id(model, "text_start"),
        text_stop=_id(model, "text_stop"),
        text_positions=model.integer("text_positions", 0, _MOST),
        speech_positions=model.integer("speech_positions", 0, _MOST),
        has_head_bias=model.flag("head_bias"),
        conditioning=_read_conditioning(model.block("conditioning")),
        decoder=decoder.values,
    )


def _id(model: Block, name: str) -> int | None:
    """An id of the text; None where the text has no such frame, which may be written as -1."""
    value = model.integer(name, -1, _MOST, default=-1)
    return None if value < 0 else value


def _read_conditioning(block: Block) -> Conditioning:
    queries = block.integer("queries", 0, 4096, default=0)
    return Conditioning(
        speaker_dim=block.integer("speaker_dim", 1, 65536),
        queries=queries,
        heads=block.integer("heads", 1 if queries else 0, 4096, default=0 if not queries else 4),
        norm_epsilon=block.number("norm_epsilon", 0.0, 1.0, default=1e-5),
        has_emotion=block.flag("emotion", default=False),
        max_prompt=block.integer("max_prompt", 0, 65536),
    )


def _plain(conditioning: Conditioning) -> list[float]:
    return [
        conditioning.speaker_dim,
        conditioning.queries,
        conditioning.heads,
        conditioning.norm_epsilon,
        conditioning.has_emotion,
    ]
