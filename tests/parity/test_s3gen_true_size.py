"""Both published S3Gens with random weights in their true sizes, from the original keys to sound.

Takes minutes and 4 GB of disk, so it runs only with TTSRT_TRUE_SIZE=1 in the environment
(scripts/slow_checks).
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE, NEEDS_GPU
from ttsrt_rt.convert import convert
from ttsrt_rt.synth import write_random_s3gen

from .s3gen_cases import distance
from .s3gen_engines import noise_of, request_of, tokens_of, trace_of, voice_of
from .s3gen_reference import Flow

pytestmark = pytest.mark.skipif(
    os.environ.get("TTSRT_TRUE_SIZE") != "1", reason="takes minutes: TTSRT_TRUE_SIZE=1 runs it"
)

LIMITS = {
    "max_batch_size": 1,
    "max_seq_len": 80,
    "max_encoder_input_len": 40,
    "max_input_len": 20,
}
SILENCE = {"cfm": 0, "meanflow": 3}


@pytest.mark.parametrize("size", SILENCE)
def test_one_evaluation_and_a_whole_request(size: str, tmp_path: Path) -> None:
    """The encoder's rows, and velocities of the first of one evaluation, are those of NumPy; and a
    request with the defaults makes sound.
    """
    source = write_random_s3gen(tmp_path / "s3gen.safetensors", size, 1)
    checkpoint = convert(source, tmp_path / "ckpt", progress=False)
    source.unlink()
    rt.build(checkpoint, tmp_path / "engine", progress=False, **LIMITS)
    tokens, voice = tokens_of(12), voice_of(6)
    count = len(tokens) + SILENCE[size]
    noise = noise_of(2 * (6 + count))
    with rt.Executor(tmp_path / "engine", device=NATIVE, trace=True) as executor:
        executor.add_voice("voice", **voice)
        one = executor.generate(
            request_of(
                tokens, voice="voice", noise=noise, flow=rt.Flow(steps=1), return_audio=False
            )
        )
        whole = executor.generate(request_of(tokens, voice="voice", seed=1))
    flow = Flow(checkpoint)
    silence = [flow.defaults["silence_token"]] * SILENCE[size]
    flow.solve(
        np.concatenate([tokens, np.array(silence, np.int64)]),
        voice["prompt_token"],
        voice["prompt_feat"],
        voice["embedding"],
        noise,
        steps=1,
    )
    assert distance(trace_of(one, "encoder.output"), flow.stages["mu"]) < 2e-5
    velocity = np.concatenate(flow.velocities[0])
    assert distance(trace_of(one, "flow.velocity"), velocity) < 2e-5
    assert whole.audio is not None and whole.audio.shape == (960 * count,)
    assert np.isfinite(whole.audio).all() and np.abs(whole.audio).max() > 1e-3


@NEEDS_GPU
@pytest.mark.parametrize("size", SILENCE)
def test_a_gpu_speaks_32_streams_in_4_gigabytes(size: str, tmp_path: Path) -> None:
    """With the default lengths, behind voices of 10 seconds; one of them alone is the same."""
    source = write_random_s3gen(tmp_path / "s3gen.safetensors", size, 1)
    checkpoint = convert(source, tmp_path / "ckpt", progress=False)
    source.unlink()
    rt.build(checkpoint, tmp_path / "engine", progress=False, dtype="bfloat16", max_batch_size=32)
    requests = [
        request_of(tokens_of(60 + 7 * seed), voice="voice", seed=seed, return_spectrogram=True)
        for seed in range(32)
    ]
    with rt.Executor(tmp_path / "engine", device="cuda") as executor:
        info = executor.info
        taken = (
            info.weight_bytes
            + info.state_bytes
            + info.activation_bytes
            + info.scratch_bytes
            + info.graph_bytes
        )
        print(f"{size}: {taken / 1e9:.2f} GB for 32 streams")
        executor.add_voice("voice", **voice_of(250))
        crowd = executor.generate(requests)
        alone = executor.generate(requests[9])
    assert 0 < taken <= 4e9
    for result in crowd:
        assert result.finish_reason == "stop" and result.audio is not None, result.error
        assert np.isfinite(result.audio).all()
    assert alone.spectrogram is not None and crowd[9].spectrogram is not None
    np.testing.assert_array_equal(alone.spectrogram, crowd[9].spectrogram)
    np.testing.assert_array_equal(alone.audio, crowd[9].audio)
