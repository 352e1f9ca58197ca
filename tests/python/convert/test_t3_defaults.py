"""Each release has the defaults of the original's public interface."""

from __future__ import annotations

import pytest

from ttsrt_rt.convert.t3_defaults import BlockDefaults, read_defaults

from .test_t3_model import ORIGINALS, model_of


def test_no_release_analyzes_the_alignment_unasked() -> None:
    """Where it could, the default says so."""
    for variant in ORIGINALS:
        analyzer = read_defaults(model_of(ORIGINALS[variant]), "t3_mtl_v2.safetensors").analyzer
        assert analyzer is (False if variant == "multilingual" else None)


@pytest.mark.parametrize(
    ("variant", "file", "penalty"),
    [
        ("english", "t3_cfg.safetensors", 1.2),
        ("english", "t3_v2.safetensors", 1.2),
        ("multilingual", "t3_mtl23ls_v3.safetensors", 1.2),
        ("multilingual", "t3_mtl23ls_v2.safetensors", 2.0),
        ("multilingual", "t3_mtl_v20.safetensors", 1.2),
        ("multilingual", "renamed.safetensors", 1.2),
        ("turbo", "t3_turbo_v1.safetensors", 1.2),
        ("flash", "t3_flash.safetensors", 1.0),
    ],
)
def test_repetition_penalty_of_each_release(variant: str, file: str, penalty: float) -> None:
    assert read_defaults(model_of(ORIGINALS[variant]), file).repetition_penalty == penalty


def test_the_first_multilingual_release_penalizes_more() -> None:
    model = model_of(ORIGINALS["multilingual"] | {"text_emb.weight": (2352, 1024)})
    assert model.variant == "multilingual"
    assert read_defaults(model, "t3_23lang.safetensors").repetition_penalty == 2.0


def test_defaults_are_those_of_the_public_interface() -> None:
    english = read_defaults(model_of(ORIGINALS["english"]), "x")
    assert (english.cfg_scale, english.temperature, english.emotion) == (1.5, 0.8, 0.5)
    assert (english.top_k, english.top_p, english.min_p) == (0, 1.0, 0.05)
    turbo = read_defaults(model_of(ORIGINALS["turbo"]), "x")
    assert (turbo.cfg_scale, turbo.temperature, turbo.emotion) == (1.0, 0.8, None)
    assert (turbo.top_k, turbo.top_p, turbo.min_p) == (1000, 0.95, 0.0)
    flash = read_defaults(model_of(ORIGINALS["flash"]), "x")
    assert (flash.cfg_scale, flash.temperature) == (2.0, 0.6)
    assert {each.max_frames for each in (english, turbo, flash)} == {1000}


def test_only_flash_decides_codes_in_blocks() -> None:
    for variant, shapes in ORIGINALS.items():
        block = read_defaults(model_of(shapes), "x").block
        wanted = BlockDefaults(steps=10, early=0.1, shift=0.5, noise=1.0)
        assert block == (wanted if variant == "flash" else None)
