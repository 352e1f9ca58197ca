"""F5-TTS v1, IndicF5 and Vocos with random weights in their true sizes and layouts, from a WAV
and a text to a WAV.

Takes minutes and 4 GB of disk, so it runs only with TTSRT_TRUE_SIZE=1 in the environment
(scripts/slow_checks).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.audio import read_audio, write_wav
from ttsrt_rt.cli import main
from ttsrt_rt.synth import write_random_f5, write_random_vocos
from ttsrt_rt.synth.f5_layout import VOCOS_24KHZ

from .f5_networks import BINS, Array, distance, vocoder_of
from .f5_reference import Reference, decode

pytestmark = pytest.mark.skipif(
    os.environ.get("TTSRT_TRUE_SIZE") != "1", reason="takes minutes: TTSRT_TRUE_SIZE=1 runs it"
)

# What is converted: the layout of the source and the options of convert.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "v1": ("ema", {"variant": "v1"}),
    "indicf5": ("indicf5", {"variant": "indicf5"}),
}
PARAMETERS = 337_096_804  # of the network, by the original's count


@pytest.fixture(scope="module")
def vocos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_random_vocos(tmp_path_factory.mktemp("vocos"), VOCOS_24KHZ)


@pytest.fixture(params=MODELS)
def checkpoint(request: pytest.FixtureRequest, vocos: Path, tmp_path: Path) -> Path:
    layout, options = MODELS[request.param]
    source = write_random_f5(tmp_path / "model.safetensors", "base", 1, layout=layout)
    if layout != "indicf5":  # whose file has a vocoder
        options = {**options, "vocoder": vocos}
    made = rt.convert(source, tmp_path / "ckpt", family="f5", progress=False, **options)
    source.unlink()
    return made


def one_evaluation(checkpoint: Path, folder: Path) -> tuple[Array, Array]:
    """Returns the guided velocities of a float32 engine at the noise, and those of NumPy."""
    network, random = Reference(checkpoint), np.random.default_rng(3)
    frames, prompt_frames = 120, 50
    ids = [int(index) for index in random.integers(0, 2545, 40)]
    noise = random.normal(size=(frames, BINS)).astype(np.float32)
    prompt = random.normal(-2, 2, (prompt_frames, BINS)).astype(np.float32)
    rt.build(checkpoint, folder / "exact", max_seq_len=frames, max_batch_size=1)
    with rt.Executor(folder / "exact", device=NATIVE, trace=True) as executor:
        result = executor.generate(
            text_ids=ids,
            context_embeddings=prompt,
            noise=noise,
            flow=rt.Flow(steps=1),
            return_audio=False,
        )
    got = next(each.values for each in result.trace if each.name == "flow.velocity")
    seen = np.zeros((frames, BINS))
    seen[:prompt_frames] = prompt
    expected = [
        network.evaluate(
            noise.astype(np.float64), cond, network.text(ids, frames, dropped=dropped), 0.0
        )
        for cond, dropped in ((seen, False), (np.zeros_like(seen), True))
    ]
    return got, np.concatenate(expected)


def test_from_a_wav_and_a_text_to_a_wav(checkpoint: Path, tmp_path: Path) -> None:
    network = Reference(checkpoint)
    sizes = {name: value.size for name, value in network.weights.items()}
    counted = sum(size for name, size in sizes.items() if not name.startswith("vocoder."))
    assert abs(counted - PARAMETERS) < 100  # frequencies of the rope are computed
    assert distance(*one_evaluation(checkpoint, tmp_path)) <= 5e-5
    rt.build(checkpoint, tmp_path / "engine", dtype="bfloat16", max_batch_size=1)
    tone = 0.2 * np.sin(np.arange(2 * 24000) / 13)
    voice = write_wav(tmp_path / "voice.wav", tone, 24000)
    command = ["f5", "--engine", tmp_path / "engine", "--ref_audio", voice]
    command += ["--ref_text", "What the voice says here.", "--text", "Hello there, this is it."]
    command += ["--steps", 4, "--seed", 1, "--output", tmp_path / "out.wav"]
    assert main([str(part) for part in command]) == 0
    made = read_audio(tmp_path / "out.wav")
    assert made.sample_rate == 24000
    assert 0.5 < len(made.samples) / made.sample_rate < 10
    assert np.isfinite(made.samples).all()
    assert np.abs(made.samples).max() > 0


def test_vocos(vocos: Path, tmp_path: Path) -> None:
    checkpoint = rt.convert(vocos, tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=400)
    mel = np.random.default_rng(5).normal(-2, 2, (400, BINS)).astype(np.float32)
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        made = executor.generate(mel=mel).audio
    assert made is not None
    weights, model = vocoder_of(checkpoint)
    assert distance(made, decode(weights, model, mel)) <= 1e-5
