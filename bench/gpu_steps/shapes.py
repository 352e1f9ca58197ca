"""The sizes of a decoder, and the bytes and operations that its steps and prompts need at least.

The floor of a step is the time to read everything that it needs once: the weights as the engine
stores them, and all keys and values. What several requests share counts once, and so do the layers
of the local transformer, which a step uses for every code: they stay in the card's cache. The floor
of a prompt is the larger of that and of its multiply-adds at the card's peak.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.inspection import TensorLine

__all__ = [
    "Floor",
    "LocalShape",
    "StackShape",
    "cache_bytes",
    "floor_ms",
    "shape_of",
    "weight_bytes",
]

_STEP = ("decoder.layers.", "decoder.norm_out", "final_proj", "head", "local_transformer.")
_NOT_STEP = ("cross_kv", "cross_memory_norm")  # multiplied with the text, before the first step
_CACHE_ITEM = 2  # bytes of a cached number: all engines are bfloat16's


@dataclass(frozen=True)
class LocalShape:
    """The local transformer.

    Attributes:
        layers: Blocks.
        dim: Width of a row.
        ffn_dim: Inner width of the feed-forward.
        heads: Of attention.
    """

    layers: int
    dim: int
    ffn_dim: int
    heads: int


@dataclass(frozen=True)
class StackShape:
    """A decoder.

    Attributes:
        layers: Blocks.
        dim: Width of a row.
        ffn_dim: Inner width of the feed-forward.
        heads: Of queries.
        kv_heads: Of keys and values.
        head_dim: Width of a head.
        tables: Codes of a step.
        vocab: Ids of one code.
        is_llama: RMS norms, rope and a gated feed-forward; otherwise scale-only norms and GELU.
        cross_heads: Of attention to the text; 0 for none.
        cross_dim: Width of such a head.
        local: The local transformer, where there is one.
    """

    layers: int
    dim: int
    ffn_dim: int
    heads: int
    kv_heads: int
    head_dim: int
    tables: int
    vocab: int
    is_llama: bool
    cross_heads: int = 0
    cross_dim: int = 0
    local: LocalShape | None = None

    @property
    def row_operations(self) -> int:
        """Multiply-adds of one row with the weights of all blocks, counted as 2 each."""
        attention = 2 * self.dim * self.head_dim * (self.heads + self.kv_heads)
        cross = 2 * self.dim * self.cross_heads * self.cross_dim
        matrices = 3 if self.is_llama else 2
        return 2 * self.layers * (attention + cross + matrices * self.dim * self.ffn_dim)


def shape_of(model: dict[str, Any]) -> StackShape:
    """The decoder of the field "model" of a checkpoint's or engine's description."""
    decoder = model["decoder"]
    if "text_encoder" not in model:
        vocab = model["speech_vocab"] if "speech_vocab" in model else model["vocab"]
        sizes = {name: decoder[name] for name in ("heads", "kv_heads", "head_dim")}
        sizes |= {name: decoder[name] for name in ("layers", "dim", "ffn_dim")}
        return StackShape(**sizes, tables=1, vocab=vocab, is_llama=True)
    told = model["local_transformer"]
    local = None
    if told is not None:
        local = LocalShape(told["layers"], told["dim"], told["ffn_dim"], told["heads"])
    heads = decoder["heads"]
    return StackShape(
        layers=decoder["layers"],
        dim=decoder["dim"],
        ffn_dim=decoder["ffn_dim"],
        heads=heads,
        kv_heads=heads,
        head_dim=decoder["dim"] // heads,
        tables=model["codebooks"] * model["frame_stacking"],
        vocab=model["codebook_vocab"],
        is_llama=False,
        cross_heads=decoder["cross_heads"],
        cross_dim=decoder["cross_head_dim"],
        local=local,
    )


def weight_bytes(tensors: Iterable[TensorLine]) -> int:
    """Bytes of the weights that a step reads, each once, as an engine stores them."""
    return sum(
        tensor.num_bytes
        for tensor in tensors
        if tensor.name.startswith(_STEP) and not any(part in tensor.name for part in _NOT_STEP)
    )


def cache_bytes(
    shape: StackShape,
    *,
    requests: int,
    is_guided: bool,
    position: int,
    context: int,
    text_len: int,
) -> int:
    """Bytes of different keys and values that a step of all requests reads.

    Args:
        shape: Of the decoder.
        requests: At once, each with a context of its own.
        is_guided: Whether each has an unconditional branch. That of a model with cross-attention
            has the same context in all requests.
        position: Positions that each branch holds.
        context: Of these, rows before the first step.
        text_len: Text tokens, which one branch of each request attends to.
    """
    row = 2 * shape.layers * shape.kv_heads * shape.head_dim * _CACHE_ITEM
    rows = requests * position
    if is_guided and shape.cross_heads > 0:
        rows += context + requests * (position - context)
    elif is_guided:
        rows += requests * position
    text = 2 * shape.layers * shape.cross_heads * shape.cross_dim * _CACHE_ITEM
    return row * rows + text * text_len * requests


@dataclass(frozen=True)
class Floor:
    """What has to be read and multiplied at least.

    Attributes:
        read_bytes: From memory, once.
        operations: Of products; 0 where reading takes longer in any case.
    """

    read_bytes: int
    operations: int = 0


def floor_ms(floor: Floor, read_gb_per_s: float, tflop_per_s: float) -> float:
    """Milliseconds at the card's measured rates."""
    reading = 1e-6 * floor.read_bytes / read_gb_per_s
    if floor.operations == 0:
        return reading
    return max(reading, 1e-9 * floor.operations / tflop_per_s)
