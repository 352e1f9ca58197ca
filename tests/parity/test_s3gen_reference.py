"""Converted S3Gens, computed in NumPy, against golden runs of the original, stage by stage.

Needs no engine, so a failure here is the converter's or the formulas'.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert

from .s3gen_cases import GOLDEN, NEEDS_GOLDEN, distance, loaded, rows_of
from .s3gen_ops import Array
from .s3gen_reference import Flow, times
from .s3gen_vocoder_reference import Vocoder, faded

pytestmark = NEEDS_GOLDEN

KINDS = {"tiny": "s3gen", "tiny_meanflow": "s3gen_meanflow"}
NEAR = 1e-5
BY_ROWS = ("embed", "lookahead", "up_embed", "after_norm", "mu")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            source = GOLDEN / case / f"{KINDS[case]}.safetensors"
            made[case] = convert(source, folder / "ckpt", progress=False)
        return made[case]

    return make


def solved(flow: Flow, golden: dict[str, Array]) -> Array:
    return flow.solve(
        golden["token"][0],
        golden["prompt_token"][0],
        golden["prompt_feat"][0],
        golden["embedding"][0],
        golden["noise"][0].T,
    )


@pytest.mark.parametrize("case", KINDS)
def test_the_token_encoder(case: str, checkpoint: Callable[[str], Path]) -> None:
    flow, golden = Flow(checkpoint(case)), loaded(f"{case}/flow.npz")
    flow.encode(np.concatenate([golden["prompt_token"][0], golden["token"][0]]))
    flow.speaker(golden["embedding"][0])
    blocks = [name for name in golden if name.startswith(("encoder_", "up_encoder_"))]
    assert len(blocks) == 6
    for name in (*BY_ROWS, *blocks):
        assert distance(flow.stages[name], golden[name][0]) < NEAR, name
    assert distance(flow.stages["upsampled"], rows_of(golden["upsampled"])) < NEAR
    assert distance(flow.stages["spk"], golden["spk"][0]) < NEAR


@pytest.mark.parametrize("case", KINDS)
def test_the_flow(case: str, checkpoint: Callable[[str], Path]) -> None:
    flow, golden = Flow(checkpoint(case)), loaded(f"{case}/flow.npz")
    mel = solved(flow, golden)
    for branch, stages in enumerate(flow.first):  # of the first step
        for name, ours in (
            ("down_resnet", stages["resnet_0"].T),
            ("down_block0", stages["block_0_0"]),
            ("mid_last", stages["block_2_0"]),
            ("final_block", stages["final_block"].T),
        ):
            assert distance(ours, golden[f"step0_{name}"][branch]) < NEAR, (branch, name)
    steps = (0, 1, -1) if case == "tiny" else (0, 1)
    for step, stored in zip(steps, golden["velocity"], strict=True):
        for ours, branch in zip(flow.velocities[step], stored, strict=True):
            assert distance(ours.T, branch) < NEAR, step
    assert distance(mel.T, golden["mel"][0]) < NEAR


@pytest.mark.parametrize("case", KINDS)
def test_times(case: str, checkpoint: Callable[[str], Path]) -> None:
    flow, golden = Flow(checkpoint(case)), loaded(f"{case}/flow.npz")
    solved(flow, golden)
    grid = times(flow.defaults["steps"], is_cosine=case == "tiny")
    calls = [grid[:-1]] if case == "tiny" else [grid[:-1], grid[1:]]
    made = np.array([[flow.moment(at) for at in each] for each in zip(*calls, strict=True)])
    stored = golden["time_mlp"][:, 0].reshape(made.shape)
    assert distance(made, stored) < NEAR
    assert distance(made, stored) < NEAR


@pytest.mark.parametrize("case", KINDS)
def test_a_schedule_of_chunks(case: str, checkpoint: Callable[[str], Path]) -> None:
    flow, golden = Flow(checkpoint(case)), loaded(f"{case}/flow.npz")
    made = flow.solve_in_chunks(
        golden["token"][0],
        golden["prompt_token"][0],
        golden["prompt_feat"][0],
        golden["embedding"][0],
        golden["noise"][0].T,
        (3, 6, 8),
    )
    assert distance(made.T, golden["mel_chunks"][0]) < NEAR
    assert distance(golden["mel"], golden["mel_chunks"]) > 0.05  # chunks are not the whole


def test_the_vocoder(checkpoint: Callable[[str], Path]) -> None:
    vocoder, golden = Vocoder(checkpoint("tiny")), loaded("tiny/hift.npz")
    mel = rows_of(golden["mel"])
    f0 = vocoder.pitch(mel)
    assert distance(f0, golden["f0"][0]) < NEAR
    noise = vocoder.noise(golden["sine_noise"][0])
    source = vocoder.source(f0, golden["phase"][0, :, 0], noise)
    assert distance(source, golden["source"][0, 0]) < 5e-4
    audio = vocoder.sound(mel, golden["source"][0, 0].astype(np.float64))
    names = [f"{name}_{i}" for i in range(3) for name in ("up", "source_down", "source_res")]
    for name in ("conv_pre", "conv_post", *names, *(f"res_{i}_0" for i in range(3))):
        assert distance(vocoder.stages[name], rows_of(golden[name])) < NEAR, name
    assert distance(audio, golden["audio"][0]) < NEAR
    assert distance(faded(audio), golden["audio_faded"][0]) < NEAR
    assert distance(vocoder.sound(mel, source), golden["audio"][0]) < 1e-3


def test_windows_of_the_vocoder_are_the_whole(checkpoint: Callable[[str], Path]) -> None:
    """Pieces of the sound need 15 frames of both sides, and 5 more for the pitch; the source needs
    one number.
    """
    vocoder, random = Vocoder(checkpoint("tiny")), np.random.default_rng(4)
    mel = random.normal(-2, 1.2, (60, 80))
    phase, frame = np.concatenate([[0], random.uniform(-np.pi, np.pi, 8)]), vocoder.frame
    noise = random.normal(size=60 * frame)
    f0 = vocoder.pitch(mel)
    source = vocoder.source(f0, phase, noise)
    whole = vocoder.sound(mel, source)
    edges = (0, 20, 37, 60)
    carried = 0.0
    for begin, end in pairwise(edges):
        near = slice(max(0, begin - 5), min(60, end + 5))
        own = vocoder.pitch(mel[near])[begin - near.start :][: end - begin]
        np.testing.assert_allclose(own, f0[begin:end], rtol=1e-12)
        samples = slice(begin * frame, end * frame)
        piece = vocoder.source(own, phase, noise[samples], carried)
        np.testing.assert_allclose(piece, source[samples], rtol=0, atol=1e-10)
        carried = vocoder.cycles(own, carried)[1]
        low, high = max(0, begin - 15), min(60, end + 15)
        sound = vocoder.sound(mel[low:high], source[low * frame : high * frame])
        kept = sound[(begin - low) * frame :][: (end - begin) * frame]
        np.testing.assert_allclose(kept, whole[samples], rtol=0, atol=1e-12)
