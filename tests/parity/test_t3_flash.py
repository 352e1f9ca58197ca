"""Block diffusion against `chatterbox-flash`: NumPy's form of its loop, and our runs of both.

The model is random and comes from a seed; the original's tokens were recorded with our random
numbers in the place of its own (originals/flash.py). Our cfg_scale is 1 + the original's.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.parity.flash_reference import BOS, FlashModel, FlashOptions, generate
from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.synth import write_random_t3

GOLDEN = json.loads(
    (Path(__file__).resolve().parents[1] / "data" / "chatterbox" / "flash.json").read_text()
)
RUNS: dict[str, dict[str, Any]] = GOLDEN["runs"]
MASK = 8194
ENDED = [run for run in RUNS if run.startswith("ended")]
WHOLE = [run for run in RUNS if run not in ENDED]
# The reference is slow. It runs what differs from the others in kind, not in length.
BRIEF = ["plain", "early", "fixed", "one_step", "drawn_early", "brief_text"]


def build_engine(checkpoint: Path, folder: Path, **options: Any) -> Path:
    rt.build(checkpoint, folder, max_seq_len=options.pop("max_seq_len", 160), **options)
    return folder


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("flash")
    source = write_random_t3(folder / "t3_flash.safetensors", "tiny_flash", seed=5)
    return convert(source, folder / "checkpoint", progress=False)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Path:
    return build_engine(checkpoint, checkpoint.parent / "engine", dtype="float32")


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> FlashModel:
    with open_weights(checkpoint.parent / "t3_flash.safetensors") as weights:
        return FlashModel({name: weights[name].read() for name in weights}, head_dim=16)


@pytest.fixture(scope="module")
def prefix(engine: Path) -> NDArray[np.float32]:
    with rt.Executor(engine, device=NATIVE) as executor:
        executor.add_voice("golden", **speaker())
        return executor.voice_embeddings("golden")


def speaker() -> dict[str, Any]:
    return {
        "speaker_emb": np.array(GOLDEN["speaker_emb"], np.float32),
        "cond_prompt_speech_tokens": GOLDEN["prompt"],
        "emotion": 0.5,
    }


def request(run: str, **changed: Any) -> rt.Request:
    options = FlashOptions(**(RUNS[run]["options"] | changed))
    return rt.Request(
        text_ids=RUNS[run]["text_ids"],
        voice="golden",
        cfg_scale=1.0 + options.weight,
        temperature=options.temperature,
        seed=options.seed,
        max_frames=options.frames,
        block=rt.BlockDiffusion(
            steps=options.steps, early=options.early, shift=options.shift, noise=options.noise
        ),
        prior=None,
    )


@pytest.mark.parametrize("run", RUNS)
def test_the_reference_gives_the_originals_tokens(
    run: str, model: FlashModel, prefix: NDArray[np.float32]
) -> None:
    options = FlashOptions(**RUNS[run]["options"])
    made = generate(model, prefix.astype(np.float64), RUNS[run]["text_ids"], options)
    assert made.tokens == RUNS[run]["tokens"]
    assert made.passes == RUNS[run]["passes"]


def test_the_checkpoint_has_the_originals_prior(checkpoint: Path, model: FlashModel) -> None:
    with open_weights(checkpoint / "model.safetensors") as weights:
        prior = weights["block_prior"].read()
    np.testing.assert_allclose(prior[:: len(prior) // 16], GOLDEN["prior"], rtol=1e-5)
    np.testing.assert_allclose(prior, model.prior(16), rtol=1e-5)
    assert prior.sum() == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(("device", "runs"), [("reference", BRIEF), (NATIVE, WHOLE)])
def test_tokens(device: str, runs: list[str], engine: Path) -> None:
    """Greedy and drawn, guided and plain, with and without noise, in blocks that end short."""
    with rt.Executor(engine, device=device) as executor:
        executor.add_voice("golden", **speaker())
        for run in runs:
            result = executor.generate(request(run))
            assert result.codes[:, 0].tolist() == RUNS[run]["tokens"], run
            assert result.finish_reason == "length"


def test_the_first_logits(engine: Path, model: FlashModel, prefix: NDArray[np.float32]) -> None:
    """Of both branches of the first block, which see the prompt or zeros in its place."""
    options = FlashOptions(**RUNS["guided"]["options"])
    ids = RUNS["guided"]["text_ids"]
    wanted = generate(model, prefix.astype(np.float64), ids, options).logits
    for device in ("reference", NATIVE):
        with rt.Executor(engine, device=device, trace=True) as executor:
            executor.add_voice("golden", **speaker())
            result = executor.generate(request("guided", frames=16))
        got = next(entry.values for entry in result.trace if entry.name == "logits")
        assert got.shape == (32, 8194)
        assert np.abs(got - np.concatenate(wanted)).max() < 1e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("device", [NATIVE, "reference:2"])
@pytest.mark.parametrize("run", ENDED)
def test_the_end_of_speech(run: str, device: str, checkpoint: Path, tmp_path: Path) -> None:
    """Where a block decides the id before other places, these stay masked, as in the original."""
    config = json.loads((checkpoint / "config.json").read_text())
    config["model"]["eos"] = RUNS[run]["options"]["eos"]
    other = tmp_path / "checkpoint"
    other.mkdir()
    (other / "model.safetensors").symlink_to(checkpoint / "model.safetensors")
    (other / "config.json").write_text(json.dumps(config))
    engine = build_engine(other, tmp_path / "engine", dtype="float32")
    with rt.Executor(engine, device=device) as executor:
        executor.add_voice("golden", **speaker())
        result = executor.generate(request(run))
    assert result.codes[:, 0].tolist() == RUNS[run]["tokens"]
    assert result.finish_reason == "stop"
    assert (MASK in result.codes) == (run == "ended_drawn")


@pytest.mark.parametrize(("device", "runs"), [("reference:2", BRIEF), (NATIVE, 2 * WHOLE)])
def test_tokens_in_a_crowd(device: str, runs: list[str], engine: Path) -> None:
    """Requests of several lengths and steps share prefixes while others come and go."""
    with rt.Executor(engine, device=device, max_batch_size=3) as executor:
        executor.add_voice("golden", **speaker())
        results = executor.generate([request(run) for run in runs])
    for run, result in zip(runs, results, strict=True):
        assert result.codes[:, 0].tolist() == RUNS[run]["tokens"], run


def test_a_crowd_changes_no_bit_of_reduced_weights(checkpoint: Path, tmp_path: Path) -> None:
    """Alone as in company, with bfloat16 and quantized weights."""
    for kind, name in (("dtype", "bfloat16"), ("quantization", "w8a16"), ("quantization", "w8a8")):
        engine = build_engine(checkpoint, tmp_path / name, **{kind: name})
        requests = [request(run) for run in ("guided", "drawn", "early", "plain")]
        with rt.Executor(engine, device=NATIVE, max_batch_size=4) as executor:
            executor.add_voice("golden", **speaker())
            together = executor.generate(requests)
            for asked, result in zip(requests, together, strict=True):
                assert executor.generate(asked).codes.tolist() == result.codes.tolist()


def test_a_stream_gives_whole_blocks(engine: Path) -> None:
    with rt.Executor(engine, device=NATIVE) as executor:
        executor.add_voice("golden", **speaker())
        events = list(executor.stream(request("early")))
        metrics = executor.generate(request("early")).metrics
    assert [len(event.codes) for event in events if len(event.codes)] == [16, 16, 5]
    tokens = [int(code) for event in events for code in event.codes[:, 0]]
    assert tokens == RUNS["early"]["tokens"]
    assert metrics.steps == sum(RUNS["early"]["passes"]) + 2  # each block but the last is left


def test_the_usual_length_is_the_originals(checkpoint: Path, tmp_path: Path) -> None:
    engine = build_engine(checkpoint, tmp_path / "engine", dtype="float32", max_seq_len=512)
    asked = request("one_step")
    with rt.Executor(engine, device=NATIVE) as executor:
        executor.add_voice("golden", **speaker())
        result = executor.generate(asked, max_frames=None)
        assert len(result.codes) == 300
        longer = executor.generate(asked, max_frames=None, text_ids=[255] + [9] * 58 + [0])
        assert len(longer.codes) == 360


def test_bad_requests_are_refused(engine: Path) -> None:
    with rt.Executor(engine, device=NATIVE) as executor:
        executor.add_voice("golden", **speaker())
        asked = request("guided")
        for changed in (
            {"block": rt.BlockDiffusion(steps=0)},
            {"block": rt.BlockDiffusion(early=-0.5)},
            {"block": rt.BlockDiffusion(shift=0.0)},
            {"block": rt.BlockDiffusion(noise=float("inf"))},
            {"repetition_penalty": 1.2},
            {"forced_codes": [[BOS]] * 16},
            {"max_frames": 150},
            {"stop_after_equal": 3},
            {"eos_method": "argmax_any"},
            {"strict_end": True},
            {"analyze_alignment": True},
        ):
            with pytest.raises(rt.ConfigError, match=next(iter(changed))):
                executor.generate(asked, **changed)


def test_what_the_engine_tells(engine: Path) -> None:
    info = rt.Engine.open(engine).info
    assert info.frame_stacking == 16
    assert info.special_ids["mask"] == MASK
