"""Unpacks weights of 4 bits: the layouts of AWQ, GPTQ and compressed-tensors.

A word is 32 bits, and lane i of it the bits 4*i to 4*i + 3. A weight is (code - zero point) *
scale, and a scale is shared by the inputs of a group. Codes and zero points differ by at most 15,
and a half scale has 11 significant bits: float32 holds the product exactly.

    layout          codes                    lanes along           zero points stored
    awq_gemm        [K, N/8]                 N, in the order ORDER as they are, like the codes
    awq_gemv        [N, K/8]                 K                     as they are, along groups, padded
    gptq, gptq_v2   [K/8, N]                 K                     along N; "gptq" stores one less
    pack            [N, K/8]                 K                     along N, or 8 for all
    int8            [N, K], a byte each                            none

K counts inputs and N outputs. The files of a layout are checked against their shapes before any
value is read.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ttsrt_rt.convert.casting import cast, check_finite
from ttsrt_rt.convert.lazy_tensor import Array, LazyTensor
from ttsrt_rt.errors import FormatError

__all__ = ["READERS", "Packed", "Reader", "Unpacked"]

LOGGER = logging.getLogger(__name__)

LANES = 8
ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # the output of lane i, among eight
OFFSET = 8
ROWS = 256  # outputs that are computed together
FLOATS = ("float16", "bfloat16", "float32")
WORDS = ("int32",)
GEMV_MULTIPLES = {32: 4, 64: 2}  # of the words of zero points; else 1

Parts = tuple[str, ...]


@dataclass(frozen=True)
class Packed:
    """A quantized layer.

    Attributes:
        name: of the layer.
        tensors: all tensors of the source.
        outputs, inputs: its sizes, N and K.
        group: inputs that share a scale; a divisor of `inputs`.
        symmetric: whether there are no stored zero points (only "pack").
        is_reordered: whether groups follow an order of the inputs, which must then be stored.
    """

    name: str
    tensors: Mapping[str, LazyTensor]
    outputs: int
    inputs: int
    group: int
    symmetric: bool
    is_reordered: bool = False

    @property
    def groups(self) -> int:
        """How many scales a row has."""
        return self.inputs // self.group

    def part(self, name: str, shape: tuple[int, ...], dtypes: Sequence[str]) -> LazyTensor:
        """Returns a part of the layer that must exist.

        Raises:
            FormatError: it is missing, or of another shape or dtype.
        """
        whole = f"{self.name}.{name}"
        if whole not in self.tensors:
            raise FormatError(f"{whole}: expected {list(shape)}, got nothing")
        tensor = self.tensors[whole]
        if tensor.shape != shape:
            raise FormatError(f"{whole}: expected {list(shape)}, got {list(tensor.shape)}")
        if tensor.dtype not in dtypes:
            raise FormatError(f"{whole}: expected {' or '.join(dtypes)}, got {tensor.dtype}")
        return tensor

    def has(self, name: str) -> bool:
        """Whether the layer has a part of this name."""
        return f"{self.name}.{name}" in self.tensors

    def order(self, name: str) -> LazyTensor | None:
        """Returns the groups of the inputs; None where they are side by side.

        Raises:
            FormatError: there are none though groups follow an order, or they are of another shape
                or dtype.
        """
        if not self.has(name) and not self.is_reordered:
            return None
        return self.part(name, (self.inputs,), WORDS)

    def multiple_of_lanes(self, size: int, what: str) -> int:
        """Returns the words that hold so many codes.

        Raises:
            FormatError: the last word is not full.
        """
        if size % LANES:
            raise FormatError(f"{self.name}: expected a multiple of {LANES} {what}, got {size}")
        return size // LANES


@dataclass(frozen=True)
class Unpacked:
    """What a layer becomes.

    Attributes:
        read: returns the weights, float32 [N, K].
        used: names of the parts that the source may have for it.
        grid: returns the scales, float16, and the zero points, uint8, of groups that are side by
            side, [N, groups] each; None where there are no such groups, or scales are not float16.
    """

    read: Callable[[], Array]
    used: Parts
    grid: Callable[[], tuple[Array, Array]] | None = None


Reader = Callable[[Packed], Unpacked]


def _ceil(size: int, part: int) -> int:
    return (size + part - 1) // part


def _lanes(tensor: LazyTensor) -> Array:
    """Returns the eight codes of each word, in a new last axis: uint8."""
    words = tensor.read().view(np.uint32)
    lanes = np.empty((*words.shape, LANES), np.uint8)
    for lane in range(LANES):
        lanes[..., lane] = (words >> np.uint32(4 * lane)) & np.uint32(15)
    return lanes


def _along_rows(tensor: LazyTensor) -> Array:
    """Codes packed along the last axis, in their order: [a, b/8] becomes [a, b]."""
    lanes = _lanes(tensor)
    return lanes.reshape(lanes.shape[0], -1)


def _along_columns(tensor: LazyTensor) -> Array:
    """Codes packed along the first axis, in their order: [a/8, b] becomes [a, b]."""
    lanes = _lanes(tensor)
    return np.ascontiguousarray(lanes.transpose(0, 2, 1)).reshape(-1, lanes.shape[1])


def _in_order(tensor: LazyTensor) -> Array:
    """Codes packed along the last axis in the order of AWQ: [a, b/8] becomes [a, b]."""
    lanes = _lanes(tensor)
    ordered = np.empty_like(lanes)
    ordered[..., list(ORDER)] = lanes
    return ordered.reshape(lanes.shape[0], -1)


def _floats(tensor: LazyTensor, columns: int | None = None) -> Array:
    """Values as float32, of the first columns only if their number is given."""
    values = tensor.read()[:, :columns]
    check_finite(tensor.name, values, tensor.dtype)
    return cast(tensor.name, values, tensor.dtype, "float32")


def _grid_of(scales: LazyTensor, values: Array, zeros: Array | int) -> tuple[Array, Array]:
    """Scales and zero points, each [N, groups]."""
    check_finite(scales.name, values, scales.dtype)
    zero_points = np.broadcast_to(np.asarray(zeros, np.uint8), values.shape)
    return np.ascontiguousarray(values), np.ascontiguousarray(zero_points)


def _is_exact(scales: LazyTensor) -> bool:
    """Whether scales are stored as float16, which is what an engine has."""
    return scales.dtype == "float16"


def _product(codes: Array, zeros: Array | int, scales: Array, index: Array) -> Array:
    """Returns the weights.

    Args:
        codes: [N, K].
        zeros: [N, groups], or one for all.
        scales: float32 [N, groups].
        index: the group of each input: [K].
    """
    weights = np.empty(codes.shape, np.float32)
    for begin in range(0, len(codes), ROWS):
        rows = slice(begin, begin + ROWS)
        zero = zeros if isinstance(zeros, int) else zeros[rows].astype(np.float32)[:, index]
        weights[rows] = (codes[rows].astype(np.float32) - zero) * scales[rows][:, index]
    return weights


def _even(layer: Packed) -> Array:
    """The group of each input where groups are side by side."""
    return np.arange(layer.inputs) // layer.group


def _awq_gemm(layer: Packed) -> Unpacked:
    words = layer.multiple_of_lanes(layer.outputs, "outputs")
    codes = layer.part("qweight", (layer.inputs, words), WORDS)
    zeros = layer.part("qzeros", (layer.groups, words), WORDS)
    scales = layer.part("scales", (layer.groups, layer.outputs), FLOATS)

    def read() -> Array:
        return _product(
            np.ascontiguousarray(_in_order(codes).T),
            _in_order(zeros).T,
            _floats(scales).T,
            _even(layer),
        )

    def grid() -> tuple[Array, Array]:
        return _grid_of(scales, scales.read().T, _in_order(zeros).T)

    return Unpacked(read, ("qweight", "qzeros", "scales"), grid if _is_exact(scales) else None)


def _awq_gemv(layer: Packed) -> Unpacked:
    multiple = GEMV_MULTIPLES.get(layer.group, 1)
    words = _ceil(_ceil(layer.groups, LANES), multiple) * multiple
    in_words = layer.multiple_of_lanes(layer.inputs, "inputs")
    codes = layer.part("qweight", (layer.outputs, in_words), WORDS)
    zeros = layer.part("qzeros", (layer.outputs, words), WORDS)
    scales = layer.part("scales", (layer.outputs, LANES * words), FLOATS)

    def read() -> Array:  # what is behind the last group is padding
        factors = _floats(scales, layer.groups)
        zero_points = _along_rows(zeros)[:, : layer.groups]
        return _product(_along_rows(codes), zero_points, factors, _even(layer))

    def grid() -> tuple[Array, Array]:
        zero_points = _along_rows(zeros)[:, : layer.groups]
        return _grid_of(scales, scales.read()[:, : layer.groups], zero_points)

    return Unpacked(read, ("qweight", "qzeros", "scales"), grid if _is_exact(scales) else None)


def _gptq(layer: Packed, stored_less: int) -> Unpacked:
    in_words = layer.multiple_of_lanes(layer.inputs, "inputs")
    out_words = layer.multiple_of_lanes(layer.outputs, "outputs")
    codes = layer.part("qweight", (in_words, layer.outputs), WORDS)
    zeros = layer.part("qzeros", (layer.groups, out_words), WORDS)
    scales = layer.part("scales", (layer.groups, layer.outputs), FLOATS)
    order = layer.order("g_idx")

    def zero_points() -> Array:
        stored = _along_rows(zeros)
        wrapped = int((stored == 15).sum()) if stored_less else 0
        if wrapped:
            LOGGER.warning(
                "%s.qzeros: %d stored values are 15, which stands for a zero point of 0",
                layer.name,
                wrapped,
            )
        points: Array = ((stored + np.uint8(stored_less)) & np.uint8(15)).T
        return points

    def read() -> Array:
        index = _even(layer) if order is None else _checked_index(layer, order)
        return _product(
            np.ascontiguousarray(_along_columns(codes).T), zero_points(), _floats(scales).T, index
        )

    def grid() -> tuple[Array, Array]:
        return _grid_of(scales, scales.read().T, zero_points())

    has_grid = _is_exact(scales) and _is_even(layer, order)
    return Unpacked(read, ("qweight", "qzeros", "scales", "g_idx"), grid if has_grid else None)


def _checked_index(layer: Packed, order: LazyTensor) -> Array:
    index = order.read()
    if index.min() < 0 or index.max() >= layer.groups:
        raise FormatError(
            f"{order.name}: expected groups 0..{layer.groups - 1}, got {index.min()} to "
            f"{index.max()}"
        )
    return index


def _is_even(layer: Packed, order: LazyTensor | None) -> bool:
    """Whether groups are side by side."""
    return order is None or bool((order.read() == _even(layer)).all())


def _gptq_v1(layer: Packed) -> Unpacked:
    return _gptq(layer, 1)


def _gptq_v2(layer: Packed) -> Unpacked:
    return _gptq(layer, 0)


def _pack(layer: Packed) -> Unpacked:
    in_words = _ceil(layer.inputs, LANES)
    codes = layer.part("weight_packed", (layer.outputs, in_words), WORDS)
    scales = layer.part("weight_scale", (layer.outputs, layer.groups), FLOATS)
    shape = layer.part("weight_shape", (2,), ("int64", "int32")).read().tolist()
    if shape != [layer.outputs, layer.inputs]:
        raise FormatError(
            f"{layer.name}.weight_shape: expected {[layer.outputs, layer.inputs]}, got {shape}"
        )
    out_words = _ceil(layer.outputs, LANES)
    zeros = (
        None
        if layer.symmetric
        else layer.part("weight_zero_point", (out_words, layer.groups), WORDS)
    )
    name = "weight_g_idx"
    order = layer.order(name)
    if order is not None and not layer.is_reordered and bool((order.read() == -1).all()):
        order = None  # of exporters that do not reorder inputs

    def read() -> Array:
        index = _even(layer) if order is None else _checked_index(layer, order)
        return _product(_along_rows(codes)[:, : layer.inputs], zero(), _floats(scales), index)

    def zero() -> Array | int:
        return OFFSET if zeros is None else _along_columns(zeros)[: layer.outputs]

    def grid() -> tuple[Array, Array]:
        return _grid_of(scales, scales.read(), zero())

    used = ("weight_packed", "weight_scale", "weight_shape", "weight_zero_point", name)
    has_grid = _is_exact(scales) and _is_even(layer, order)
    return Unpacked(read, used, grid if has_grid else None)


def _int8(layer: Packed) -> Unpacked:
    codes = layer.part("weight", (layer.outputs, layer.inputs), ("int8",))
    scales = layer.part("weight_scale", (layer.outputs, 1), FLOATS)

    def read() -> Array:
        return _product(codes.read(), 0, _floats(scales), _even(layer))

    return Unpacked(read, ("weight", "weight_scale"))


READERS: dict[str, Reader] = {
    "awq_gemm": _awq_gemm,
    "awq_gemv": _awq_gemv,
    "gptq": _gptq_v1,
    "gptq_v2": _gptq_v2,
    "pack": _pack,
    "int8": _int8,
}
