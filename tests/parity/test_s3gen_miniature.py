"""Random miniatures of S3Gen, converted and computed from a recording to sound in NumPy.

Nothing here comes from the original: shapes, what must not depend on what, and that every number is
finite. test_s3gen_reference.py compares the same formulas with golden runs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.audio import Sound
from ttsrt_rt.convert import convert
from ttsrt_rt.synth import write_random_s3gen, write_random_voice_encoder
from ttsrt_rt.voice_from_audio import VoiceMaker

from .s3gen_ops import Array
from .s3gen_reference import Flow
from .s3gen_vocoder_reference import Vocoder, faded

SIZES = ("tiny", "tiny_meanflow")
MEL, SPEAKER = 80, 192


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(size: str) -> Path:
        if size not in made:
            folder = tmp_path_factory.mktemp(size)
            write_random_voice_encoder(folder / "ve.safetensors", size)
            source = write_random_s3gen(folder / "s3gen.safetensors", size, 5)
            made[size] = convert(source, folder / "ckpt", progress=False)
        return made[size]

    return make


def recording(samples: int) -> Array:
    """A buzz that glides, at 24000 samples per second."""
    t = np.arange(samples) / 24000
    phase = 2 * np.pi * np.cumsum(120 + 50 * np.sin(4 * t)) / 24000
    noise = 0.01 * np.random.default_rng(2).normal(size=samples)
    made: Array = sum(np.sin(k * phase) / k for k in range(1, 9)) * 0.1 + noise
    return made


def request(tokens: int, prompt: int, more: int = 0) -> tuple[Array, ...]:
    """Returns what a solve takes: a prompt of so many tokens, with `more` frames."""
    random = np.random.default_rng([tokens, prompt, more])
    frames = 2 * prompt + more
    return (
        random.integers(0, 6561, tokens),
        random.integers(0, 6561, prompt),
        random.normal(-4, 1.5, (frames, MEL)),
        random.normal(size=SPEAKER),
        random.normal(size=(2 * (prompt + tokens), MEL)),
    )


@pytest.mark.parametrize("size", SIZES)
def test_from_a_recording_to_sound(size: str, checkpoint: Callable[[str], Path]) -> None:
    folder, random = checkpoint(size), np.random.default_rng(1)
    sound = Sound(recording(24000).astype(np.float32)[:, None], 24000)
    heard = VoiceMaker(folder).make(sound).generator
    assert heard["prompt_token"].shape == (25,)
    assert heard["prompt_feat"].shape == (50, MEL)
    assert len(np.unique(heard["prompt_token"])) > 5
    assert heard["embedding"].shape == (SPEAKER,) and np.abs(heard["embedding"]).max() > 0.1

    flow, vocoder = Flow(folder), Vocoder(folder)
    tokens = random.integers(0, 6561, 7)
    noise = random.normal(size=(2 * 32, MEL))
    feat, embedding = (heard[name].astype(np.float64) for name in ("prompt_feat", "embedding"))
    prompt = heard["prompt_token"], feat, embedding
    mel = flow.solve(tokens, *prompt, noise)
    assert mel.shape == (14, MEL) and np.isfinite(mel).all() and mel.std() > 0.1
    pieces = flow.solve_in_chunks(tokens, *prompt, noise, (2, 5, 7))
    assert pieces.shape == mel.shape and np.isfinite(pieces).all()
    # The last chunk saw all tokens.
    np.testing.assert_array_equal(pieces[10:], mel[10:])
    assert np.abs(pieces[:10] - mel[:10]).max() > 0

    f0 = vocoder.pitch(mel)
    assert f0.shape == (14,) and (f0 >= 0).all()
    phase = np.concatenate([[0], random.uniform(-np.pi, np.pi, 8)])
    source = vocoder.source(f0, phase, vocoder.noise(random.normal(size=(9, 14 * 480))))
    audio = vocoder.sound(mel, source)
    assert audio.shape == (14 * 480,) and np.isfinite(audio).all()
    assert 1e-3 < np.abs(audio).max() <= 0.99
    assert not faded(audio)[:480].any()
    np.testing.assert_array_equal(faded(audio)[960:], audio[960:])


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("tokens", "prompt", "more", "frames"), [(1, 3, 0, 2), (4, 0, 0, 8), (3, 2, 1, 5), (1, 0, 0, 2)]
)
def test_lengths(
    size: str,
    tokens: int,
    prompt: int,
    more: int,
    frames: int,
    checkpoint: Callable[[str], Path],
) -> None:
    """A frame of the prompt beyond those of its tokens takes one from the sound."""
    flow, given = Flow(checkpoint(size)), request(tokens, prompt, more)
    assert flow.solve(*given).shape == (frames, MEL)
    assert flow.solve_in_chunks(*given, tuple(range(1, tokens + 1))).shape == (frames, MEL)


def test_guidance(checkpoint: Callable[[str], Path]) -> None:
    """Without guidance nothing but the conditioned branch counts; the other one hears no voice."""
    flow, given = Flow(checkpoint("tiny")), request(4, 3)
    plain = flow.solve(*given, guidance=0)
    assert all(len(branches) == 1 for branches in flow.velocities)
    np.testing.assert_allclose(flow.solve(*given, guidance=1e-12), plain, atol=1e-9)
    assert len(flow.velocities) == 10
    tokens, prompt_tokens, prompt, embedding, noise = given
    flow.solve(*given, steps=1)
    first = flow.velocities[0]
    flow.solve(tokens[::-1], prompt_tokens, prompt + 1, embedding[::-1], noise, steps=1)
    second = flow.velocities[0]
    np.testing.assert_array_equal(first[1], second[1])
    assert np.abs(first[0] - second[0]).max() > 1e-3


def test_mean_flow_is_told_the_end_of_a_step(checkpoint: Callable[[str], Path]) -> None:
    flow = Flow(checkpoint("tiny_meanflow"))
    assert np.abs(flow.time(0.0, 0.5) - flow.time(0.0, 1.0)).max() > 1e-3
    guided = Flow(checkpoint("tiny"))
    np.testing.assert_array_equal(guided.time(0.0, 0.5), guided.time(0.0, 1.0))


def test_a_later_token_changes_all_frames(checkpoint: Callable[[str], Path]) -> None:
    """The encoder's attention sees everything, so that nothing can be known before the end."""
    flow, ids = Flow(checkpoint("tiny")), np.arange(12)
    first = flow.encode(ids)
    ids[-1] = 6000
    assert (np.abs(flow.encode(ids) - first).max(1) > 0).all()


def test_pitches(checkpoint: Callable[[str], Path]) -> None:
    """Below 10 Hz there is only noise; harmonics beyond half of the sample rate are kept."""
    vocoder, random = Vocoder(checkpoint("tiny")), np.random.default_rng(6)
    noise, phase = random.normal(size=4 * 480), np.zeros(9)
    quiet = vocoder.source(np.full(4, 10.0), phase, noise)
    expected = np.tanh(0.1 / 3 * noise + vocoder.weights["vocoder.source_bias"][0])
    np.testing.assert_allclose(quiet, expected, rtol=1e-12)
    high = np.full(4, 1500.0)  # the ninth harmonic is at 13500 Hz
    cycles, end = vocoder.cycles(high)
    assert cycles[0] == pytest.approx(1500 / 24000) and end == pytest.approx(0, abs=1e-9)
    weight = vocoder.weights["vocoder.source"][0]
    angle = 2 * np.pi * np.arange(1, 10)[:, None] * cycles
    loud = vocoder.source(high, phase, 0 * noise)
    expected = np.tanh(0.1 * weight @ np.sin(angle) + vocoder.weights["vocoder.source_bias"][0])
    np.testing.assert_allclose(loud, expected, atol=1e-9)
