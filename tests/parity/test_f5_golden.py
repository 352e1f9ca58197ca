"""The golden runs of F5-TTS 1.1.22 and Vocos 0.1.0: a network of version 1 with 8 guided steps, and
a vocoder.

The vocoder is in tests/data. The network's files are too large to be stored there: the folder
`f5/tiny_v1` with `config.json`, `model_1250000.safetensors`, `dit.npz` and `sample_s8.npz` is read
from the one that TTSRT_GOLDEN names, and its tests are skipped without it.
"""

from __future__ import annotations

import json
import lzma
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE

from .f5_cases import DATA
from .f5_networks import Array, distance
from .f5_reference import Reference

GOLDEN = Path(os.environ.get("TTSRT_GOLDEN", "")) / "f5" / "tiny_v1"
NEEDS_GOLDEN = pytest.mark.skipif(
    not (GOLDEN / "dit.npz").is_file(), reason="needs f5/tiny_v1 in the folder of TTSRT_GOLDEN"
)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    source = GOLDEN / "model_1250000.safetensors"
    config = GOLDEN / "config.json"
    return rt.convert(source, folder / "ckpt", variant="v1", config=config, progress=False)


def test_vocos(tmp_path: Path) -> None:
    packed = (DATA / "vocos_tiny" / "pytorch_model.bin.xz").read_bytes()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "pytorch_model.bin").write_bytes(lzma.decompress(packed))
    config = (DATA / "vocos_tiny" / "config.yaml").read_text("utf-8")
    (tmp_path / "source" / "config.yaml").write_text(config, "utf-8")
    checkpoint = rt.convert(tmp_path / "source", tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=150)
    golden = np.load(DATA / "vocos_tiny" / "vocos.npz")
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        for frames, stride in ((5, 1), (64, 8), (150, 8)):  # of long waves, every 8th is stored
            made = executor.generate(mel=golden[f"mel_{frames}"]).audio
            assert made is not None
            assert made.shape == ((frames - 1) * 256,)
            assert distance(made[::stride], golden[f"wave_{frames}"]) <= 1e-5


@NEEDS_GOLDEN
def test_one_evaluation_of_the_converted_network(checkpoint: Path) -> None:
    """With the text and the prompt, without either, and without the prompt alone."""
    golden = np.load(GOLDEN / "dit.npz")
    network = Reference(checkpoint)
    x, cond = golden["x"][0].astype(np.float64), golden["cond"][0].astype(np.float64)
    ids = [int(index) for index in golden["text"][0] if index >= 0]
    with_text, without_text = (network.text(ids, len(x), dropped=each) for each in (False, True))
    for name, prompt, text in (
        ("out_cond", cond, with_text),
        ("out_uncond", np.zeros_like(cond), without_text),
        ("out_drop_audio_only", np.zeros_like(cond), with_text),
    ):
        made = network.evaluate(x, prompt, text, float(golden["time"][0]))
        assert distance(made, golden[name][0]) <= 5e-5


def start_of(state: Array, step: Callable[[Array], Array]) -> Array:
    """Returns the array that `step` turns into `state`, by Anderson's mixing of the last tries."""
    tries: list[Array] = [state.astype(np.float64)]
    misses: list[Array] = []
    for _ in range(120):
        misses.append(state - step(tries[-1]))
        if np.abs(misses[-1]).max() < 1e-5:
            return tries[-1]
        moved = np.stack([np.ravel(each) for each in tries[-24:]], 1)
        missed = np.stack([np.ravel(each) for each in misses[-24:]], 1)
        best = tries[-1] + misses[-1]
        if len(misses) > 1:
            changes = np.diff(missed, axis=1)
            mixing = np.linalg.lstsq(changes, missed[:, -1], rcond=1e-10)[0]
            best = best - ((np.diff(moved, axis=1) + changes) @ mixing).reshape(state.shape)
        tries.append(best)
    raise AssertionError("the mixing did not end")


@NEEDS_GOLDEN
@pytest.mark.parametrize("no_ref_audio", [False, True])
def test_one_evaluation_of_the_engine(no_ref_audio: bool, checkpoint: Path, tmp_path: Path) -> None:
    """Velocities at the stored state and time. A request begins with noise at time 0, so the noise
    is looked for from which the first of two steps leads there.
    """
    golden = np.load(GOLDEN / "dit.npz")
    state, time = golden["x"][0], float(golden["time"][0])
    prompt = golden["cond"][0][: int(golden["ref_frames"])]
    sway = (time - 0.5) / (np.cos(np.pi / 4) - 0.5)  # of two steps, the second begins there
    strength = 1e-4  # both branches are evaluated, and the step is nearly that of the first one
    flow = rt.Flow(
        steps=2, sway_sampling_coef=sway, cfg_strength=strength, no_ref_audio=no_ref_audio
    )
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=64)
    with rt.Executor(tmp_path / "engine", device=NATIVE, trace=True) as executor:

        def velocities(noise: Array) -> list[tuple[Array, Array]]:
            trace = executor.generate(
                text_ids=[int(index) for index in golden["text"][0]],
                context_embeddings=prompt,
                noise=noise.astype(np.float32),
                flow=flow,
                return_audio=False,
            ).trace
            both = [each.values for each in trace if each.name == "flow.velocity"]
            return [(each[: len(state)], each[len(state) :]) for each in both]

        def step(noise: Array) -> Array:
            cond, uncond = velocities(noise)[0]
            moved: Array = noise + time * (cond + strength * (cond - uncond))
            return moved

        cond, uncond = velocities(start_of(state, step))[1]
    name = "out_drop_audio_only" if no_ref_audio else "out_cond"
    assert distance(cond, golden[name][0]) <= 5e-5
    assert distance(uncond, golden["out_uncond"][0]) <= 5e-5


def golden_request(golden: Any) -> rt.Request:
    """The stored run, from the noise that it began with."""
    options = json.loads(str(golden["kwargs"]))
    return rt.Request(
        text_ids=[int(index) for index in golden["text"][0] if index >= 0],
        context_embeddings=golden["ref"][0],
        noise=golden["noise"][0],
        flow=rt.Flow(
            steps=options["steps"],
            cfg_strength=options["cfg_strength"],
            sway_sampling_coef=options["sway_sampling_coef"],
            duration=int(golden["duration"]),
        ),
    )


def engine_run(checkpoint: Path, folder: Path, golden: Any, trace: bool) -> rt.Result:
    rt.build(checkpoint, folder / "engine", max_seq_len=64, overwrite=True)
    with rt.Executor(folder / "engine", device=NATIVE, trace=trace) as executor:
        return executor.generate(golden_request(golden))


@NEEDS_GOLDEN
@pytest.mark.parametrize("trace", [False, True])
def test_a_guided_sample(trace: bool, checkpoint: Path, tmp_path: Path) -> None:
    """Without a trace, the last evaluation leaves frames of the prompt out."""
    golden = np.load(GOLDEN / "sample_s8.npz")
    made = engine_run(checkpoint, tmp_path, golden, trace).spectrogram
    assert made is not None
    assert distance(made, golden["mel"][0]) <= 1e-3
    np.testing.assert_array_equal(made[: len(golden["ref"][0])], golden["ref"][0])


@NEEDS_GOLDEN
def test_the_steps_of_the_trajectory(checkpoint: Path, tmp_path: Path) -> None:
    """The guided velocity of every evaluation is a step between two stored states."""
    golden = np.load(GOLDEN / "sample_s8.npz")
    trace = engine_run(checkpoint, tmp_path, golden, True).trace
    velocities: list[Array] = [each.values for each in trace if each.name == "flow.velocity"]
    states, times = golden["trajectory"][:, 0], golden["time_grid"]
    assert len(velocities) == len(times) - 1
    frames = len(states[0])
    for index, both in enumerate(velocities):
        guided = both[:frames] + 2.0 * (both[:frames] - both[frames:])
        step = (states[index + 1] - states[index]) / (times[index + 1] - times[index])
        # Only the first evaluation starts from given numbers, the noise. Its step is short, so the
        # difference of two states has lost digits.
        assert distance(guided, step) <= (2e-4 if index == 0 else 1e-3)
