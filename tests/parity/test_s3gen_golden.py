"""Engines of converted S3Gens against golden runs of the original, stage by stage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES
from ttsrt_rt.convert import convert

from .s3gen_cases import GOLDEN, NEEDS_GOLDEN, distance, loaded, rows_of
from .s3gen_engines import LIMITS, request_of, trace_of
from .s3gen_ops import Array

pytestmark = NEEDS_GOLDEN

KINDS = {"tiny": "s3gen", "tiny_meanflow": "s3gen_meanflow"}
# What stages of ours are called there, and how far they may be away, in parts of the largest value.
# The estimator's are of the first step. CPU and GPU compute in float32, as the original does.
NEAR = {"reference": 1e-5, "cpu": 2e-5, "cuda": 2e-5}
NEAR_MEL = {"reference": 1e-5, "cpu": 1e-4, "cuda": 1e-4}
ENCODER = {
    "encoder.embed": "embed",
    "encoder.lookahead": "lookahead",
    "encoder.layers.0": "encoder_0",
    "encoder.layers.1": "encoder_1",
    "encoder.up_embed": "up_embed",
    **{f"encoder.up_layers.{i}": f"up_encoder_{i}" for i in range(4)},
    "encoder.norm_out": "after_norm",
    "encoder.output": "mu",
}
ESTIMATOR = {
    "flow.stages.0.residual": "down_resnet",
    "flow.stages.0.layers.0": "down_block0",
    "flow.stages.2.layers.0": "mid_last",
    "flow.final": "final_block",
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            source = GOLDEN / case / f"{KINDS[case]}.safetensors"
            checkpoint = convert(source, folder / "checkpoint", progress=False)
            leave_out_silence(checkpoint)
            made[case] = folder / "engine"
            rt.build(checkpoint, made[case], progress=False, **LIMITS)
        return made[case]

    return make


def leave_out_silence(checkpoint: Path) -> None:
    """The golden tokens are what the flow takes: nothing is appended to them."""
    path = checkpoint / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config["defaults"]["silence_tokens"] = 0
    path.write_text(json.dumps(config), "utf-8")


def add_voice(executor: rt.Executor, golden: dict[str, Array]) -> None:
    executor.add_voice(
        "golden",
        embedding=golden["embedding"],
        prompt_token=golden["prompt_token"],
        prompt_feat=golden["prompt_feat"],
    )


def run(executor: rt.Executor, golden: dict[str, Array]) -> rt.Result:
    add_voice(executor, golden)
    tokens = golden["token"][0].astype(np.int32)
    request = request_of(tokens, voice="golden", noise=golden["noise"][0].T)
    return executor.generate(request, return_spectrogram=True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", KINDS)
def test_chunks(case: str, device: str, engine: Callable[[str], Path]) -> None:
    """The schedule of 3, 6, 9, ... tokens, each of which sees 3 more."""
    golden = loaded(f"{case}/flow.npz")
    tokens = golden["token"][0].astype(np.int32)
    flow = rt.Flow(mode="chunks", hops=(3,))
    with rt.Executor(engine(case), device=device) as executor:
        add_voice(executor, golden)
        request = request_of(tokens, voice="golden", noise=golden["noise"][0].T, flow=flow)
        result = executor.generate(request, return_spectrogram=True)
    assert result.finish_reason == "stop" and result.spectrogram is not None
    assert distance(result.spectrogram.T, golden["mel_chunks"][0]) < NEAR_MEL[device]
    difference = distance(golden["mel_chunks"], golden["mel"])
    assert 0.05 < difference < 0.25  # docs/chatterbox.md#chunks


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", KINDS)
def test_every_stage(case: str, device: str, engine: Callable[[str], Path]) -> None:
    golden = loaded(f"{case}/flow.npz")
    with rt.Executor(engine(case), device=device, trace=True) as executor:
        result = run(executor, golden)
    assert result.finish_reason == "stop" and result.spectrogram is not None
    near = NEAR[device]
    for ours, theirs in ENCODER.items():
        assert distance(trace_of(result, ours), golden[theirs][0]) < near, ours
    upsampled = trace_of(result, "encoder.upsampled")
    assert distance(upsampled, rows_of(golden["upsampled"])) < near
    assert distance(trace_of(result, "speaker"), golden["spk"]) < near
    for ours, theirs in ESTIMATOR.items():
        made, stored = trace_of(result, ours), golden[f"step0_{theirs}"]
        if theirs in ("down_resnet", "final_block"):
            stored = stored.transpose(0, 2, 1)
        assert distance(made.reshape(stored.shape), stored) < near, ours
    steps = (0, 1, 9) if case == "tiny" else (0, 1)
    for step, stored in zip(steps, golden["velocity"], strict=True):
        made = trace_of(result, "flow.velocity", step)
        assert distance(made.reshape(len(stored), -1, 80), stored.transpose(0, 2, 1)) < near, step
    assert distance(result.spectrogram.T, golden["mel"][0]) < NEAR_MEL[device]
