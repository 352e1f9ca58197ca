"""The prior of block diffusion depends on the weights alone, whatever type they are stored in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.t3_model import Shapes, T3Options, read_model
from ttsrt_rt.convert.t3_prior import block_prior
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth import write_random_t3


def test_probabilities_of_every_code(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny_flash", 3)
    with open_weights(source) as tensors:
        model = read_model(
            Shapes({name: tensor.shape for name, tensor in tensors.items()}), T3Options()
        )
        prior = block_prior(tensors, model)
        assert prior.dtype == np.float32 and prior.shape == (8194,)
        assert prior.min() > 0.0 and prior.sum() == pytest.approx(1.0, abs=1e-5)
        # A longer block has the shorter one in front of it: it is causal.
        one, two = (block_prior(tensors, replace(model, block_size=size)) for size in (1, 2))
        three = block_prior(tensors, replace(model, block_size=3))
        assert np.abs(one - two).max() > 1e-4
        last = 3 * three - 2 * two
        assert last.min() > -1e-6 and last.sum() == pytest.approx(1.0, abs=1e-4)


def test_other_variants_have_none(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny", 3)
    with open_weights(source) as tensors:
        model = read_model(
            Shapes({name: tensor.shape for name, tensor in tensors.items()}), T3Options()
        )
        with pytest.raises(ConfigError, match="english: expected one that decides blocks"):
            block_prior(tensors, model)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_conversion_writes_it_from_the_source(dtype: str | None, tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny_flash", 3)
    made = convert(source, tmp_path / "checkpoint", dtype=dtype, progress=False)
    with open_weights(source) as tensors, open_weights(made / "model.safetensors") as ours:
        model = read_model(
            Shapes({name: tensor.shape for name, tensor in tensors.items()}), T3Options()
        )
        assert ours["block_prior"].dtype == "float32"
        np.testing.assert_array_equal(ours["block_prior"].read(), block_prior(tensors, model))
