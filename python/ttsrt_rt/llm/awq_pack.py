"""Packs a language model with weights of 4 bits as AutoAWQ's "gemm" layout has them, for a folder
of Hugging Face.

    X.qweight   int32 [K, N / 8]   word (k, c) holds the codes of outputs 8 c to 8 c + 7 of input k,
                                   lane i that of output 8 c + ORDER[i]
    X.qzeros    int32 [K / group, N / 8], the zero points, in the same order
    X.scales    float16 [K / group, N]
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.llm_unpack import LANES, ORDER
from ttsrt_rt.errors import FormatError
from ttsrt_rt.llm.awq_layer import Floats
from ttsrt_rt.llm.awq_search import round_to_grid

__all__ = ["pack_layer", "packed_config"]

Arrays = dict[str, npt.NDArray[Any]]
MOST_HALF = 65504.0


def pack_layer(weights: Mapping[str, Floats], linears: Collection[str], group: int) -> Arrays:
    """Returns the tensors of a block as a file has them: codes, zero points and scales of linear
    layers, and float16 for the rest.

    Args:
        weights: float32 by their names inside the block; of a linear layer, NAME.weight.
        linears: the names of the linear layers.
        group: inputs that share a scale.

    Raises:
        FormatError: a value is beyond the range of float16.
    """
    made: Arrays = {}
    for name, values in weights.items():
        linear = name.removesuffix(".weight")
        if name == linear or linear not in linears:
            made[name] = to_half(name, values)
            continue
        _, codes, zeros, scales = round_to_grid(values, group, half=True)
        made[f"{linear}.qweight"] = _words(codes.T)
        made[f"{linear}.qzeros"] = _words(zeros.T)
        made[f"{linear}.scales"] = to_half(f"{linear}.scales", scales.T)
    return made


def to_half(name: str, values: Floats) -> npt.NDArray[np.float16]:
    """Returns float16 values.

    Raises:
        FormatError: one is beyond its range.
    """
    if not np.abs(values).max(initial=0.0) <= MOST_HALF:
        raise FormatError(f"{name}: expected values that float16 holds, got larger ones")
    return np.ascontiguousarray(values, np.float16)


def packed_config(fields: Mapping[str, Any], group: int) -> dict[str, Any]:
    """Returns config.json of the quantized model.

    Args:
        fields: that of the source.
        group: inputs that share a scale.
    """
    quantization = {
        "quant_method": "awq",
        "version": "gemm",
        "bits": 4,
        "group_size": group,
        "zero_point": True,
        "modules_to_not_convert": None,
    }
    kept = {name: value for name, value in fields.items() if name not in ("dtype", "torch_dtype")}
    return {**kept, "torch_dtype": "float16", "quantization_config": quantization}


def _words(codes: Floats) -> npt.NDArray[np.int32]:
    """Eight codes of a row in one word: [a, b] becomes [a, b / 8]."""
    lanes = codes.astype(np.uint32).reshape(len(codes), -1, LANES)[..., list(ORDER)]
    shifts = np.arange(0, 4 * LANES, 4, dtype=np.uint32)
    words: npt.NDArray[np.int32] = np.bitwise_or.reduce(lanes << shifts, axis=-1).view(np.int32)
    return words
