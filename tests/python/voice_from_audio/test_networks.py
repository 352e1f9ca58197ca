"""The networks of a voice against the formulas, in float64, on random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert import convert
from ttsrt_rt.convert.checkpoint import open_tensors, read_config
from ttsrt_rt.synth import write_random_s3gen, write_random_voice_encoder
from ttsrt_rt.voice_from_audio.layers import Network, gelu, sigmoid, softmax
from ttsrt_rt.voice_from_audio.speaker_encoder import SpeakerEncoder
from ttsrt_rt.voice_from_audio.speech_tokenizer import SpeechTokenizer
from ttsrt_rt.voice_from_audio.voice_encoder import VoiceEncoder, windows

Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("s3gen")
    write_random_voice_encoder(folder / "ve.safetensors", "tiny")
    source = write_random_s3gen(folder / "s3gen.safetensors", "tiny", 5)
    return convert(source, folder / "ckpt", progress=False)


def opened(kind: type[Network], folder: Path) -> Any:
    config = read_config(folder)
    return kind(config["model"], open_tensors(folder, config))


def near(made: Array, expected: Array, within: float = 2e-5) -> None:
    assert made.dtype == np.float32
    assert np.abs(made - expected).max() <= within * np.abs(expected).max()


def test_activations() -> None:
    from math import erf

    x = np.linspace(-9, 9, 2001, dtype=np.float32)
    expected = np.array([0.5 * v * (1 + erf(v / 2**0.5)) for v in x.astype(float)])
    np.testing.assert_allclose(gelu(x), expected, atol=1e-6)
    np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x.astype(float))), atol=1e-6)
    assert sigmoid(np.float32([-1e4, 1e4])).tolist() == [0, 1]
    rows = softmax(np.float32([[1e4, 0, 1e4], [-1e4, 0, 0]]))
    np.testing.assert_array_equal(rows, [[0.5, 0, 0.5], [0, 0.5, 0.5]])


def test_a_convolution_is_the_sum_over_its_taps(checkpoint: Path) -> None:
    network = opened(SpeechTokenizer, checkpoint)
    with_taps = network.weight("convs.0").astype(float)  # [taps, inputs, outputs]
    x = np.random.default_rng(1).normal(size=(11, with_taps.shape[1])).astype(np.float32)
    padded = np.pad(x, ((1, 1), (0, 0))).astype(float)
    expected = [sum(padded[t + i] @ with_taps[i] for i in range(3)) for t in range(0, 11, 2)]
    expected += network.weight("convs.0_bias").astype(float)
    near(network.conv("convs.0", x, pad=1, stride=2), np.array(expected))


def test_planes_are_convolved_over_bands_and_time(checkpoint: Path) -> None:
    network = opened(SpeakerEncoder, checkpoint)
    weight = network.weight("head.output").astype(float)
    x = np.random.default_rng(2).normal(size=(weight.shape[1], 6, 7)).astype(np.float32)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1))).astype(float)
    expected = np.array(
        [
            [
                [(weight[n] * padded[:, b : b + 3, t : t + 3]).sum() for t in range(7)]
                for b in (0, 2, 4)
            ]
            for n in range(len(weight))
        ]
    )
    expected += network.weight("head.output_bias").astype(float)[:, None, None]
    near(network._planes("output", x, 2), expected)


def test_gates_see_the_mean_of_their_segment(checkpoint: Path) -> None:
    """The last segment's mean is over what it has, and a far row counts through the whole mean."""
    network = opened(SpeakerEncoder, checkpoint)
    features = np.random.default_rng(3).normal(size=(431, 80)).astype(np.float32)
    made = network.embed(features)
    assert made.shape == (network.model["embedding"],) and np.isfinite(made).all()
    changed = features.copy()
    changed[-1] += 1
    assert np.abs(network.embed(changed) - made).max() > 0
    assert np.isfinite(network.embed(features[:3])).all()


def test_windows_of_the_voice_encoder() -> None:
    """A window begins every 77 frames; the last one is kept if 128 of its 160 are sound."""
    for frames, count in ((1, 1), (159, 1), (160, 1), (204, 1), (205, 2), (237, 2), (282, 3)):
        features = np.arange(frames, dtype=np.float32)[:, None] + 1
        parts = windows(features)
        assert parts.shape == (count, 160, 1), frames
        for index, part in enumerate(parts[:, :, 0]):
            sound = part[part > 0]
            np.testing.assert_array_equal(sound, np.arange(len(sound)) + 77 * index + 1)


def test_an_lstm(checkpoint: Path) -> None:
    network = opened(VoiceEncoder, checkpoint)
    weights = {
        name: network.weight(f"layers.0.{name}").astype(float) for name in ("in", "again", "bias")
    }
    x = np.random.default_rng(4).normal(size=(5, 2, weights["in"].shape[1])).astype(np.float32)
    hidden = cell = np.zeros((2, network.model["dim"]))
    for row in x.astype(float):
        gates = row @ weights["in"].T + hidden @ weights["again"].T + weights["bias"]
        i, f, g, o = np.split(gates, 4, 1)
        cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        hidden = np.tanh(cell) / (1 + np.exp(-o))
    near(network._lstm("layers.0", x)[-1], hidden)


def test_the_speaker_of_several_windows_is_their_mean(checkpoint: Path) -> None:
    network = opened(VoiceEncoder, checkpoint)
    sound = np.random.default_rng(5).normal(size=40000).astype(np.float32)
    made = network.embed(sound)
    assert made.shape == (256,) and np.linalg.norm(made) == pytest.approx(1, abs=1e-6)


def test_tokens_are_digits_of_base_three(checkpoint: Path) -> None:
    network = opened(SpeechTokenizer, checkpoint)
    digits = np.float32([[-9, 0, 9, 0.5, -9, -9, -9, -9], [9] * 8, [-9] * 8])
    assert network._ids(digits).tolist() == [0 + 1 * 3 + 2 * 9 + 1 * 27, 6560, 0]


def test_long_recordings_are_heard_in_windows(checkpoint: Path) -> None:
    tokenizer, random = opened(SpeechTokenizer, checkpoint), np.random.default_rng(3)
    features = random.normal(0, 0.5, (5700, 128)).astype(np.float32)
    made = tokenizer.tokens(features)
    assert len(made) == 1425
    # Where the last window has 25 or 80 tokens, the windows have less in common than is dropped.
    assert len(tokenizer.tokens(features[:5300])) == 1325 - 50
    assert len(tokenizer.tokens(features[:5520])) == 1380 - 20
    np.testing.assert_array_equal(made[:700], tokenizer.tokens(features[:3000])[:700])
    np.testing.assert_array_equal(made[700:1350], tokenizer.tokens(features[2600:5600])[50:700])
    np.testing.assert_array_equal(tokenizer.tokens(features, 20), tokenizer.tokens(features[:80]))
