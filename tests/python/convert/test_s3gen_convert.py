"""Converts S3Gens from every kind of file, with what lies beside them, and refuses the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.s3gen_convert import looks_like_s3gen
from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.inspection import inspect_folder
from ttsrt_rt.synth import (
    write_random_conds,
    write_random_s3gen,
    write_random_t3,
    write_random_voice_encoder,
)
from ttsrt_rt.voice_file import read_voice

Arrays = dict[str, Any]
NEW, OLD = "parametrizations.weight.original", {"0": "weight_g", "1": "weight_v"}


def arrays_of(path: Path) -> Arrays:
    with open_weights(path) as weights:
        return {name: weights[name].read() for name in weights}


def rewrite(path: Path, arrays: Arrays) -> Path:
    write_safetensors(path, {name: tensor_of_array(name, each) for name, each in arrays.items()})
    return path


def config_of(folder: Path) -> dict[str, Any]:
    config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    return config


def bytes_of(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


def test_both_formats_give_the_same_checkpoint(tmp_path: Path) -> None:
    first = convert(
        write_random_s3gen(tmp_path / "s3gen.safetensors", seed=3), tmp_path / "a", progress=False
    )
    second = convert(
        write_random_s3gen(tmp_path / "s3gen.pt", seed=3), tmp_path / "b", progress=False
    )
    assert bytes_of(first) == bytes_of(second)
    config = config_of(first)
    assert (config["family"], config["source"]) == ("s3gen", {"file": "s3gen.safetensors"})
    assert config["model"]["flow"]["kind"] == "cfm"
    assert config["model"]["voice_encoder"] is None
    assert config["defaults"] == {
        "steps": 10,
        "guidance": 0.7,
        "silence_token": 4299,
        "silence_tokens": 0,
        "cropped_tokens": 0,
    }


def test_a_tensor_tells_mean_flow_not_the_name(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors", "tiny_meanflow")
    config = config_of(convert(source, tmp_path / "ckpt", progress=False))
    assert config["model"]["flow"]["kind"] == "meanflow"
    assert (config["defaults"]["steps"], config["defaults"]["guidance"]) == (2, 0.0)
    assert config["defaults"]["silence_tokens"] == 3


def test_weight_norm_has_two_kinds_of_names(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors")
    expected = convert(source, tmp_path / "a", progress=False)
    arrays = arrays_of(source)
    renamed = {
        name if NEW not in name else name.split(NEW)[0] + OLD[name[-1]]: each
        for name, each in arrays.items()
    }
    assert sum(name.endswith("weight_g") for name in renamed) > 80
    made = convert(rewrite(tmp_path / "old.safetensors", renamed), tmp_path / "b", progress=False)
    assert bytes_of(made) == bytes_of(expected)
    up = arrays_of(expected / "model.safetensors")["vocoder.stages.0.up"]
    gain, direction = (arrays[f"mel2wav.ups.0.{NEW}{index}"] for index in "01")
    lengths = np.sqrt((direction.astype(np.float64) ** 2).sum((1, 2), keepdims=True))
    np.testing.assert_allclose(up, gain * direction / lengths, rtol=1e-6)  # an input has a gain


def test_what_lies_beside_is_taken(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors")
    write_random_voice_encoder(tmp_path / "ve.safetensors")
    write_random_conds(tmp_path / "conds.pt", "english", 4)
    made = convert(source, tmp_path / "ckpt", progress=False)
    config = config_of(made)
    assert config["source"] == {"file": "s3gen.safetensors", "voice_encoder": "ve.safetensors"}
    assert config["model"]["voice_encoder"]["dim"] == 16
    arrays = arrays_of(made / "model.safetensors")
    given = arrays_of(tmp_path / "ve.safetensors")
    both = given["lstm.bias_ih_l1"] + given["lstm.bias_hh_l1"]
    np.testing.assert_array_equal(arrays["voice_encoder.layers.1.bias"], both)
    voice = read_voice(made / "voices" / "default.safetensors", variant="multilingual")
    assert voice.variants == ("english", "multilingual")
    assert voice.generator["prompt_feat"].shape == (500, 80)
    contents = inspect_folder(made, verify=True)
    assert contents.kind == "checkpoint"
    assert contents.voice_files == ("default",)
    assert len(contents.tensors) == len(arrays)


def test_variants_of_a_voice(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors", "tiny_meanflow")
    write_random_conds(tmp_path / "conds.pt", "turbo", 4)
    made = convert(source, tmp_path / "a", progress=False)
    assert read_voice(made / "voices" / "default.safetensors").variants == ("turbo", "nano")
    write_random_conds(tmp_path / "other.pt", "english", 4)
    made = convert(
        source, tmp_path / "b", variant="flash", conds=tmp_path / "other.pt", progress=False
    )
    assert read_voice(made / "voices" / "default.safetensors").variants == ("flash",)


def test_a_voice_encoder_alone(tmp_path: Path) -> None:
    for name in ("ve.safetensors", "ve.pt"):
        source = write_random_voice_encoder(tmp_path / name)
        made = convert(source, tmp_path / "ckpt", overwrite=True, progress=False)
        model = config_of(made)["model"]
        assert model["flow"] is model["speech_tokenizer"] is None
        assert model["voice_encoder"]["layers"] == 3
        assert config_of(made)["defaults"] == {}
        assert inspect_folder(made).kind == "checkpoint"


def test_only_some_parts(tmp_path: Path) -> None:
    arrays = arrays_of(write_random_s3gen(tmp_path / "s3gen.safetensors"))
    parts = {name: each for name, each in arrays.items() if name.startswith(("flow.", "mel2wav."))}
    made = convert(rewrite(tmp_path / "some.safetensors", parts), tmp_path / "ckpt", progress=False)
    model = config_of(made)["model"]
    assert model["speech_tokenizer"] is model["speaker_encoder"] is None
    assert {"flow", "vocoder"} <= {name for name, part in model.items() if part}


def test_wrappers_are_removed_and_features_left_out(tmp_path: Path) -> None:
    arrays = arrays_of(write_random_s3gen(tmp_path / "s3gen.safetensors"))
    expected = convert(tmp_path / "s3gen.safetensors", tmp_path / "a", progress=False)
    arrays["tokenizer._mel_filters"] = np.zeros((128, 201), np.float32)
    arrays["tokenizer.window"] = np.zeros(400, np.float32)
    wrapped = {f"module.{name}": each for name, each in arrays.items()}
    made = convert(rewrite(tmp_path / "w.safetensors", wrapped), tmp_path / "b", progress=False)
    assert bytes_of(made) == bytes_of(expected)


def test_weights_are_cast(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors")
    made = convert(source, tmp_path / "ckpt", dtype="bfloat16", progress=False)
    with open_weights(made / "model.safetensors") as weights:
        assert {weights[name].dtype for name in weights} == {"bfloat16"}
    assert inspect_folder(made).tensors[0].dtype == "bfloat16"


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors")
    arrays = arrays_of(source)
    name = "flow.encoder.encoders.1.self_attn.linear_pos.weight"
    norm = f"mel2wav.conv_pre.{NEW}1"
    for message, changes in (
        (f"1 tensors are missing: {name}", {name: None}),
        (r"1 unexpected tensors: flow\.more", {"flow.more": np.zeros(3, np.float32)}),
        (r"1 unexpected tensors: more\.weight", {"more.weight": np.zeros(3, np.float32)}),
        (rf"{name}: expected \[16, 16\], got \[16, 8\]", {name: np.zeros((16, 8), np.float32)}),
        (rf"{name}: expected finite values", {name: np.full((16, 16), np.nan, np.float32)}),
        (r"original1: expected directions, got zeros at 0", {norm: 0 * arrays[norm]}),
        (rf"{name}: expected floating-point values, got int32", {name: np.zeros((16, 16), "i4")}),
    ):
        changed = {**arrays, **changes}
        kept = {key: each for key, each in changed.items() if each is not None}
        path = rewrite(tmp_path / "wrong.safetensors", kept)
        with pytest.raises(FormatError, match=message):
            convert(path, tmp_path / "ckpt", progress=False)
        assert not (tmp_path / "ckpt").exists()


def test_what_does_not_belong_together_is_refused(tmp_path: Path) -> None:
    source = write_random_s3gen(tmp_path / "s3gen.safetensors")
    encoder = write_random_voice_encoder(tmp_path / "encoder.safetensors")
    with pytest.raises(NotFoundError, match="nowhere"):
        convert(source, tmp_path / "a", voice_encoder=tmp_path / "nowhere", progress=False)
    with pytest.raises(FormatError, match="expected a voice encoder, lstm"):
        convert(source, tmp_path / "a", voice_encoder=source, progress=False)
    with pytest.raises(ConfigError, match="voice_encoder: expected none, as encoder"):
        convert(encoder, tmp_path / "a", voice_encoder=encoder, progress=False)
    with pytest.raises(ConfigError, match="conds: expected none without a flow"):
        convert(encoder, tmp_path / "a", conds=source, progress=False)
    with pytest.raises(ConfigError, match="variant: expected one of english"):
        write_random_conds(tmp_path / "conds.pt", "english", 4)
        convert(source, tmp_path / "a", variant="v1", progress=False)


def test_ids_of_a_voice_must_fit(tmp_path: Path) -> None:
    from ttsrt_rt.synth.s3gen_layout import S3GEN_SIZES, SynthS3Gen

    tiny = S3GEN_SIZES["tiny"]
    small = SynthS3Gen(**{**vars(tiny), "vocab": 400})
    arrays = arrays_of(write_random_s3gen(tmp_path / "s3gen.safetensors", small))
    parts = {name: each for name, each in arrays.items() if name.startswith(("flow.", "mel2wav."))}
    source = rewrite(tmp_path / "small.safetensors", parts)
    write_random_conds(tmp_path / "conds.pt", "english", 4)
    with pytest.raises(FormatError, match=r"gen\.prompt_token: expected ids below 400, got "):
        convert(source, tmp_path / "ckpt", progress=False)


def test_folders_and_other_models(tmp_path: Path) -> None:
    (tmp_path / "release").mkdir()
    source = write_random_s3gen(tmp_path / "release" / "s3gen_meanflow.safetensors")
    write_random_s3gen(tmp_path / "release" / "s3gen_meanflow.pt")
    write_random_voice_encoder(tmp_path / "release" / "ve.safetensors")
    made = convert(tmp_path / "release", tmp_path / "a", progress=False)
    assert config_of(made)["source"]["file"] == source.name
    t3 = write_random_t3(tmp_path / "release" / "t3_cfg.safetensors")
    made = convert(tmp_path / "release", tmp_path / "b", progress=False)
    assert config_of(made)["family"] == "t3"
    assert looks_like_s3gen(source)
    assert looks_like_s3gen(tmp_path / "release" / "ve.safetensors")
    assert not looks_like_s3gen(t3)
    assert not looks_like_s3gen(tmp_path)


def test_an_engine_needs_a_flow(tmp_path: Path) -> None:
    source = write_random_voice_encoder(tmp_path / "ve.safetensors")
    made = convert(source, tmp_path / "ckpt", progress=False)
    with pytest.raises(rt.FormatError, match=r"model\.flow: expected the part that makes"):
        rt.build(made, tmp_path / "engine")
