"""Converted codecs, computed in NumPy, against runs of the original: the golden one stage by stage,
and both directions of random codecs (originals/codec.py).

Needs no engine, so a failure here is the converter's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert
from ttsrt_rt.synth import write_random_codec

from .nanocodec_cases import CASES, DATA, SEED, codes_of, sound_of
from .nanocodec_reference import Reference

STORED = np.load(DATA / "codec_cases.npz")
GOLDEN = np.load(DATA / "tinycodec.npz")
STAGES = ("latent", "pre_conv", "act0", "up0", "res0", "act1", "up1", "res1")


@pytest.fixture(scope="module")
def golden(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    folder = tmp_path_factory.mktemp("golden")
    return Reference(convert(DATA / "tinycodec.ckpt", folder / "ckpt", progress=False))


@pytest.mark.parametrize("item", [0, 1])
def test_every_stage_of_the_golden_run(item: int, golden: Reference) -> None:
    frames = int(GOLDEN["lens"][item])
    audio = golden.decode(GOLDEN["codes"][item, :, :frames].T)
    assert len(audio) == GOLDEN["audio_len"][item] == 8 * frames
    np.testing.assert_allclose(audio, GOLDEN["audio"][item, : len(audio)], rtol=0, atol=1e-6)
    assert set(golden.stages) == set(STAGES)
    for name, values in golden.stages.items():
        stored = GOLDEN[name][item].T[: len(values)]
        np.testing.assert_allclose(values[: len(stored)], stored, rtol=0, atol=1e-6)


def test_values_of_all_codes(golden: Reference) -> None:
    codes = np.arange(36)[:, None].repeat(4, 1)
    values = golden.dequantize(codes).reshape(36, 4, 3)
    for group in range(4):
        np.testing.assert_array_equal(values[:, group].astype(np.float32), GOLDEN["fsq_table"])


@pytest.mark.parametrize("name", CASES)
def test_both_directions_of_random_codecs(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    source = write_random_codec(tmp_path / "codec.nemo", case.size, SEED)
    reference = Reference(convert(source, tmp_path / "ckpt", progress=False))
    latents = reference.latents(sound_of(case))
    np.testing.assert_allclose(latents, STORED[f"{name}.latents"], rtol=0, atol=2e-6)
    codes = reference.quantize(latents)
    np.testing.assert_array_equal(codes, STORED[f"{name}.codes"])
    for given, stored in ((codes, "audio"), (codes_of(case), "decoded")):
        audio = STORED[f"{name}.{stored}"]
        np.testing.assert_allclose(reference.decode(given), audio, rtol=0, atol=1e-6)


@pytest.mark.parametrize("size", ["tiny", "tiny_magpie"])
def test_random_codecs_sound_and_hear(size: str, tmp_path: Path) -> None:
    source = write_random_codec(tmp_path / "codec.nemo", size)
    reference = Reference(convert(source, tmp_path / "ckpt", progress=False))
    model, random = reference.model, np.random.default_rng(2)
    most = int(np.prod(model["levels"]))
    codes = random.integers(0, most, (50, model["groups"]))
    audio = reference.decode(codes)
    assert audio.shape == (50 * model["samples_per_frame"],)
    assert 0.05 < audio.std() < 0.4
    assert (np.abs(audio) == 1).mean() < 0.02
    heard = reference.encode(audio)
    assert heard.shape == codes.shape
    assert heard.min() >= 0 and heard.max() < most
    assert len(np.unique(heard)) > most // 3
    # A value of the quantizer is its own: the code of every code's values, if far from an edge.
    inner = reference.dequantize(codes)
    levels = np.array(model["levels"])
    scale, offset = (levels - 1) / 2 * (1 - 1e-3), np.where(levels % 2 == 0, 0.5, 0)
    steps = inner.reshape(50, -1, len(levels)) * (levels // 2)
    x = np.arctanh(np.clip((steps + offset) / scale, -0.9999, 0.9999)) - np.tan(offset / scale)
    np.testing.assert_array_equal(reference.quantize(x.reshape(50, -1)), codes)
