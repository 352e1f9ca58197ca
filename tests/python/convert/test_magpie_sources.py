"""Conversions of what people have: wrapped names, averaged weights, pipes, long foreign text."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.errors import ConfigError, FormatError

from .builders import Tensor, make_torch
from .test_magpie_convert import DATA, load, load_config, write


@pytest.mark.parametrize("prefix", ["model.", "module.", "_orig_mod.", "model._orig_mod."])
def test_wrapped_names_convert(
    prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arrays = {prefix + name: values for name, values in load("tiny2503lt.ckpt").items()}
    source = write(tmp_path, arrays, load_config("tiny2503lt.hparams.yaml"))
    made = convert(source, tmp_path / "wrapped", progress=False)
    plain = convert(DATA / "tiny2503lt.ckpt", tmp_path / "plain", progress=False)
    name = "model.safetensors"
    assert (made / name).read_bytes() == (plain / name).read_bytes()
    assert ("which was removed" in caplog.text) == (prefix != "_orig_mod.")


def test_averaged_weights_beside_the_state_dict_are_mentioned(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {"w": Tensor("0", (12,))}
    top = {
        "state_dict": state,
        "ema_state_dict": state,
        "callbacks": {"EMAWeightAveraging": {"state": 1}},
        "optimizer_states": [{"ema": [Tensor("0", (12,))], "state": {}}],
        "schema": {"x": 1},
    }
    path = tmp_path / "x.ckpt"
    path.write_bytes(make_torch(top, {"0": bytes(48)}))
    with open_weights(path) as weights:
        assert weights.averages == (
            "ema_state_dict",
            "callbacks.EMAWeightAveraging",
            "optimizer_states.0.ema",
        )
    arrays = load("tiny2503lt.ckpt")
    source = write(tmp_path, arrays, load_config("tiny2503lt.hparams.yaml"))
    (tmp_path / "made-EMA.ckpt").write_bytes(b"")
    convert(source, tmp_path / "out", progress=False)
    assert "(EMA) seem to be in 'made-EMA.ckpt'" in caplog.text
    with pytest.raises(FormatError, match="expected a dict at 'ema_state_dict'"):
        convert(source, tmp_path / "out2", root="ema_state_dict", progress=False)


def test_messages_quote_little_of_the_source(tmp_path: Path) -> None:
    arrays = load("tiny2503lt.ckpt")
    config = load_config("tiny2503lt.hparams.yaml")
    long_names = {f"{letter * 3000}\n": np.ones(1, "f4") for letter in "xyz"}
    config["unknown" * 500] = {"a": ["b" * 1000] * 100}
    with pytest.raises(FormatError, match="3 unexpected tensors") as caught:
        convert(write(tmp_path, {**arrays, **long_names}, config), tmp_path / "out")
    assert len(str(caught.value)) < 300
    config["decoder"]["n_layers"] = ["b" * 1000] * 100
    with pytest.raises(ConfigError, match=r"decoder\.n_layers: expected an integer") as refused:
        convert(write(tmp_path, arrays, config), tmp_path / "out")
    assert len(str(refused.value)) < 300


def test_pipes_are_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.nemo")
    with pytest.raises(ConfigError, match=r"x\.nemo: expected a regular file, got a pipe"):
        convert(tmp_path / "x.nemo", tmp_path / "out")
    source = write(tmp_path, load("tiny2503lt.ckpt"), {})
    with pytest.raises(ConfigError, match=r"x\.nemo: expected a regular file, got a pipe"):
        convert(source, tmp_path / "out", config=tmp_path / "x.nemo")
    assert not (tmp_path / "out").exists()
