"""config.json of an S3Gen: what it declares, and the limits of every number in it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.manifest import declared_tensors
from ttsrt_rt.convert.s3gen_manifest import declared_s3gen, read_s3gen_config
from ttsrt_rt.errors import FormatError
from ttsrt_rt.inspection import inspect_folder
from ttsrt_rt.synth import write_random_s3gen, write_random_voice_encoder

Config = dict[str, Any]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3gen")
    write_random_voice_encoder(folder / "ve.safetensors")
    return convert(
        write_random_s3gen(folder / "s3gen.safetensors"), folder / "ckpt", progress=False
    )


@pytest.fixture
def config(checkpoint: Path) -> Config:
    made: Config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    return made


def test_declared_tensors_are_those_of_the_file(checkpoint: Path, config: Config) -> None:
    declared = declared_s3gen(config)
    with open_weights(checkpoint / "model.safetensors") as weights:
        assert {name: each.shape for name, each in declared.items()} == {
            name: weights[name].shape for name in weights
        }
    roles = {name: each.role for name, each in declared.items()}
    assert roles["token_embedding"] == "table"
    assert roles["encoder.layers.0.self_qkv"] == "matrix"
    assert roles["vocoder.pre"] == "convolution"
    assert roles["vocoder.pre_bias"] == "vector"


def test_the_library_declares_what_engines_have(config: Config) -> None:
    """Its flow and its vocoder, of the same shapes; the other parts make voices."""
    voices = ("speech_tokenizer", "speaker_encoder", "voice_encoder")
    expected = declared_s3gen(config)
    found = declared_tensors(config)
    assert {name: each.shape for name, each in found.items()} == {
        name: each.shape for name, each in expected.items() if name.split(".")[0] not in voices
    }


def numbers(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Returns the paths of all numbers, also of lists of them."""
    if isinstance(value, dict):
        return [each for name, item in value.items() for each in numbers(item, (*path, name))]
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return [path] if is_number or isinstance(value, list) else []


def with_value(config: Config, path: tuple[str, ...], value: Any) -> Config:
    made = copy.deepcopy(config)
    place = made
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return made


def test_every_number_has_limits(config: Config) -> None:
    found = [path for path in numbers(config) if path[0] in ("model", "defaults")]
    assert len(found) > 50
    for path in found:
        for wrong in (-1, 10**9, 1e30, "x", True, [0], [10**9], [], float("nan")):
            with pytest.raises(FormatError) as caught:
                read_s3gen_config(with_value(config, path, wrong))
            assert path[-1] in str(caught.value), (path, wrong)
        short = copy.deepcopy(config)
        place = short
        for name in path[:-1]:
            place = place[name]
        del place[path[-1]]
        if path == ("defaults", "cropped_tokens"):
            assert read_s3gen_config(short) == read_s3gen_config(config)
            continue
        with pytest.raises(FormatError, match=path[-1]):
            read_s3gen_config(short)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("family",), "t3", "family: expected 's3gen', got 't3'"),
        (("model",), None, "model: expected a mapping"),
        (("model", "flow", "kind"), "flow", "expected one of cfm, meanflow"),
        (("model", "flow", "mel_bins"), 78, r"vocoder\.mel_bins: expected 78"),
        (("model", "flow", "dim"), 18, r"flow\.dim: expected a multiple of 4"),
        (("model", "vocoder", "dim"), 12, r"vocoder\.dim: expected a multiple of 8"),
        (("model", "vocoder", "rates"), [8, 5], r"vocoder\.(dim|kernels|source_kernels)"),
        (("model", "vocoder", "hop"), 5, r"n_fft: expected four times the hop 5"),
        (("model", "speaker_encoder", "dilations"), [1, 2], "expected 3 numbers as layers has"),
        (("model", "speaker_encoder", "mel_bins"), 81, r"mel_bins: expected a multiple of 8"),
        (("model", "speech_tokenizer", "heads"), 3, r"dim: expected a multiple of 6"),
        (("defaults", "silence_token"), 6561, "silence_token: expected an integer in 0..6560"),
        (("defaults",), {"steps": 10}, "guidance: expected a number"),
    ],
)
def test_contradictions_are_named(
    config: Config, path: tuple[str, ...], value: Any, message: str
) -> None:
    with pytest.raises(FormatError, match=message):
        read_s3gen_config(with_value(config, path, value))


def test_mean_flow_has_no_guidance(config: Config) -> None:
    made = with_value(config, ("model", "flow", "kind"), "meanflow")
    with pytest.raises(FormatError, match=r"guidance: expected a number in 0\.\.0"):
        read_s3gen_config(made)
    made["defaults"]["guidance"] = 0.0
    assert "flow.time.mixer" in declared_s3gen(made)


def test_defaults_need_a_flow(config: Config) -> None:
    made = with_value(config, ("model", "flow"), None)
    with pytest.raises(FormatError, match="defaults: expected none without a flow"):
        read_s3gen_config(made)
    made["defaults"] = {}
    assert read_s3gen_config(made)[1] is None
    del made["model"]["flow"]
    with pytest.raises(FormatError, match="flow: expected a mapping or null, got nothing"):
        read_s3gen_config(made)


def test_a_checkpoint_with_other_tensors_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    config["model"]["flow"]["layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    (tmp_path / "model.safetensors").write_bytes((checkpoint / "model.safetensors").read_bytes())
    with pytest.raises(FormatError, match=r"encoder\.layers\.2\.self_norm: expected \[16\]"):
        inspect_folder(tmp_path)
