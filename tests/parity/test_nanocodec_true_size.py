"""A codec of the published size with random weights, both directions, against NumPy.

The comparison with NumPy takes a minute, so it runs only with TTSRT_TRUE_SIZE=1 in the environment
(scripts/slow_checks).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE

from .nanocodec_engines import audio_of, pieces_of, random_checkpoint
from .nanocodec_reference import Reference

pytestmark = pytest.mark.skipif(
    os.environ.get("TTSRT_TRUE_SIZE") != "1", reason="takes a minute: TTSRT_TRUE_SIZE=1 runs it"
)

FRAMES = 6


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("nano"), "nano", 9)


def test_both_directions(checkpoint: Path, tmp_path: Path) -> None:
    reference, random = Reference(checkpoint), np.random.default_rng(1)
    counted = sum(value.size for value in reference.weights.values())
    assert counted == 31_564_085 + 31_004_288
    rt.build(checkpoint, tmp_path / "engine", max_batch_size=2)
    codes = random.integers(0, 2016, (FRAMES, 8))
    sound = random.normal(0, 0.15, FRAMES * 1024 - 300).astype(np.float32)
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        whole = audio_of(executor.generate(codes=codes))
        np.testing.assert_allclose(whole, reference.decode(codes), rtol=0, atol=1e-5)
        pieces = pieces_of(executor.stream(codes=codes, chunk_frames=2, initial_chunk_frames=1))
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
        heard = executor.generate(samples=sound).codes
    latents = reference.latents(sound)
    if reference.margin(latents) > 2e-4:
        np.testing.assert_array_equal(heard, reference.quantize(latents))
    else:
        assert (heard != reference.quantize(latents)).sum() <= 1


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_narrow_weights(dtype: str, checkpoint: Path, tmp_path: Path) -> None:
    """Sound is as near as the weights are."""
    codes = np.random.default_rng(2).integers(0, 2016, (FRAMES, 8))
    made = {}
    for name in ("float32", dtype):
        rt.build(checkpoint, tmp_path / name, dtype=name, max_batch_size=1)
        with rt.Executor(tmp_path / name, device=NATIVE) as executor:
            made[name] = audio_of(executor.generate(codes=codes))
    noise = np.sqrt(((made[dtype] - made["float32"]) ** 2).mean())
    assert noise <= (0.05 if dtype == "bfloat16" else 0.01) * made["float32"].std()
