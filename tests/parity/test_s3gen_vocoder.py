"""HiFT in an engine: random miniatures against the formulas in NumPy, and the golden run of the
original, stage by stage.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.convert import convert
from ttsrt_rt.synth import write_random_s3gen

from .s3gen_cases import GOLDEN, NEEDS_GOLDEN, distance, loaded, rows_of
from .s3gen_ops import Array
from .s3gen_vocoder_reference import Vocoder, faded

NEAR, OWN_SOURCE = 1e-5, 5e-4
HARMONICS, FRAME = 9, 480


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, Path]]:
    """Makes the checkpoint and the engine of the golden or of a random miniature."""
    made: dict[str, tuple[Path, Path]] = {}

    def make(name: str) -> tuple[Path, Path]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            source = GOLDEN / "tiny" / "s3gen.safetensors"
            if name != "golden":
                source = write_random_s3gen(folder / "s3gen.safetensors", name, 5)
            checkpoint = convert(source, folder / "checkpoint", progress=False)
            rt.build(checkpoint, folder / "engine", max_batch_size=2, max_seq_len=128)
            made[name] = checkpoint, folder / "engine"
        return made[name]

    return make


def noise_of(vocoder: Vocoder, given: Array, phase: Array) -> tuple[Array, Array]:
    """Returns the source's noise as the reference takes it, and as a request does."""
    weight = vocoder.weights["vocoder.source"][0]
    row = weight @ given
    unit = (row / np.linalg.norm(weight)).reshape(-1, FRAME)
    phases = np.repeat(phase[None], len(unit), 0)
    return row, np.concatenate([unit, phases], 1).astype(np.float32)


def mel_of(frames: int, seed: int) -> Array:
    made: Array = np.random.default_rng(seed).normal(-2, 1.2, (frames, 80)).astype(np.float32)
    return made


@pytest.mark.parametrize("frames", [2, 3, 40])
def test_a_random_vocoder(engines: Callable[[str], tuple[Path, Path]], frames: int) -> None:
    checkpoint, engine = engines("tiny")
    vocoder, random = Vocoder(checkpoint), np.random.default_rng(frames)
    mel = mel_of(frames, 1)
    phase = np.concatenate([[0], random.uniform(-np.pi, np.pi, HARMONICS - 1)])
    row, given = noise_of(vocoder, random.normal(size=(HARMONICS, frames * FRAME)), phase)
    with rt.Executor(engine, trace=True) as executor:
        result = executor.generate(mel=mel, noise=given)
    taps = {
        each.name.removeprefix("vocoder."): np.asarray(each.values, np.float64)
        for each in result.trace
        if each.name.startswith("vocoder.")
    }
    f0 = vocoder.pitch(mel.astype(np.float64))
    assert distance(np.abs(taps["pitch"].reshape(-1)[:frames]), f0) < NEAR
    source = taps["source"].reshape(-1)[: frames * FRAME]
    assert distance(source, vocoder.source(f0, phase, row)) < OWN_SOURCE
    audio = vocoder.sound(mel.astype(np.float64), source)
    post = taps["post"].reshape(-1, 18)[: 120 * frames + 1]
    assert distance(post, vocoder.stages["conv_post"]) < NEAR
    assert len(result.audio) == frames * FRAME
    assert distance(result.audio, faded(audio)) < NEAR


@NEEDS_GOLDEN
def test_the_golden_run(engines: Callable[[str], tuple[Path, Path]]) -> None:
    checkpoint, engine = engines("golden")
    vocoder, golden = Vocoder(checkpoint), loaded("tiny/hift.npz")
    mel = np.ascontiguousarray(rows_of(golden["mel"]))
    _, given = noise_of(vocoder, golden["sine_noise"][0], golden["phase"][0, :, 0])
    with rt.Executor(engine) as executor:
        audio = executor.generate(mel=mel, noise=given).audio
    assert distance(audio, golden["audio_faded"][0]) < OWN_SOURCE


def test_sound_depends_on_the_seed_and_not_on_company(
    engines: Callable[[str], tuple[Path, Path]],
) -> None:
    _, engine = engines("tiny")
    with rt.Executor(engine) as executor:
        requests = [rt.Request(mel=mel_of(frames, frames), seed=frames) for frames in (9, 31)]
        together = executor.generate(requests)
        for request, result in zip(requests, together, strict=True):
            assert executor.generate(request).audio.tobytes() == result.audio.tobytes()
        other = executor.generate(mel=mel_of(9, 9), seed=10)
        assert other.audio.tobytes() != together[0].audio.tobytes()
