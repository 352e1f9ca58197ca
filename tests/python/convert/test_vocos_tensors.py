"""What becomes of a vocoder's tensors: the folded scale, kernels, buffers."""

from __future__ import annotations

import numpy as np

from ttsrt_rt.convert.vocos_model import VocosConfig, read_vocos_model
from ttsrt_rt.convert.vocos_tensors import is_unused, plan_vocoder
from ttsrt_rt.synth.f5_layout import SynthVocos, vocos_layout

SHAPES = vocos_layout(SynthVocos())
MODEL = read_vocos_model(SHAPES, VocosConfig())


def test_all_but_buffers_are_used() -> None:
    used = {name for plan in plan_vocoder(MODEL).values() for name, _ in plan.sources}
    assert {name for name in SHAPES if name not in used} == {
        name for name in SHAPES if is_unused(name)
    }
    assert set(plan_vocoder(MODEL, "vocoder.", "x.")) == {
        f"vocoder.{name}" for name in plan_vocoder(MODEL)
    }


def test_the_scale_is_folded_in() -> None:
    random = np.random.default_rng(1)
    gamma, matrix, bias = (
        random.normal(size=shape).astype(np.float32) for shape in ((32,), (32, 80), (32,))
    )
    plans = plan_vocoder(MODEL)
    weight, offset = plans["layers.0.ffn_out"], plans["layers.0.ffn_out_bias"]
    assert weight.computes and offset.computes and weight.make and offset.make
    np.testing.assert_array_equal(weight.make([gamma, matrix]), gamma[:, None] * matrix)
    np.testing.assert_array_equal(offset.make([gamma, bias]), gamma * bias)


def test_kernels_have_taps_first() -> None:
    stored = np.arange(32 * 7, dtype=np.float32).reshape(32, 1, 7)
    plan = plan_vocoder(MODEL)["layers.1.conv"]
    assert plan.make is not None
    np.testing.assert_array_equal(plan.make([stored]), stored[:, 0].T)
