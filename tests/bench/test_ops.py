"""Benchmarks of single operations, natively measured; each result is checked before it is timed.

The real run, at the models' shapes: `python -m pytest tests/bench --benchmark-only`. Otherwise
tiny shapes run once. No time is asserted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ttsrt_rt.bench.ops import (
    Figures,
    OpBench,
    Peaks,
    families,
    measure_peaks,
    read_bandwidth,
    table,
)
from ttsrt_rt.errors import ConfigError

WEIGHTS = ["float32", "bfloat16", "w8a16", "w4a16", "w8a8", "w4a8"]
CACHES = ["float32", "bfloat16", "int8"]
FEW = [1, 2, 8, 16]  # rows of decode: two a guided request
MANY = [64, 512]  # rows of encoders and prefill
SHAPES = [(2304, 768), (768, 768), (3072, 768), (768, 3072)]  # N, K of qkv, out, ffn
ROUNDS = 7
# An input may be rounded differently than the reference's.
TOLERANCES = {"float32": 2e-5, "bfloat16": 1e-2}
TOLERANCES |= dict.fromkeys(("w8a16", "w4a16", "w8a8", "w4a8"), 1e-2)
TINY = {
    "outputs": 48,
    "inputs": 40,
    "heads": 4,
    "head_dim": 20,
    "length": 40,
    "codebooks": 3,
    "vocab": 50,
    "layers": 1,
    "resident": True,
}

Time = Callable[..., Figures]


@pytest.fixture
def time_op(
    benchmark: Any, is_real: bool, peaks: Peaks, record: Callable[[str, Figures], None]
) -> Time:
    """Checks one op, times it, and records its figures."""

    def time(family: str, **options: Any) -> Figures:
        kind = options.get("dtype", "float32")
        if kind.startswith("w"):
            options = {**options, "dtype": "bfloat16", "quantization": kind}
        name = " ".join([family, *(f"{key}={value}" for key, value in options.items())])
        bench = OpBench(family, **(options if is_real else {**options, **TINY}))
        assert bench.check() <= TOLERANCES[kind]
        once = bench.run(1)  # warms up, too
        iterations = max(1, min(1000, int(0.05 / once))) if is_real else 1
        times: list[float] = []

        def run() -> None:
            times.append(bench.seconds_per_op(iterations))

        benchmark.group = family
        if is_real:
            benchmark.pedantic(run, rounds=ROUNDS)
        else:
            benchmark.disabled = True
            benchmark(run)
        figures = bench.figures(min(times), peaks)  # the best time, as for the peaks
        benchmark.extra_info.update(
            ops_per_round=iterations * bench.num_ops, options=options, **vars(figures)
        )
        assert figures.seconds > 0
        if is_real:
            record(name, figures)
        return figures

    return time


@pytest.mark.parametrize("rows", FEW)
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
@pytest.mark.parametrize("dtype", WEIGHTS)
def test_linear_few_rows(time_op: Time, dtype: str, outputs: int, inputs: int, rows: int) -> None:
    time_op("linear", rows=rows, outputs=outputs, inputs=inputs, dtype=dtype)


@pytest.mark.parametrize("rows", MANY)
@pytest.mark.parametrize(("outputs", "inputs"), SHAPES)
@pytest.mark.parametrize("dtype", WEIGHTS)
def test_linear_many_rows(time_op: Time, dtype: str, outputs: int, inputs: int, rows: int) -> None:
    time_op("linear", rows=rows, outputs=outputs, inputs=inputs, dtype=dtype)


@pytest.mark.parametrize("rows", [*FEW, *MANY])
@pytest.mark.parametrize("dtype", WEIGHTS)
def test_linear_behind_a_norm(time_op: Time, dtype: str, rows: int) -> None:
    time_op("norm_linear", rows=rows, outputs=2304, inputs=768, dtype=dtype)


@pytest.mark.parametrize(("rows", "width"), [(8, 432), (64, 216), (1024, 27)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_time_conv(time_op: Time, dtype: str, rows: int, width: int) -> None:
    time_op("time_conv", rows=rows, outputs=width, inputs=width, dtype=dtype)


@pytest.mark.parametrize("rows", [2, 16, 512])
def test_layer_norm(time_op: Time, rows: int) -> None:
    time_op("layer_norm", rows=rows, inputs=768)


@pytest.mark.parametrize("rows", [2, 16, 128])
@pytest.mark.parametrize("dtype", WEIGHTS[:2])
def test_embed_rows(time_op: Time, dtype: str, rows: int) -> None:
    time_op("embed_rows", rows=rows, outputs=768, codebooks=16, vocab=2024, dtype=dtype)


@pytest.mark.parametrize("length", [128, 512])
@pytest.mark.parametrize("rows", [2, 16, 64])
@pytest.mark.parametrize("cache", CACHES)
def test_self_attention(time_op: Time, cache: str, rows: int, length: int) -> None:
    time_op("self_attention", rows=rows, heads=12, head_dim=64, length=length, cache_dtype=cache)


@pytest.mark.parametrize("rows", [1, 8, 32])
@pytest.mark.parametrize("cache", CACHES)
def test_cross_attention_with_prior(time_op: Time, cache: str, rows: int) -> None:
    time_op("cross_attention", rows=rows, heads=1, head_dim=128, length=256, cache_dtype=cache)


@pytest.mark.parametrize("rows", [1, 8])
def test_sample_codes(time_op: Time, rows: int) -> None:
    time_op("sample_codes", rows=rows, codebooks=8, vocab=2024)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.parametrize("dtype", WEIGHTS)
def test_pick_codes(time_op: Time, dtype: str, rows: int) -> None:
    time_op(
        "pick_codes",
        rows=rows,
        inputs=768,
        outputs=768,
        heads=12,
        layers=2,
        codebooks=16,
        vocab=2024,
        dtype=dtype,
    )


def test_every_family_has_a_test() -> None:
    timed = {
        *("linear", "norm_linear", "layer_norm", "embed_rows", "self_attention"),
        *("time_conv", "cross_attention", "sample_codes", "pick_codes"),
    }
    assert set(families()) == timed


def test_an_op_that_cannot_run_is_refused() -> None:
    for bad in ({"rows": 0}, {"dtype": "int3"}, {"quantization": "w3"}, {"colour": 3}):
        with pytest.raises(ConfigError, match=next(iter(bad))):
            OpBench("linear", **bad)
    with pytest.raises(ConfigError, match="layer_norm"):
        OpBench("softmax")
    with pytest.raises(ConfigError, match="reference"):
        measure_peaks(device="reference")
    with pytest.raises(ConfigError, match="reference"):
        read_bandwidth(device="reference")
    with pytest.raises(ConfigError, match="bytes"):
        read_bandwidth(1)
    with pytest.raises(ConfigError, match="iterations"):
        OpBench("layer_norm", resident=True).run(0)


def test_figures_use_the_limit_that_takes_longer() -> None:
    peaks = Peaks("any", 1, 10.0, 60.0, 100.0, 200.0, 400.0)
    options = {"rows": 1, "outputs": 64, "inputs": 32}
    resident = OpBench("linear", resident=True, **options)
    reading = resident.bytes / 10e9
    found = resident.figures(2 * reading, peaks)
    assert found.bound == "compute"
    assert found.gb_per_s == pytest.approx(5.0)
    assert found.share == pytest.approx(resident.operations / 100e9 / (2 * reading))
    found = OpBench("linear", **options).figures(2 * reading, peaks)
    assert (found.bound, found.share) == ("memory", pytest.approx(0.5))
    narrow = OpBench("linear", resident=True, dtype="bfloat16", **options)
    assert narrow.figures(1e-6, peaks).share == pytest.approx(narrow.operations / 200e9 / 1e-6)


def test_the_table_has_a_line_for_each() -> None:
    figures = Figures(1.5e-6, 10.0, 20.0, "memory", 0.5)
    lines = table([("linear", figures), ("embed_rows", figures)])
    assert lines[2] == "| linear | 1.5 | 10.0 | 20.0 | memory | 50 % |"
    assert len(lines) == 4
