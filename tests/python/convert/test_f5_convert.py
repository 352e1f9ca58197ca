"""Converts whole F5-TTS files of every layout: averaged or not, IndicF5, vocabularies, vocoders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.inspection import inspect_folder
from ttsrt_rt.synth import write_random_f5, write_random_vocos

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted miniature, made with seed 3."""
    folder = tmp_path_factory.mktemp("tiny")
    source = write_random_f5(folder / "model_1.safetensors", "tiny", 3)
    return convert(source, folder / "ckpt", variant="v1", progress=False)


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return config


def bytes_of(folder: Path) -> bytes:
    return (folder / WEIGHTS).read_bytes()


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("model_1250000.safetensors", "ema"),
        ("model_1250000.pt", "ema"),
        ("model_last.pt", "trainer"),
        ("reduced.safetensors", "ema_only"),
        ("reduced.pt", "ema_only"),
        ("reduced.safetensors", "trained"),
        ("reduced.pt", "trained"),
        ("reduced.safetensors", "plain"),
    ],
)
def test_all_layouts_give_the_same(name: str, layout: Any, tiny: Path, tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / name, "tiny", 3, layout=layout)
    made = convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    assert bytes_of(made) == bytes_of(tiny)
    assert config_of(made)["source"]["averaged"] is (layout not in ("trained", "plain"))


def test_trained_weights_are_chosen_by_name(tiny: Path, tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_last.pt", "tiny", 2, layout="trainer")
    made = convert(source, tmp_path / "ckpt", variant="v1", use_ema=False, progress=False)
    assert bytes_of(made) == bytes_of(tiny)  # trained weights have the next seed
    assert config_of(made)["source"]["entry"] == "model_state_dict"
    averaged = convert(source, tmp_path / "other", variant="v1", use_ema=True, progress=False)
    assert bytes_of(averaged) != bytes_of(tiny)
    by_root = convert(
        source, tmp_path / "third", variant="v1", root="model_state_dict", progress=False
    )
    assert bytes_of(by_root) == bytes_of(tiny)


@pytest.mark.parametrize(("layout", "use_ema"), [("trained", True), ("ema", False)])
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_weights_that_are_not_there_are_refused(
    layout: Any, use_ema: bool, ending: str, tmp_path: Path
) -> None:
    source = write_random_f5(tmp_path / f"model_1.{ending}", layout=layout)
    with pytest.raises(ConfigError, match=r"use_ema|model_state_dict"):
        convert(source, tmp_path / "ckpt", variant="v1", use_ema=use_ema, progress=False)


@pytest.mark.parametrize("layout", ["indicf5", "reupload"])
def test_indicf5_brings_its_vocoder(layout: Any, tmp_path: Path) -> None:
    folder = tmp_path / "IndicF5"
    (folder / "checkpoints").mkdir(parents=True)
    write_random_f5(folder / WEIGHTS, "tiny", 3, layout=layout)
    (folder / "vocab.txt").rename(folder / "checkpoints" / "vocab.txt")
    alone = convert(folder, tmp_path / "without", variant="indicf5", progress=False)
    (folder / "config.json").write_text('{"model_type": "inf5", "speed": 1.0}', "utf-8")
    made = convert(folder, tmp_path / "ckpt", variant="indicf5", progress=False)
    assert bytes_of(alone) == bytes_of(made) and config_of(alone) == config_of(made)
    config = config_of(made)
    model = config["model"]
    assert (model["variant"], model["rope_heads"], model["text_mask_padding"]) == ("v0", 1, False)
    assert model["vocoder"] == {
        "mel_bins": 100,
        "dim": 32,
        "ffn_dim": 80,
        "layers": 2,
        "n_fft": 1024,
        "hop": 256,
        "padding": "center",
        "sample_rate": 24000,
    }
    assert config["defaults"]["use_epss"] is False
    assert config["front_end"]["rules"] == "indicf5"
    assert config["front_end"]["vocab"][:2] == [" ", "a"]
    with open_weights(made / WEIGHTS) as weights:
        assert weights["vocoder.layers.1.conv"].shape == (7, 32)


def test_the_vocoder_inside_equals_one_of_its_own(tmp_path: Path) -> None:
    write_random_f5(tmp_path / "model_1.safetensors", "tiny", 3, layout="indicf5")
    vocos = write_random_vocos(tmp_path / "vocos", seed=3)
    inner = convert(
        tmp_path / "model_1.safetensors", tmp_path / "a", variant="indicf5", progress=False
    )
    alone = convert(vocos, tmp_path / "b", progress=False)
    assert config_of(alone)["family"] == "vocos"
    assert config_of(alone)["model"] == config_of(inner)["model"]["vocoder"]
    with open_weights(inner / WEIGHTS) as one, open_weights(alone / WEIGHTS) as other:
        for name in other:
            np.testing.assert_array_equal(one[f"vocoder.{name}"].read(), other[name].read())


def test_a_vocoder_may_be_given(tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors")
    vocos = write_random_vocos(tmp_path / "vocos")
    made = convert(source, tmp_path / "ckpt", variant="v1", vocoder=vocos, progress=False)
    assert config_of(made)["model"]["vocoder"]["dim"] == 32
    expected = bytes_of(made)
    snapshot = tmp_path / "models--vocos" / "snapshots" / "abc"
    snapshot.parent.mkdir(parents=True)
    vocos.rename(snapshot)  # as in the cache of Hugging Face
    for given in (snapshot, tmp_path / "models--vocos", snapshot / "pytorch_model.bin"):
        again = convert(
            source, tmp_path / "ckpt", variant="v1", vocoder=given, progress=False, overwrite=True
        )
        assert bytes_of(again) == expected
    with pytest.raises(ConfigError, match="expected a vocoder"):
        convert(source, tmp_path / "other", variant="v1", vocoder=tmp_path, progress=False)


def test_the_variant_must_be_given(tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors")
    with pytest.raises(
        ConfigError, match=r"variant: expected one of v0, v1, indicf5 for .*, got nothing"
    ):
        convert(source, tmp_path / "ckpt", progress=False)
    with pytest.raises(ConfigError, match="got 'turbo'"):
        convert(source, tmp_path / "ckpt", variant="turbo", progress=False)


def test_variants_differ_in_flags_and_rotated_rows(tiny: Path, tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors", "tiny", 3)
    made = convert(source, tmp_path / "ckpt", variant="v0", progress=False)
    ours, other = config_of(made)["model"], config_of(tiny)["model"]
    assert {key for key in ours if ours[key] != other[key]} == {
        *("variant", "text_mask_padding", "rope_heads")
    }
    with open_weights(made / WEIGHTS) as v0, open_weights(tiny / WEIGHTS) as v1:
        name = "decoder.layers.0.self_qkv"
        one, two = v0[name].read(), v1[name].read()
    same = (one == two).all(axis=1).reshape(3, 2, 64)  # part, head, channel
    assert same[:, 0].all() and same[2].all()
    assert not same[0, 1].all() and not same[1, 1].all()


@pytest.mark.parametrize("change", [-1, 1])
def test_a_vocabulary_of_another_size_is_refused(change: int, tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors")
    lines = (tmp_path / "vocab.txt").read_text("utf-8").split("\n")
    other = tmp_path / "other.txt"
    other.write_text("\n".join([*lines[: 63 if change < 0 else 64], *["x"] * (change > 0), ""]))
    with pytest.raises(FormatError, match=f"expected 64 lines.*got {64 + change}"):
        convert(source, tmp_path / "ckpt", variant="v1", vocab=other, progress=False)


def test_without_a_vocabulary_text_must_be_ids(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors", vocab=False)
    made = convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    assert config_of(made)["front_end"]["vocab"] is None
    assert "text must come as ids" in caplog.text


def test_dtypes_are_cast_or_kept(tiny: Path, tmp_path: Path) -> None:
    source = write_random_f5(tmp_path / "model_1.safetensors", "tiny", 3)
    made = convert(source, tmp_path / "ckpt", variant="v1", dtype="bfloat16", progress=False)
    with open_weights(made / WEIGHTS) as weights, open_weights(tiny / WEIGHTS) as wide:
        assert {tensor.dtype for tensor in weights.values()} == {"bfloat16"}
        assert {tensor.dtype for tensor in wide.values()} == {"float32"}


def test_foreign_tensors_are_named(tmp_path: Path) -> None:
    from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors

    source = write_random_f5(tmp_path / "model_1.safetensors", layout="trained")
    with open_weights(source) as weights:
        arrays = {name: weights[name].read() for name in weights}
    for name, message in (
        ("transformer.extra.weight", "unexpected tensors: extra.weight"),
        ("decoder.weight", "unexpected tensors: decoder.weight"),
    ):
        more = {**arrays, name: np.zeros((2, 2), np.float32)}
        path = tmp_path / "more.safetensors"
        write_safetensors(path, {key: tensor_of_array(key, value) for key, value in more.items()})
        with pytest.raises(FormatError, match=message):
            convert(path, tmp_path / "ckpt", variant="v1", family="f5", progress=False)
    del arrays["transformer.proj_out.bias"]
    write_safetensors(path, {key: tensor_of_array(key, value) for key, value in arrays.items()})
    with pytest.raises(FormatError, match=r"1 tensors are missing: proj_out.bias"):
        convert(path, tmp_path / "ckpt", variant="v1", family="f5", progress=False)


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_random_f5(tmp_path / "model_1.safetensors")
    write_random_vocos(tmp_path / "vocos")
    command = ["convert", str(tmp_path / "model_1.safetensors"), str(tmp_path / "ckpt")]
    assert main(command) == 2
    assert "--variant" in capsys.readouterr().err
    options = ["--variant", "v1", "--vocoder", str(tmp_path / "vocos"), "--use_ema", "true"]
    assert main([*command, *options]) == 0
    contents = inspect_folder(tmp_path / "ckpt")
    assert contents.description["family"] == "f5"
    assert len(contents.tensors) > 50
