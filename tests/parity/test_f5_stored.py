"""Engines of F5-TTS and Vocos against the original: every flag, sampler and guidance.

Stored spectrograms and sounds are the original's (originals/f5.py), made from given noise; other
runs are compared with the maths in NumPy (f5_reference.py), which test_f5_reference.py compares
with the original.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.parity.f5_cases import (
    BATCH,
    BATCH_FLOW,
    DATA,
    FRAMES,
    NETWORKS,
    PROMPT_FRAMES,
    SAMPLES,
    SEED,
    batch_of,
    flow_of,
    inputs_of,
    kept,
)
from tests.parity.f5_reference import Reference
from tests.parity.test_f5_reference import converted, distance
from ttsrt_rt.f5 import F5Model
from ttsrt_rt.synth import write_random_vocos

CASES = np.load(DATA / "cases.npz")
Opened = Callable[[str], tuple[rt.Executor, Reference]]


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Maps the name of a network to an executor of its float32 engine and to its reference."""
    made: dict[str, tuple[rt.Executor, Reference]] = {}

    def make(name: str) -> tuple[rt.Executor, Reference]:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            checkpoint = converted(name, folder)
            rt.build(checkpoint, folder / "engine", max_seq_len=64)
            made[name] = rt.Executor(folder / "engine", device=NATIVE), Reference(checkpoint)
        return made[name]

    yield make
    for executor, _ in made.values():
        executor.close()


def request_of(run: dict[str, Any], **changes: Any) -> rt.Request:
    """Returns the request of a stored run."""
    given = inputs_of("tiny")
    fields: dict[str, Any] = {
        "text_ids": given["ids"],
        "context_embeddings": given["prompt"],
        "noise": given["x"],
        "edit_mask": run.get("edit_mask"),
        "flow": rt.Flow(duration=FRAMES, **flow_of(run)),
    }
    return rt.Request(**fields | changes)


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_runs(name: str, opened: Opened) -> None:
    run = SAMPLES[name]
    executor, _ = opened(run["network"])
    made = executor.generate(request_of(run)).spectrogram
    assert made is not None
    assert made.shape == (FRAMES, 100)
    assert distance(kept(made), CASES[f"sample.{name}"]) < 1e-3
    if name not in ("no_ref_audio", "lens", "edited"):
        np.testing.assert_array_equal(made[:PROMPT_FRAMES], inputs_of("tiny")["prompt"])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_network(name: str, opened: Opened) -> None:
    executor, reference = opened(name)
    given = inputs_of("tiny")
    run = {"steps": 2, "use_epss": False, "cfg": 1.5}
    made = executor.generate(request_of(run)).spectrogram
    expected = reference.sample(given["prompt"], given["ids"], given["x"], **run)
    assert distance(made, expected) < 2e-4


def test_runs_in_company_are_those_alone(opened: Opened) -> None:
    executor, _ = opened("v1")
    runs = [run for run in SAMPLES.values() if run["network"] == "v1"]
    together = executor.generate([request_of(run) for run in runs])
    for run, result in zip(runs, together, strict=True):
        alone = executor.generate(request_of(run))
        np.testing.assert_array_equal(result.spectrogram, alone.spectrogram)


@pytest.mark.parametrize("name", BATCH)
def test_batches(name: str, tmp_path: Path) -> None:
    """Samples of a batch are the original's: all of one batch, or of unequal lengths each alone."""
    rt.build(converted("v1", tmp_path), tmp_path / "engine", max_seq_len=64)
    given, flow = batch_of(name), flow_of(BATCH_FLOW)
    with F5Model(tmp_path / "engine", backend=NATIVE) as model:
        made, _ = model.sample(
            given["prompts"],
            given["text"],
            given["duration"],
            lens=given["lens"],
            noise=given["noise"],
            **flow,
        )
    assert made.shape == (3, FRAMES, 100)
    for index, frames in enumerate(given["frames"]):
        expected = CASES[f"batch.{name}.{index}"]
        assert distance(kept(made[index, :frames]), expected) < 1e-3
        assert not made[index, frames:].any()


def test_the_vocoder(tmp_path: Path) -> None:
    source = write_random_vocos(tmp_path / "vocos", seed=SEED)
    checkpoint = rt.convert(source, tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=64)
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        result = executor.generate(mel=inputs_of("tiny")["x"])
    assert result.audio is not None
    assert result.sample_rate == 24000
    assert len(result.audio) == (FRAMES - 1) * 256
    assert distance(result.audio[::16], CASES["vocos"]) < 1e-5
