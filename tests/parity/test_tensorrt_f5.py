"""Evaluations of F5's flow as networks of TensorRT, against the original's golden run and the CUDA
backend on one GPU; what stands before and behind them runs as on device cuda.

As test_tensorrt.py, they need a GPU, TensorRT, and a build with its headers. `pytest -rP` prints
the distances. The golden network is read from the folder that TTSRT_GOLDEN names.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt

from .f5_networks import Array, distance, inputs
from .tensorrt_plans import NEEDS_TENSORRT, plan
from .test_f5_golden import GOLDEN, NEEDS_GOLDEN, golden_request

pytestmark = NEEDS_TENSORRT
DEVICES = ("cuda:0", "tensorrt:0")
# Of the largest value of a spectrogram. The same products are summed in another order.
TOLERANCES = {"float32": 1e-3, "float16": 3e-2}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, config = GOLDEN / "model_1250000.safetensors", GOLDEN / "config.json"
    folder = tmp_path_factory.mktemp("golden") / "checkpoint"
    return rt.convert(source, folder, variant="v1", config=config, progress=False)


def spectrogram_of(result: rt.Result) -> Array:
    assert result.finish_reason == "stop"
    assert result.spectrogram is not None and np.isfinite(result.spectrogram).all()
    return result.spectrogram


def furthest(results: list[rt.Result], expected: list[rt.Result]) -> float:
    """The largest difference, of the largest value, of all spectrograms."""
    pairs = zip(results, expected, strict=True)
    return max(distance(spectrogram_of(each), spectrogram_of(other)) for each, other in pairs)


@NEEDS_GOLDEN
@pytest.mark.parametrize("dtype", list(TOLERANCES))
def test_the_golden_run_is_the_originals(dtype: str, checkpoint: Path, tmp_path: Path) -> None:
    """8 guided steps of a miniature, from the original's own noise."""
    golden = np.load(GOLDEN / "sample_s8.npz")
    engine = tmp_path / "engine"
    rt.build(checkpoint, engine, max_seq_len=64, max_num_tokens=256, dtype=dtype, progress=False)
    plan(engine)
    made = []
    for device in DEVICES:
        with rt.Executor(engine, device=device) as executor:
            made.append(executor.generate(golden_request(golden)))
    native = furthest([made[1]], [made[0]])
    error = distance(spectrogram_of(made[1]), golden["mel"][0])
    print(f"golden F5 {dtype}: {error:.2g} from the original, {native:.2g} from the CUDA backend")
    assert error <= TOLERANCES[dtype]
    assert native <= TOLERANCES[dtype]


def requests_of() -> list[rt.Request]:
    """Guided and unguided ones of different lengths and steps."""
    return [
        rt.Request(
            text_ids=inputs(words=words, seed=words)["text_ids"],
            context_embeddings=inputs(seed=words)["context_embeddings"],
            seed=words,
            return_audio=False,
            return_spectrogram=True,
            flow=rt.Flow(steps=steps, cfg_strength=strength, duration=frames, method=method),
        )
        for words, steps, strength, frames, method in (
            (3, 4, 2.0, 33, "euler"),
            (19, 7, 0.0, 128, "euler"),
            (40, 3, 1.0, 77, "midpoint"),
            (5, 6, 3.0, 64, "euler"),
        )
    ]


@pytest.mark.parametrize(
    ("name", "dtype"), [("v1", "float32"), ("v1", "float16"), ("v0", "float32")]
)
def test_a_crowd_is_near_the_cuda_backend(
    name: str, dtype: str, engine_of_f5: Callable[..., Path]
) -> None:
    """Attention with a rope of one head (v0) and of all (v1)."""
    engine = plan(engine_of_f5(name, dtype=dtype))
    requests = requests_of()
    results = []
    for device in DEVICES:
        with rt.Executor(engine, device=device) as executor:
            alone = [executor.generate(each) for each in requests]
            results.append(alone + executor.generate(requests))
    error = furthest(results[1], results[0])
    count = len(requests)
    company = furthest(results[1][count:], results[1][:count])
    print(f"F5 {name} {dtype}: {error:.2g} from the CUDA backend, {company:.2g} in company")
    assert error <= TOLERANCES[dtype]
    assert company <= TOLERANCES[dtype]


def test_bfloat16_is_refused_by_name(engine_of_f5: Callable[..., Path]) -> None:
    engine = engine_of_f5("v1", dtype="bfloat16")
    with pytest.raises(rt.ConfigError, match="expected float32 or float16, got bfloat16"):
        plan(engine)
