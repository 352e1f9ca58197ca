"""Converted checkpoints of F5-TTS and Vocos, computed in NumPy, against the original.

Needs no engine, so a failure here is the converter's. What was stored is described in
originals/f5.py. Differences from the original: none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.f5_cases import (
    DATA,
    FRAMES,
    NETWORKS,
    PROMPT_FRAMES,
    SAMPLES,
    SEED,
    inputs_of,
    kept,
)
from tests.parity.f5_reference import Reference, decode, time_grid
from ttsrt_rt.convert import convert
from ttsrt_rt.synth import write_random_f5, write_random_vocos

CASES = np.load(DATA / "cases.npz")


def converted(name: str, folder: Path) -> Path:
    """Returns the converted checkpoint of a network."""
    case = NETWORKS[name]
    source = write_random_f5(folder / "model_1.safetensors", case["size"], SEED)
    config = folder / "config.json"
    config.write_text(json.dumps(case["flags"]), "utf-8")
    return convert(
        source,
        folder / "ckpt",
        family="f5",
        variant=case["variant"],
        config=config,
        progress=False,
    )


@pytest.fixture(scope="module")
def reference_of(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Maps the name of a network to its reference."""
    made: dict[str, Reference] = {}

    def make(name: str) -> Reference:
        if name not in made:
            made[name] = Reference(converted(name, tmp_path_factory.mktemp(name)))
        return made[name]

    return make


def distance(values: Any, expected: Any) -> float:
    """Returns the largest difference over the largest expected magnitude."""
    return float(np.abs(values - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("name", NETWORKS)
def test_both_branches_of_one_evaluation(name: str, reference_of: Any) -> None:
    reference, given = reference_of(name), inputs_of(NETWORKS[name]["size"])
    for branch, dropped in (("cond", False), ("uncond", True)):
        text = reference.text(given["ids"], FRAMES, dropped=dropped)
        cond = given["cond"] * (not dropped)
        got = reference.evaluate(given["x"], cond, text, given["time"])
        assert distance(kept(got), CASES[f"network.{name}.{branch}"]) < 5e-5


def test_networks_of_other_flags_differ() -> None:
    """The cases would notice a wrong flag."""
    names = ("v0", "v1", "masked_v0", "unmasked_v1", "upsampled")
    for index, one in enumerate(names):
        for other in names[index + 1 :]:
            arrays = [CASES[f"network.{name}.cond"] for name in (one, other)]
            assert distance(*arrays) > 1e-2


@pytest.mark.parametrize("name", SAMPLES)
def test_whole_runs(name: str, reference_of: Any) -> None:
    run = SAMPLES[name]
    given = inputs_of("tiny")
    flow = {key: value for key, value in run.items() if key != "network"}
    if "edit_mask" in flow:
        flow["edit_mask"] = np.array(flow["edit_mask"])
    got = reference_of(run["network"]).sample(given["prompt"], given["ids"], given["x"], **flow)
    assert distance(kept(got), CASES[f"sample.{name}"]) < 1e-3
    if name not in ("no_ref_audio", "lens", "edited"):
        np.testing.assert_array_equal(got[:PROMPT_FRAMES], given["prompt"])


def test_the_grid_of_time() -> None:
    points = [0, 0.004815, 0.019215, 0.043060, 0.076120, 0.292893, 0.617317, 1]
    np.testing.assert_allclose(time_grid(7, -1.0, True), points, atol=5e-7)


def test_the_vocoder(tmp_path: Path) -> None:
    source = write_random_vocos(tmp_path / "vocos", seed=SEED)
    folder = convert(source, tmp_path / "ckpt", progress=False)
    reference = Reference(folder)
    got = decode(reference.weights, reference.model, inputs_of("tiny")["x"])
    assert len(got) == (FRAMES - 1) * 256
    assert distance(got[::16], CASES["vocos"]) < 1e-5
