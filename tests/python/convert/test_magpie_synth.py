"""Converts synthetic checkpoints: original layouts, model types, full size in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.checkpoint import Checkpoint, open_checkpoint
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo
from ttsrt_rt.synth.magpie_layout import CKPT_SIZES, NEMO_SIZES, SynthModel, layout

DATA = Path(__file__).parents[2] / "data" / "magpie"
TINY = NEMO_SIZES["tiny"]
ENCODED = replace(TINY, voices=0, voice_rows=0)


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ("full2503", CKPT_SIZES["true"]),
        ("fullhf", NEMO_SIZES["v2607"]),
        ("tiny2503", CKPT_SIZES["tiny"]),
        ("tinyhf", NEMO_SIZES["tiny"]),
    ],
)
def test_layouts_match_the_original(keys: str, model: SynthModel) -> None:
    expected = json.loads((DATA / f"{keys}.keys.json").read_text())
    assert {name: list(shape) for name, shape in layout(model).items()} == expected


def run(folder: Path, model: SynthModel | str) -> Checkpoint:
    source = write_random_nemo(folder / "made.nemo", model, seed=3)
    return open_checkpoint(convert(source, folder / "out", progress=False))


def test_equal_seeds_write_equal_files(tmp_path: Path) -> None:
    first = write_random_nemo(tmp_path / "a.nemo", seed=5).read_bytes()
    assert write_random_nemo(tmp_path / "b.nemo", seed=5).read_bytes() == first
    assert write_random_nemo(tmp_path / "c.nemo", seed=6).read_bytes() != first


def test_masks_change_nothing(tmp_path: Path) -> None:
    write_random_nemo(tmp_path / "a.nemo", seed=5, masks=True)
    write_random_nemo(tmp_path / "b.nemo", seed=5)
    with open_weights(tmp_path / "a.nemo") as weights:
        assert {name: t.shape for name, t in weights.items()} == layout(TINY)
    a = convert(tmp_path / "a.nemo", tmp_path / "oa", progress=False)
    b = convert(tmp_path / "b.nemo", tmp_path / "ob", progress=False)
    assert (a / "model.safetensors").read_bytes() == (b / "model.safetensors").read_bytes()


def test_speaker_names_are_converted(tmp_path: Path) -> None:
    assert run(tmp_path, TINY).model.speakers == {"Aria": 0, "Jason": 1, "John": 2}


def test_demo_size_is_quick(tmp_path: Path) -> None:
    began = time.monotonic()
    model = run(tmp_path, "mid").model
    assert time.monotonic() - began < 60
    assert (model.dim, model.tables, model.codebook_vocab, model.num_voices) == (256, 16, 2024, 5)


def test_ckpt_sizes(tmp_path: Path) -> None:
    source = write_random_ckpt(tmp_path / "made.ckpt", "tiny")
    model = open_checkpoint(convert(source, tmp_path / "out", progress=False)).model
    assert (model.context, model.frame_stacking) == ("codes", 1)
    with pytest.raises(ConfigError, match="tiny, mid, true"):
        write_random_ckpt(tmp_path / "x.ckpt", "huge")


def test_context_encoder(tmp_path: Path) -> None:
    model = run(tmp_path, ENCODED).model
    assert (model.context, model.context_text, model.num_voices) == ("encoder", "none", 0)
    assert model.context_encoder is not None
    assert not model.context_encoder.causal


def test_context_text_in_the_shared_table(tmp_path: Path) -> None:
    model = run(tmp_path, replace(ENCODED, context_text=True)).model
    assert (model.context_text, model.context_text_vocab) == ("shared", 0)


def test_two_encoders(tmp_path: Path) -> None:
    made = replace(ENCODED, model_type="multi_encoder_context_tts", decoder_layers=12)
    checkpoint = run(tmp_path, replace(made, estimate_layers=(4, 5), apply_layers=(0, 3, 4)))
    decoder, prior = checkpoint.model.decoder, checkpoint.defaults.prior
    assert checkpoint.model.context == "memory"
    assert decoder.text_layers == (3, 4, 5, 6, 7, 8)
    assert decoder.context_layers == (0, 1, 2, 9, 10, 11)
    assert prior is not None
    assert prior.apply_layers == (3, 4)


def test_local_transformer_of_its_own_width(tmp_path: Path) -> None:
    checkpoint = run(tmp_path, replace(TINY, local_dim=32, local_layers=1, frame_stacking=1))
    local = checkpoint.model.local_transformer
    assert local is not None
    assert (local.in_projection, local.dim, local.layers) == (True, 32, 1)
    assert checkpoint.weights["local_transformer.in_proj"].shape == (32, 64)


def test_masked_prediction(tmp_path: Path) -> None:
    local = run(tmp_path, replace(TINY, local_type="maskgit")).model.local_transformer
    assert local is not None
    assert (local.kind, local.max_positions) == ("maskgit", 10)


def test_older_decoder_kernel(tmp_path: Path) -> None:
    model = run(tmp_path, replace(TINY, decoder_kernel=3, cross_heads=4)).model
    assert (model.decoder.kernel, model.decoder.cross_heads) == (3, 4)


def test_legacy_tables(tmp_path: Path) -> None:
    source = write_random_nemo(tmp_path / "m.nemo", replace(TINY, codebook_size=2040))
    with pytest.raises(ConfigError, match="legacy layout"):
        convert(source, tmp_path / "out", progress=False)
    made = convert(source, tmp_path / "out", codebook_size=2040, progress=False)
    assert open_checkpoint(made).model.tokens.audio_bos == 2040


def test_activations_stay_in_range(tmp_path: Path) -> None:
    weights = run(tmp_path, "mid").weights
    for name, tensor in weights.items():
        if name != "voice_lengths":
            values = tensor.read()
            assert 0.001 < float(np.sqrt(np.mean(np.square(values)))) < 1.5, name


CONVERT = """
import sys
from ttsrt_rt.convert import convert
convert(sys.argv[1], sys.argv[2], progress=False)
# Not ru_maxrss: a child inherits it from its parent, and the parent has run models.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_a_full_size_model_converts_in_bounded_memory(tmp_path: Path) -> None:
    source = write_random_ckpt(tmp_path / "true.ckpt", "true")
    try:
        done = subprocess.run(
            [sys.executable, "-c", CONVERT, str(source), str(tmp_path / "out")],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) < 1_500_000  # kilobytes, mapped pages of the source included
        weights = open_checkpoint(tmp_path / "out").weights
        assert sum(int(np.prod(tensor.shape)) for tensor in weights.values()) == 216_899_392
    finally:
        source.unlink()
        (tmp_path / "out" / "model.safetensors").unlink(missing_ok=True)
