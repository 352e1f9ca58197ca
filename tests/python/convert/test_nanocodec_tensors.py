"""What becomes of a codec's tensors: folded weight norm, old names, and what is left out."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from ttsrt_rt.convert.nanocodec_model import read_codec_model
from ttsrt_rt.convert.nanocodec_tensors import (
    fold_weight_norm,
    is_unused,
    plan_codec,
    rename_norms,
)
from ttsrt_rt.convert.yaml_config import Config
from ttsrt_rt.errors import FormatError
from ttsrt_rt.synth.nanocodec_layout import SynthCodec, codec_config, codec_layout, codec_size


def plans_of(size: SynthCodec, *, has_encoder: bool = True):  # type: ignore[no-untyped-def]
    config = Config.parse(yaml.safe_dump(codec_config(size)), "codec")
    return plan_codec(read_codec_model(config, [], has_encoder=has_encoder))


@pytest.mark.parametrize("size", ["tiny", "nano"])
def test_every_tensor_is_used_or_known(size: str) -> None:
    shapes = codec_layout(codec_size(size))
    plans = plans_of(codec_size(size))
    used = {name: shape for plan in plans.values() for name, shape in plan.sources}
    assert all(shapes[name] == shape for name, shape in used.items())
    others = [name for name in shapes if name not in used]
    assert all(is_unused(name, has_encoder=True) for name in others)
    assert all(name.startswith("vector_quantizer.fsqs.") for name in others)


def test_the_published_decoder_has_its_numbers_of_tensors() -> None:
    decoder = [
        name for name in codec_layout(codec_size("nano")) if name.startswith("audio_decoder")
    ]
    assert len(decoder) == 387
    assert sum(name.endswith(".bias") for name in decoder) == 97
    assert sum(name.endswith(".alpha") for name in decoder) == 96


def test_shapes_are_those_of_the_format() -> None:
    plans = plans_of(codec_size("nano"))
    shapes = {name: plan.shape for name, plan in plans.items()}
    assert shapes["decoder.pre"] == (864, 32, 7)
    assert shapes["decoder.stages.0.alpha"] == (432,)
    assert shapes["decoder.stages.0.up"] == (864, 16)
    assert shapes["decoder.stages.0.up_bias"] == (432,)
    assert shapes["decoder.stages.4.chains.2.blocks.1.in"] == (27, 27, 11)
    assert shapes["decoder.stages.4.chains.2.blocks.1.out_alpha"] == (13,)
    assert shapes["decoder.post"] == (1, 27, 3)
    assert shapes["encoder.pre"] == (24, 1, 7)
    assert shapes["encoder.stages.4.down"] == (768, 384, 16)
    assert shapes["encoder.post"] == (32, 768, 7)


def test_weight_norm_is_folded_along_the_first_axis() -> None:
    random = np.random.default_rng(1)
    for shape in ((6, 4, 3), (8, 1, 4)):
        direction = random.normal(size=shape).astype(np.float32)
        gain = random.normal(size=(shape[0], 1, 1)).astype(np.float32)
        made = fold_weight_norm(gain, direction, "x")
        for index in range(shape[0]):
            length = np.linalg.norm(direction[index].astype(np.float64))
            expected = gain[index, 0, 0] * direction[index] / length
            np.testing.assert_allclose(made[index], expected, rtol=1e-6)
    with pytest.raises(FormatError, match="x: expected directions, got zeros at 0"):
        fold_weight_norm(gain, np.zeros_like(direction), "x")


def test_old_names_of_weight_norm() -> None:
    new = "a.conv.parametrizations.weight.original"
    assert rename_norms({"a.conv.weight_g": 1, "a.conv.weight_v": 2, "a.bias": 3}) == {
        f"{new}0": 1,
        f"{new}1": 2,
        "a.bias": 3,
    }
    with pytest.raises(FormatError, match="under an old and a new name"):
        rename_norms({"a.conv.weight_g": 1, f"{new}0": 1})


def test_what_training_leaves_is_skipped() -> None:
    for name in ("discriminator.discriminators.0.x", "mel_loss_fn.y", "slm_predictor.z"):
        assert is_unused(name, has_encoder=True)
    assert is_unused("audio_decoder.pre_conv.padding_total", has_encoder=True)
    assert is_unused("audio_encoder.pre_conv.conv.bias", has_encoder=False)
    for name in ("audio_decoder.pre_conv.conv.bias", "audio_encoder.pre_conv.conv.bias", "other.x"):
        assert not is_unused(name, has_encoder=True)
