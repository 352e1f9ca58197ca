"""From a WAV and a text to samples, against F5-TTS's and Vocos' own code with the same weights and
the same noise, where they are installed.

The original draws its noise from PyTorch's generator; both programs get noise that depends on the
number of frames here. Waves of random vocoders are compared by their largest value: the exponential
in the head makes small differences larger.
"""

from __future__ import annotations

import dataclasses
import functools
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.parity.f5_cases import NETWORKS, SEED, sound_of, wave_of
from tests.parity.f5_originals import find_originals
from tests.parity.test_f5_reference import converted, distance
from ttsrt_rt.audio import read_audio, write_wav
from ttsrt_rt.f5 import F5Model
from ttsrt_rt.synth import write_random_f5, write_random_vocos
from ttsrt_rt.synth.f5_layout import f5_size
from ttsrt_rt.synth.f5_random import vocab_of

NEEDED = (
    *("f5_tts", "vocos", "torchaudio", "torchdiffeq", "x_transformers", "pydub", "soundfile"),
    *("rjieba", "pypinyin"),
)
TEXTS = {
    "short": "Hi!",
    "usual": "Hello there, this is a test; 50%off.",
    "long": "This is one part of it, and this is another one. " * 9,
    "han": "\u4f60\u597d, world\u3002\u94f6\u884c\u884c\u957f\u6765\u4e86\uff01",
}
OPTIONS: dict[str, dict[str, Any]] = {
    "usual": {"steps": 7},
    "plain": {"steps": 4, "cfg_strength": 0.0, "sway_sampling_coef": None, "speed": 1.4},
}

pytestmark = pytest.mark.filterwarnings("ignore")  # of the originals


def noise_of(frames: int) -> Any:
    return (
        np.random.default_rng([SEED, int(frames)])
        .normal(size=(int(frames), 100))
        .astype(np.float32)
    )


class WithNoise(F5Model):
    """An `F5Model` whose noise depends on the number of frames."""

    def _request(self, *arguments: Any) -> rt.Request:
        request = super()._request(*arguments)
        frames = arguments[0].frames
        return dataclasses.replace(request, noise=noise_of(frames))


@pytest.fixture(scope="module")
def originals() -> Any:
    """The originals; the test is skipped where one is not installed."""
    return find_originals(NEEDED)


@pytest.fixture(scope="module", params=["v0", "v1"])
def pair(
    request: pytest.FixtureRequest, originals: Any, tmp_path_factory: pytest.TempPathFactory
) -> Any:
    """Our model and the original's network and vocoder, with the same weights."""
    folder = tmp_path_factory.mktemp(request.param)
    case = NETWORKS[request.param]
    loaded = originals.load()
    loaded.torchaudio.load = loaded.front_end.torchaudio.load = functools.partial(load, loaded)
    network = originals.network(loaded, case, folder)
    tokens = vocab_of(f5_size(case["size"]))
    network.vocab_char_map = {token: index for index, token in enumerate(tokens)}
    vocoder = originals.vocoder(loaded, folder)
    checkpoint = converted(request.param, folder)
    rt.build(checkpoint, folder / "engine", max_seq_len=4000)
    rt.build(
        rt.convert(write_random_vocos(folder / "v", seed=SEED), folder / "v-ckpt", progress=False),
        folder / "v-engine",
        max_seq_len=4000,
    )
    with WithNoise(folder / "engine", backend=NATIVE, vocoder=folder / "v-engine") as model:
        yield types.SimpleNamespace(
            ours=model, loaded=loaded, network=network, vocoder=vocoder, folder=folder
        )


def load(loaded: Any, path: str) -> Any:
    """Stands for `torchaudio.load`, which needs one more package: samples [channels, frames]."""
    sound = read_audio(path)
    return loaded.torch.from_numpy(sound.samples.T.copy()), sound.sample_rate


@pytest.fixture
def same_noise(pair: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pair.loaded.torch
    monkeypatch.setattr(
        torch, "randn", lambda frames, _bands, **_options: torch.from_numpy(noise_of(frames))
    )


@pytest.mark.usefixtures("same_noise")
@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_text_becomes_the_same_sound(name: str, option: str, pair: Any) -> None:
    front_end, options = pair.loaded.front_end, OPTIONS[option]
    path = write_wav(pair.folder / "voice.wav", sound_of("quiet_stereo").samples, 44100)
    front_end._ref_audio_cache.clear()
    audio, text = front_end.preprocess_ref_audio_text(
        str(path), "What the voice says", show_info=lambda *_: None
    )
    names = {"steps": "nfe_step"}
    wave, rate, _ = front_end.infer_process(
        audio,
        text,
        TEXTS[name],
        pair.network,
        pair.vocoder,
        show_info=lambda *_: None,
        progress=None,
        device="cpu",
        **{names.get(key, key): value for key, value in options.items()},
    )
    given = {key: 0.0 if value is None else value for key, value in options.items()}
    made = pair.ours.synthesize(TEXTS[name], path, "What the voice says", **given)
    assert made.sample_rate == rate
    assert made.samples.shape == wave.shape
    assert distance(made.samples, wave) < 1e-3


@pytest.mark.usefixtures("same_noise")
def test_sample_takes_what_the_original_takes(pair: Any) -> None:
    torch = pair.loaded.torch
    wave = torch.from_numpy(wave_of(24000))[None]
    options: dict[str, Any] = {"steps": 5, "cfg_strength": 2.0, "sway_sampling_coef": -1.0}
    text = [["H", "i", " ", "y"]]
    expected, _ = pair.network.sample(wave, text, 60, lens=torch.tensor([20]), **options)
    noise = noise_of(60)[None]
    made, trajectory = pair.ours.sample(
        wave, text, torch.tensor([60]), lens=torch.tensor([20]), noise=noise, **options
    )
    assert trajectory is None
    assert distance(made, expected.numpy()) < 1e-3
    with torch.no_grad():
        sound = pair.vocoder.decode(expected.permute(0, 2, 1))
    assert distance(pair.ours.decode(expected.permute(0, 2, 1)), sound.numpy()) < 1e-5


@pytest.mark.parametrize("steps", [7, 16, 32])
def test_the_file_of_indicf5(steps: int, originals: Any, tmp_path: Path) -> None:
    """Network and vocoder of one file; without being asked, few steps take the even grid."""
    loaded = originals.load()
    torch, network = loaded.torch, originals.network(loaded, NETWORKS["v0"], tmp_path)
    (tmp_path / "IndicF5").mkdir()
    source = tmp_path / "IndicF5" / "model.safetensors"
    write_random_f5(source, "tiny", SEED, layout="indicf5")
    checkpoint = rt.convert(source, tmp_path / "ckpt", variant="indicf5", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=200)
    cond = np.random.default_rng(steps).normal(-2, 2, (1, 33, 100)).astype(np.float32)
    text = np.random.default_rng(steps).integers(0, 64, (1, 41))
    options: dict[str, Any] = {"steps": steps, "cfg_strength": 2.0, "sway_sampling_coef": -1.0}
    with originals.given_noise(torch, [noise_of(90)]), torch.no_grad():
        expected, _ = network.sample(
            torch.from_numpy(cond), torch.from_numpy(text), 90, use_epss=False, **options
        )
        sound = originals.vocoder(loaded, tmp_path).decode(expected.permute(0, 2, 1))
    with F5Model(tmp_path / "engine", backend=NATIVE) as model:
        made, _ = model.sample(cond, text, 90, noise=noise_of(90)[None], **options)
        assert distance(made, expected.numpy()) < 1e-3
        assert distance(model.decode(expected.permute(0, 2, 1)), sound.numpy()) < 1e-5
