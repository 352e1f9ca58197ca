"""The bytes that a step has to read, and the time that reading takes on this machine: the limit t.

t is (weights, keys and values, which a step reads once) / memory bandwidth + (the layers of the
local transformer, read once for every code that they pick) / bandwidth of the level that holds
them: the shared cache if they fit into it, otherwise memory. Weights count as the engine stores
them, with their scales. Rows of tables and activations are less than 0.1 % and not counted. Both
bandwidths are measured, that of the cache with as many bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttsrt_rt.bench.ops import read_bandwidth
from ttsrt_rt.inspection import TensorLine, inspect_folder

__all__ = [
    "Bandwidth",
    "StepBytes",
    "context_products",
    "decoder_products",
    "measure_bandwidth",
    "parse_cache_size",
    "shared_cache_bytes",
    "step_bytes",
    "text_products",
]

# Bytes of a cached element, and of the scale of each position and head of keys and of values.
_CACHE_ELEMENTS = {"float32": (4, 0), "bfloat16": (2, 0), "float16": (2, 0), "int8": (1, 4)}
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_UNKNOWN_CACHE = 32 << 20  # if the system does not report a size
_ONCE = ("decoder.layers.", "decoder.norm_out", "final_proj", "local_transformer.heads")
_AGAIN = ("local_transformer.layers.", "local_transformer.in_proj")
_BEFORE = ("cross_kv", "cross_memory_norm")  # multiplied with the text, before the first step


@dataclass(frozen=True)
class StepBytes:
    """The bytes that one step of one guided request reads.

    Attributes:
        once: Weights that are read once, keys and values.
        again: The layers of the local transformer; 0 if there is none.
        passes: How often a step reads those: once per code.
    """

    once: int
    again: int
    passes: int


@dataclass(frozen=True)
class Bandwidth:
    """GB/s of plain reading.

    Attributes:
        memory: Beyond all caches.
        again: Of as many bytes as a step reads again, from the level that holds them.
    """

    memory: float
    again: float

    def limit_ms(self, step: StepBytes) -> float:
        """t: milliseconds that reading alone takes."""
        return 1e-6 * (step.once / self.memory + step.again * step.passes / self.again)


def parse_cache_size(text: str) -> int:
    """The bytes of "48K", "32M" or "1024", which is how the system writes them."""
    text = text.strip()
    unit = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}.get(text[-1:], 1)
    return int(text.rstrip("KMG")) * unit


def shared_cache_bytes() -> int:
    """The largest cache of the first core; 32 MiB if the system does not report it."""
    sizes = [parse_cache_size(path.read_text("ascii")) for path in _CACHES.glob("index*/size")]
    return max(sizes, default=_UNKNOWN_CACHE)


def measure_bandwidth(again: int = 0, seconds: float = 0.2) -> Bandwidth:
    """Measures memory, and reading `again` bytes repeatedly if the shared cache holds them."""
    memory = read_bandwidth(seconds=seconds)
    is_cached = 0 < again <= shared_cache_bytes()
    return Bandwidth(memory, read_bandwidth(again, seconds=seconds) if is_cached else memory)


def step_bytes(engine: Path, *, context_rows: int, steps: int, text_len: int) -> StepBytes:
    """The bytes of a guided request's step, as the mean over its steps after the first.

    Args:
        engine: An engine folder.
        context_rows: Decoder positions before the first frame.
        steps: Steps of the request.
        text_len: Text tokens.
    """
    contents = inspect_folder(engine)
    model: dict[str, Any] = contents.description["model"]
    positions = context_rows + 1 + steps / 2  # step s of 0 to steps - 1 reads context + s + 1
    local = model["local_transformer"]
    return StepBytes(
        once=_sum(contents.tensors, _ONCE)
        + _state_bytes(model["decoder"], contents.description["dtype"], positions, text_len),
        again=0 if local is None else _sum(contents.tensors, _AGAIN),
        passes=0 if local is None else model["codebooks"] * model["frame_stacking"],
    )


def decoder_products(engine: Path) -> Counter[tuple[int, int]]:
    """The number of products of each (outputs, inputs) in a decoder step.

    Those of the local transformer are not counted.
    """
    return _products(engine, "decoder", ("decoder.layers.", "final_proj"), skipped=_BEFORE)


def text_products(engine: Path) -> Counter[tuple[int, int]]:
    """Products of every row of a text: those of its encoder, and the decoder's keys and values.

    A convolution over time is one product over all its taps.
    """
    encoder = _products(engine, "text_encoder", ("text_encoder.layers.",))
    decoder = _products(engine, "decoder", ("decoder.layers.",))
    return encoder + (decoder - context_products(engine))


def context_products(engine: Path) -> Counter[tuple[int, int]]:
    """Products of every row of a context."""
    return _products(engine, "decoder", ("decoder.layers.",), skipped=_BEFORE)


def _products(
    engine: Path, component: str, kept: tuple[str, ...], skipped: tuple[str, ...] = ()
) -> Counter[tuple[int, int]]:
    folder = json.loads((engine / "engine.json").read_text("utf-8"))
    tensors: dict[str, dict[str, Any]] = folder["components"][component]["tensors"]
    return Counter(
        (told["rows"], told["cols"])
        for name, told in tensors.items()
        if told["layout"] != "dense"
        and name.startswith(kept)
        and not any(part in name for part in skipped)
    )


def _sum(tensors: Iterable[TensorLine], kept: tuple[str, ...]) -> int:
    return sum(
        tensor.num_bytes
        for tensor in tensors
        if tensor.name.startswith(kept) and not any(part in tensor.name for part in _BEFORE)
    )


def _state_bytes(decoder: dict[str, Any], dtype: str, positions: float, text_len: int) -> int:
    """Keys and values of self-attention in two branches, and of the text, read by one branch."""
    element, scale = _CACHE_ELEMENTS[dtype]
    heads = int(decoder["heads"])
    own: int = 2 * decoder["layers"] * heads * (decoder["dim"] // heads * element + scale)
    inner = decoder["cross_head_dim"] * element + scale
    text = 2 * len(decoder["text_layers"]) * decoder["cross_heads"] * inner
    return round(2 * own * positions) + int(text * text_len)
