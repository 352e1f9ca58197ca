"""Weights of 4 bits in every layout, packed here word by word from known codes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from ttsrt_rt.convert.llm_quantization import Quantization, dequantized
from ttsrt_rt.convert.llm_unpack import READERS, Packed
from ttsrt_rt.convert.safetensors_write import tensor_of_array
from ttsrt_rt.errors import FormatError

N, K = 24, 256
Arrays = dict[str, NDArray[Any]]


def packed(codes: NDArray[Any], order: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)) -> NDArray[Any]:
    """Packs the last axis: lane i of a word has the code order[i] of its eight."""
    words = np.zeros((*codes.shape[:-1], codes.shape[-1] // 8), np.uint32)
    for lane, place in enumerate(order):
        words |= codes[..., place::8].astype(np.uint32) << np.uint32(4 * lane)
    return words.view(np.int32)


class Layer:
    """Random codes, zero points and scales, and the weights that they stand for."""

    def __init__(self, group: int, index: NDArray[Any] | None = None) -> None:
        random = np.random.default_rng(group)
        self.groups = K // group
        self.codes = random.integers(0, 16, (N, K)).astype(np.uint8)
        self.zeros = random.integers(0, 16, (N, self.groups)).astype(np.uint8)
        self.scales = random.uniform(0.01, 1, (N, self.groups)).astype(np.float16)
        self.index = np.arange(K) // group if index is None else index
        self.weights = self.values(self.zeros)

    def values(self, zeros: NDArray[Any] | int) -> NDArray[Any]:
        zero = zeros if isinstance(zeros, int) else zeros.astype(np.float64)[:, self.index]
        product = (self.codes.astype(np.float64) - zero) * self.scales.astype(np.float64)[
            :, self.index
        ]
        return product.astype(np.float32)


def read(
    layout: str,
    parts: Arrays,
    group: int,
    *,
    symmetric: bool = False,
    is_reordered: bool = False,
) -> NDArray[Any]:
    tensors = {f"x.{name}": tensor_of_array(f"x.{name}", value) for name, value in parts.items()}
    made = READERS[layout](Packed("x", tensors, N, K, group, symmetric, is_reordered))
    weights = made.read()
    if made.grid is not None:
        check_grid(weights, *made.grid(), group)
    return weights


def check_grid(weights: Any, scales: Any, zeros: Any, group: int) -> None:
    """Each weight is a code less the zero point of its group, times its scale."""
    assert (scales.dtype, zeros.dtype, scales.shape) == (np.float16, np.uint8, zeros.shape)
    of_input = np.arange(weights.shape[1]) // group
    steps = weights / scales.astype(np.float32)[:, of_input]
    codes = steps + zeros[:, of_input]
    assert np.array_equal(codes, np.rint(codes))
    assert 0 <= codes.min() <= codes.max() <= 15


def awq_gemm(layer: Layer) -> Arrays:
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    return {
        "qweight": packed(layer.codes.T, order),
        "qzeros": packed(layer.zeros.T, order),
        "scales": np.ascontiguousarray(layer.scales.T),
    }


def awq_gemv(layer: Layer, words: int) -> Arrays:
    zeros = np.full((N, 8 * words), 7, np.uint8)
    scales = np.full((N, 8 * words), np.nan, np.float16)
    zeros[:, : layer.groups], scales[:, : layer.groups] = layer.zeros, layer.scales
    return {"qweight": packed(layer.codes), "qzeros": packed(zeros), "scales": scales}


def gptq(layer: Layer, stored_less: int) -> Arrays:
    stored = (layer.zeros.T.astype(np.int64) - stored_less) % 16
    return {
        "qweight": np.ascontiguousarray(packed(layer.codes).T),
        "qzeros": packed(stored),
        "scales": np.ascontiguousarray(layer.scales.T),
        "g_idx": layer.index.astype(np.int32),
    }


def compressed(layer: Layer) -> Arrays:
    return {
        "weight_packed": packed(layer.codes),
        "weight_scale": layer.scales,
        "weight_shape": np.array([N, K]),
        "weight_zero_point": np.ascontiguousarray(packed(layer.zeros.T).T),
    }


def test_eight_columns_make_the_word_of_awq() -> None:
    codes = np.arange(8, dtype=np.uint8)[None]
    assert packed(codes, (0, 2, 4, 6, 1, 3, 5, 7)).view(np.uint32)[0, 0] == 0x75316420


@pytest.mark.parametrize("group", [32, 64, 128, K])
def test_awq_gemm(group: int) -> None:
    layer = Layer(group)
    assert np.array_equal(read("awq_gemm", awq_gemm(layer), group), layer.weights)


@pytest.mark.parametrize(("group", "words"), [(32, 4), (64, 2), (128, 1), (K, 1)])
def test_awq_gemv_with_its_padding(group: int, words: int) -> None:
    layer = Layer(group)
    assert np.array_equal(read("awq_gemv", awq_gemv(layer, words), group), layer.weights)


@pytest.mark.parametrize(("layout", "stored_less"), [("gptq", 1), ("gptq_v2", 0)])
@pytest.mark.parametrize("is_ordered", [True, False])
def test_gptq(layout: str, stored_less: int, is_ordered: bool) -> None:
    even = np.arange(K) // 64
    index = even if is_ordered else np.random.default_rng(1).permutation(even)
    layer = Layer(64, index)
    assert np.array_equal(read(layout, gptq(layer, stored_less), 64), layer.weights)


def test_gptq_without_an_order_and_with_a_wrapped_zero(caplog: pytest.LogCaptureFixture) -> None:
    layer = Layer(128)
    parts = gptq(layer, 1)
    del parts["g_idx"]
    assert np.array_equal(read("gptq", parts, 128), layer.weights)
    assert (layer.zeros == 0).any() == ("stored values are 15" in caplog.text)


@pytest.mark.parametrize("symmetric", [False, True])
def test_compressed_tensors(symmetric: bool) -> None:
    layer = Layer(32)
    expected = layer.values(8) if symmetric else layer.weights
    assert np.array_equal(read("pack", compressed(layer), 32, symmetric=symmetric), expected)


def test_compressed_tensors_in_another_order() -> None:
    layer = Layer(32, np.random.default_rng(2).permutation(np.arange(K) // 32))
    parts = compressed(layer) | {"weight_g_idx": layer.index.astype(np.int32)}
    assert np.array_equal(read("pack", parts, 32), layer.weights)
    even = Layer(32)
    unset = compressed(even) | {"weight_g_idx": np.full(K, -1, np.int32)}
    assert np.array_equal(read("pack", unset, 32), even.weights)


def test_bytes() -> None:
    codes = np.random.default_rng(3).integers(-127, 128, (N, K)).astype(np.int8)
    scales = np.random.default_rng(4).uniform(0.01, 1, (N, 1)).astype(np.float16)
    made = read("int8", {"weight": codes, "weight_scale": scales}, K)
    assert np.array_equal(made, codes.astype(np.float32) * scales.astype(np.float32))


@pytest.mark.parametrize(
    ("layout", "parts", "message"),
    [
        ("awq_gemm", awq_gemv(Layer(64), 2), r"x\.qweight: expected \[256, 3\], got \[24, 32\]"),
        ("awq_gemv", awq_gemm(Layer(64)), r"x\.qweight: expected \[24, 32\], got \[256, 3\]"),
        ("gptq", awq_gemm(Layer(64)), r"x\.qweight: expected \[32, 24\]"),
        (
            "awq_gemm",
            {"qweight": awq_gemm(Layer(64))["qweight"]},
            r"x\.qzeros: expected .* nothing",
        ),
        (
            "awq_gemm",
            awq_gemm(Layer(64)) | {"scales": np.zeros((4, N), np.int32)},
            r"x\.scales: expected float16 or bfloat16 or float32, got int32",
        ),
        (
            "gptq",
            gptq(Layer(64), 1) | {"g_idx": np.full(K, 4, np.int32)},
            r"x\.g_idx: expected groups 0\.\.3, got 4 to 4",
        ),
        (
            "pack",
            compressed(Layer(64)) | {"weight_g_idx": np.r_[-1, np.zeros(K - 1)].astype(np.int32)},
            r"x\.weight_g_idx: expected groups 0\.\.3, got -1 to 0",
        ),
        (
            "pack",
            compressed(Layer(64)) | {"weight_shape": np.array([K, N])},
            r"x\.weight_shape: expected \[24, 256\], got \[256, 24\]",
        ),
    ],
)
def test_wrong_parts_are_named(layout: str, parts: Arrays, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        read(layout, parts, 64)


def whole(parts: Arrays) -> dict[str, Any]:
    return {name: tensor_of_array(name, value) for name, value in parts.items()}


def test_layers_become_floats_and_skipped_ones_stay() -> None:
    parts = {f"m.a.{name}": value for name, value in awq_gemm(Layer(64)).items()}
    parts |= {"m.b.weight": np.ones((N, K), np.float16), "m.a.bias": np.zeros(N, np.float16)}
    quantization = Quantization("awq", "awq_gemm", 64, skipped=("m.b",))
    linears = {"m.a": (N, K), "m.b": (N, K)}
    made, grids = dequantized(whole(parts), quantization, linears, lambda _: False)
    assert {name: grid.shape for name, grid in grids.items()} == {"m.a.weight": (N, K // 64)}
    assert set(made) == {"m.a.weight", "m.b.weight"}
    assert np.array_equal(made["m.a.weight"].read(), Layer(64).weights)
    assert {tensor.dtype for tensor in made.values()} == {"float32"}


def test_a_bias_of_a_layer_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    parts = {f"m.a.{name}": value for name, value in awq_gemm(Layer(64)).items()}
    parts["m.a.bias"] = np.ones(N, np.float16)
    quantization = Quantization("awq", "awq_gemm", 64)
    with pytest.raises(FormatError, match=r"m\.a\.bias: expected none or zeros"):
        dequantized(whole(parts), quantization, {"m.a": (N, K)}, lambda _: False)
    made, _ = dequantized(whole(parts), quantization, {"m.a": (N, K)}, lambda _: True)
    assert "m.a.bias" in made


def test_groups_that_do_not_divide_and_layers_that_are_not_there() -> None:
    quantization = Quantization("awq", "awq_gemm", 96)
    parts = {f"m.a.{name}": value for name, value in awq_gemm(Layer(64)).items()}
    with pytest.raises(FormatError, match="group_size: expected a divisor of 256 inputs, got 96"):
        dequantized(whole(parts), quantization, {"m.a": (N, K)}, lambda _: False)
    with pytest.raises(FormatError, match="expected layers packed by awq, got none"):
        dequantized({}, quantization, {"m.a": (N, K)}, lambda _: False)


@pytest.mark.parametrize(("layout", "part"), [("gptq", "g_idx"), ("pack", "weight_g_idx")])
def test_an_order_that_is_told_must_be_stored(layout: str, part: str) -> None:
    parts = gptq(Layer(64), 1) if layout == "gptq" else compressed(Layer(64))
    parts.pop(part, None)
    with pytest.raises(FormatError, match=rf"x\.{part}: expected \[256\], got nothing"):
        read(layout, parts, 64, is_reordered=True)
    if layout == "pack":
        parts[part] = np.full(K, -1, np.int32)
        with pytest.raises(FormatError, match=rf"x\.{part}: expected groups"):
            read(layout, parts, 64, is_reordered=True)
