"""Configurations of F5-TTS releases: flags, sizes, other models, unknown options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert.f5_config import F5Config, F5Flags, read_f5_config
from ttsrt_rt.errors import ConfigError, FormatError

RUN = """
hydra:
  run: {{dir: "ckpts/${{model.name}}/${{now:%Y}}"}}
model:
  name: F5TTS_v1_Base
  tokenizer: {tokenizer}
  tokenizer_path: null
  backbone: {backbone}
  arch: {{dim: 64, depth: 2, text_mask_padding: {mask}, pe_attn_head: {head}, attn_backend: torch,
    attn_mask_enabled: False, checkpoint_activations: False, qk_norm: null}}
  mel_spec: {{target_sample_rate: 24000, n_mel_channels: 100, hop_length: 256, win_length: 1024,
    n_fft: 1024, mel_spec_type: {mel}}}
  vocoder: {{is_local: False, local_path: null}}
"""


def run_of(folder: Path, **changes: str) -> Path:
    values = {"tokenizer": "pinyin", "backbone": "DiT", "mask": "True", "head": "null"}
    values |= {"mel": "vocos", **changes}
    path = folder / "F5TTS.yaml"
    path.write_text(RUN.format(**values), "utf-8")
    return path


def card_of(folder: Path, arch: dict[str, Any]) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(arch), "utf-8")
    return path


def test_a_training_run(tmp_path: Path) -> None:
    config = read_f5_config(run_of(tmp_path, mel="bigvgan", tokenizer="char"))
    assert (config.mel, config.tokenizer, config.hop) == ("bigvgan", "char", 256)
    assert config.flags(text_mask_padding=True, rope_heads=0) == F5Flags(True, 0, False)


def test_a_model_card_states_only_what_differs(tmp_path: Path) -> None:
    config = read_f5_config(card_of(tmp_path, {"dim": 64, "text_mask_padding": False}))
    assert config.flags(text_mask_padding=True, rope_heads=0) == F5Flags(False, 0, False)
    config = read_f5_config(card_of(tmp_path, {"arch": {"pe_attn_head": 2}, "mel_dim": 100}))
    assert config.flags(text_mask_padding=True, rope_heads=0).rope_heads == 2
    assert F5Config().flags(text_mask_padding=False, rope_heads=1) == F5Flags(False, 1, False)


def test_the_other_variant_is_a_contradiction(tmp_path: Path) -> None:
    config = read_f5_config(run_of(tmp_path, mask="False", head="1"))
    with pytest.raises(ConfigError, match="variant: expected v0"):
        config.flags(text_mask_padding=True, rope_heads=0)
    with pytest.raises(ConfigError, match="variant: expected v1"):
        read_f5_config(run_of(tmp_path)).flags(text_mask_padding=False, rope_heads=1)


def test_sizes_are_compared(tmp_path: Path) -> None:
    config = read_f5_config(card_of(tmp_path, {"dim": 64, "ff_mult": 2, "qk_norm": None}))
    config.check_sizes({"dim": 64, "ff_mult": 2.0, "qk_norm": None, "depth": 22})
    with pytest.raises(ConfigError, match="dim: expected 128, as the tensors have it, got 64"):
        config.check_sizes({"dim": 128})


def test_upsampling_needs_the_mask(tmp_path: Path) -> None:
    arch = {"text_embedding_average_upsampling": True}
    config = read_f5_config(card_of(tmp_path, arch))
    assert config.flags(text_mask_padding=True, rope_heads=0).average_upsampling
    with pytest.raises(ConfigError, match="expected text_mask_padding with it"):
        config.flags(text_mask_padding=False, rope_heads=1)


def test_indicf5_is_told_by_its_model_type(tmp_path: Path) -> None:
    assert read_f5_config(card_of(tmp_path, {"model_type": "inf5", "speed": 1.0})).is_indic


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "UNetT"}, "model.backbone: expected DiT, got 'UNetT'"),
        ({"mel": "htk"}, "mel_spec_type: expected one of vocos, bigvgan"),
        ({"tokenizer": "words"}, "tokenizer: expected one of pinyin"),
    ],
)
def test_other_models_are_refused(changes: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_f5_config(run_of(tmp_path, **changes))


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ({"dim": 64, "rope_theta": 1}, "got others: rope_theta"),
        ({"arch": [1]}, "arch: expected an object"),
        ([1], "expected an object"),
    ],
)
def test_unknown_options_are_refused(arch: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_f5_config(card_of(tmp_path, arch))


def test_wrong_kinds_are_refused(tmp_path: Path) -> None:
    config = read_f5_config(card_of(tmp_path, {"text_mask_padding": "yes"}))
    with pytest.raises(ConfigError, match="expected true or false, got 'yes'"):
        config.flags(text_mask_padding=True, rope_heads=0)
    config = read_f5_config(card_of(tmp_path, {"pe_attn_head": 0}))
    with pytest.raises(ConfigError, match="pe_attn_head: expected an integer in 1"):
        config.flags(text_mask_padding=True, rope_heads=0)
    (tmp_path / "bad.json").write_text("{", "utf-8")
    with pytest.raises(FormatError, match="expected JSON"):
        read_f5_config(tmp_path / "bad.json")
