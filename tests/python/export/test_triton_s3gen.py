"""The vocoder stage, over stand-ins for the original package and PyTorch."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export import fake_triton
from tests.python.export.fake_triton import Request, arguments
from ttsrt_rt.export.triton_s3gen import Vocoder, find_weights, require_package


class Values:
    """A tensor of PyTorch, as far as the stage uses one."""

    def __init__(self, values: Any) -> None:
        self.values = np.asarray(values)

    def __getitem__(self, key: Any) -> Values:
        return Values(self.values[key])

    def to(self, device: str) -> Values:
        return self

    def squeeze(self, axis: int) -> Values:
        return Values(self.values.squeeze(axis))

    def detach(self) -> Values:
        return self

    def cpu(self) -> Values:
        return self

    def numpy(self) -> Any:
        return self.values


class S3Gen:
    """Gives tokens * scale of the reference + steps, so that a test sees what arrived."""

    def __init__(self, meanflow: bool = False) -> None:
        self.is_meanflow = meanflow

    def load_state_dict(self, weights: object, strict: bool) -> None:
        assert weights == {"file": "weights"}

    def to(self, device: str) -> S3Gen:
        return self

    def eval(self) -> S3Gen:
        return self

    def inference(
        self, speech_tokens: Values, ref_dict: dict[str, float], n_cfm_timesteps: int = 10
    ) -> tuple[Values, None]:
        assert speech_tokens.values.dtype == np.int64
        assert (n_cfm_timesteps == 2) == self.is_meanflow
        return Values(speech_tokens.values * ref_dict["scale"] + n_cfm_timesteps), None


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(path: Path, map_location: str, weights_only: bool) -> object:
        assert weights_only
        return {"gen": {"scale": float(path.read_text())}}

    torch = types.ModuleType("torch")
    vars(torch).update(from_numpy=Values, inference_mode=contextlib.nullcontext, load=load)
    names = ("chatterbox", "chatterbox.models", "chatterbox.models.s3gen", "safetensors.torch")
    modules = {name: types.ModuleType(name) for name in names}
    for module in modules.values():
        module.__spec__ = importlib.util.spec_from_loader(module.__name__, loader=None)
    vars(modules["chatterbox.models.s3gen"])["S3Gen"] = S3Gen
    vars(modules["safetensors.torch"])["load_file"] = lambda path: {"file": "weights"}
    for name, module in {**modules, "torch": torch}.items():
        monkeypatch.setitem(sys.modules, name, module)


def open_vocoder(folder: Path) -> Vocoder:
    class TritonVocoder(Vocoder):
        utils = fake_triton

    vocoder = TritonVocoder()
    vocoder.initialize(arguments(folder, codec_dir=str(folder)))
    return vocoder


@pytest.mark.parametrize(("weights", "steps"), [("s3gen", 10), ("s3gen_meanflow", 2)])
@pytest.mark.usefixtures("package")
def test_codes_become_a_waveform(weights: str, steps: int, tmp_path: Path) -> None:
    (tmp_path / f"{weights}.safetensors").touch()
    (tmp_path / "conds.pt").write_text("2")
    (tmp_path / "anna.conds.pt").write_text("3")
    vocoder = open_vocoder(tmp_path)
    codes = np.array([[5], [6562], [7]], np.int32)  # 6562 is the end, no sound
    requests = [
        Request(codes=codes),
        Request(codes=codes, voice="anna"),
        Request(codes=codes[1:2]),
    ]
    found = [response.values("waveform").tolist() for response in vocoder.execute(requests)]
    assert found == [[10 + steps, 14 + steps], [15 + steps, 21 + steps], []]
    (response,) = vocoder.execute(requests[:1])
    assert response.values("waveform").dtype == np.float32
    assert response.values("sample_rate").tolist() == [24000]


@pytest.mark.usefixtures("package")
def test_a_voice_without_a_reference(tmp_path: Path) -> None:
    (tmp_path / "s3gen.safetensors").touch()
    (response,) = open_vocoder(tmp_path).execute([Request(codes=np.ones((1, 1), np.int32))])
    assert "voice: expected one with a conds.pt" in response.error().message()


def test_without_the_package_it_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(rt.ConfigError, match="needs the package chatterbox-tts"):
        require_package()
    with pytest.raises(rt.ConfigError, match="needs the package chatterbox-tts"):
        open_vocoder(tmp_path)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(rt.NotFoundError, match=r"s3gen_meanflow\.safetensors, s3gen\.safetensors"):
        find_weights(tmp_path)
