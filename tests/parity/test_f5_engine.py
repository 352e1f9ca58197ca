"""Runs random networks of flow matching and their vocoder through the public API, against the NumPy
of f5_reference.py: every flag, alone and in a crowd, by threads.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.synth.f5_random import write_random_vocos

from .f5_cases import SAMPLES, flow_of
from .f5_networks import BINS, FRAMES, NETWORKS, PROMPT, Array, distance, inputs, vocoder_of
from .f5_reference import Reference, decode

# Fields of Flow, and those of the request beside it.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    name: (flow_of(run), {key: run[key] for key in run if key == "edit_mask"})
    for name, run in SAMPLES.items()
}
RUNS["no_prompt"] = (flow_of({"steps": 3}), {"context_embeddings": None})


def expected_of(network: Reference, flow: dict[str, Any], fields: dict[str, Any]) -> Array:
    given = {**inputs(), **fields}
    prompt = given["context_embeddings"]
    return network.sample(
        np.zeros((0, BINS)) if prompt is None else prompt,
        list(given["text_ids"]),
        given["noise"],
        steps=flow["steps"],
        cfg=flow["cfg_strength"],
        sway=flow["sway_sampling_coef"],
        use_epss=flow["use_epss"],
        method=flow.get("method", "euler"),
        edit_mask=fields.get("edit_mask"),
        no_ref_audio=flow.get("no_ref_audio", False),
        **({"lens": flow["lens"]} if "lens" in flow else {}),
    )


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_the_originals(
    name: str,
    device: str,
    engine_of_f5: Callable[..., Path],
    checkpoint_of_f5: Callable[[str], Path],
) -> None:
    network = Reference(checkpoint_of_f5(name))
    runs = RUNS if name == "v1" else {"guided_v0": RUNS["guided_v0"]}
    with rt.Executor(engine_of_f5(name), device=device) as executor:
        for run, (flow, fields) in runs.items():
            result = executor.generate(
                **{**inputs(), **fields},
                flow=rt.Flow(**flow),
                return_audio=False,
            )
            assert result.finish_reason == "stop"
            assert result.audio is None and result.spectrogram is not None
            error = distance(result.spectrogram, expected_of(network, flow, fields))
            assert error <= 1e-3, f"{run}: {error}"


def test_one_evaluation_is_exact(
    engine_of_f5: Callable[..., Path], checkpoint_of_f5: Callable[[str], Path]
) -> None:
    """The velocities of both branches, at states that are the oracle's own."""
    network = Reference(checkpoint_of_f5("v1"))
    given = inputs()
    seen = np.zeros((FRAMES, BINS))
    seen[:PROMPT] = given["context_embeddings"]
    texts = [network.text(list(given["text_ids"]), FRAMES, dropped=each) for each in (False, True)]
    with rt.Executor(engine_of_f5("v1"), device="cpu", trace=True) as executor:
        result = executor.generate(**given, flow=rt.Flow(steps=1), return_audio=False)
    velocity = next(each.values for each in result.trace if each.name == "flow.velocity")
    expected = [
        network.evaluate(given["noise"].astype(np.float64), cond, text, 0.0)
        for cond, text in zip((seen, np.zeros_like(seen)), texts, strict=True)
    ]
    assert distance(velocity, np.concatenate(expected)) <= 5e-5


@pytest.mark.parametrize(
    ("dtype", "quantization"),
    [
        ("float32", "none"),
        ("bfloat16", "none"),
        ("float16", "none"),
        ("float32", "w8a8"),
        ("bfloat16", "w8a16"),
    ],
)
def test_a_result_does_not_depend_on_others(
    dtype: str, quantization: str, engine_of_f5: Callable[..., Path]
) -> None:
    """Mixed lengths, steps and guidance; any number of threads."""
    requests = [
        rt.Request(
            text_ids=inputs(words=words, seed=words)["text_ids"],
            context_embeddings=inputs(seed=words)["context_embeddings"],
            seed=words,
            return_spectrogram=True,
            flow=rt.Flow(steps=steps, cfg_strength=strength, duration=frames, method=method),
        )
        for words, steps, strength, frames, method in (
            (3, 4, 2.0, 33, "euler"),
            (19, 7, 0.0, 128, "euler"),
            (40, 3, 1.0, 77, "midpoint"),
            (11, 4, 2.0, 33, "euler"),
            (5, 6, 3.0, 64, "euler"),
        )
    ]
    engine = engine_of_f5("v1", dtype=dtype, quantization=quantization)
    with rt.Executor(engine, device="cpu", num_threads=1) as executor:
        alone = [executor.generate(request) for request in requests]
    for threads, order in itertools.product((1, 2, 3), (1, -1)):
        with rt.Executor(engine, device="cpu", num_threads=threads) as executor:
            together = executor.generate(requests[::order])[::order]
        for one, other in zip(alone, together, strict=True):
            assert one.audio is not None and one.spectrogram is not None
            np.testing.assert_array_equal(one.spectrogram, other.spectrogram)
            np.testing.assert_array_equal(one.audio, other.audio)


def test_seeds_draw_normal_noise(f5_executor: rt.Executor) -> None:
    """A seed gives one result; another gives another. Without steps to speak of, noise remains."""
    fields: dict[str, Any] = {
        "text_ids": [1, 2, 3],
        "return_audio": False,
        "flow": rt.Flow(steps=2, duration=120),
    }
    one, same, other = (f5_executor.generate(**fields, seed=seed).spectrogram for seed in (7, 7, 8))
    assert one is not None and same is not None and other is not None
    np.testing.assert_array_equal(one, same)
    assert distance(one, other) > 0.1


@pytest.mark.parametrize(
    ("dtype", "quantization", "most"),
    [
        ("bfloat16", "none", 3e-2),
        ("float16", "none", 2e-3),
        ("float32", "w8a16", 3e-2),
        ("bfloat16", "w8a16", 4e-2),
        ("float32", "w8a8", 6e-2),
        ("float32", "w4a16", 0.3),
        ("float32", "w4a8", 0.3),
    ],
)
def test_narrow_weights_stay_near(
    dtype: str,
    quantization: str,
    most: float,
    engine_of_f5: Callable[..., Path],
    record_property: Callable[[str, object], None],
) -> None:
    flow = rt.Flow(steps=4)
    results = []
    for options in ({"dtype": "float32"}, {"dtype": dtype, "quantization": quantization}):
        with rt.Executor(engine_of_f5("v1", **options), device="cpu") as executor:
            results.append(executor.generate(**inputs(), flow=flow, return_audio=False).spectrogram)
    exact, narrow = results
    assert exact is not None and narrow is not None
    error = float(np.sqrt(((exact - narrow)[PROMPT:] ** 2).mean() / (exact[PROMPT:] ** 2).mean()))
    record_property("relative distance", error)
    print(f"{dtype} {quantization}: relative distance {error:.2e}")
    assert 0 < error < most


def test_only_attention_and_feed_forward_are_quantized(engine_of_f5: Callable[..., Path]) -> None:
    from ttsrt_rt import _core

    tensors = _core.Engine.open(
        str(engine_of_f5("v1", dtype="bfloat16", quantization="w8a16"))
    ).tensors()
    for tensor in tensors:
        is_block = any(word in tensor.name for word in ("self_qkv", "self_out", "ffn_"))
        is_vocoder_or_text = tensor.name.startswith(("vocoder.", "text."))
        expected = is_block and not is_vocoder_or_text and not tensor.name.endswith("_bias")
        is_part = tensor.name.endswith((".scales", ".zeros"))
        assert is_part or ("w8a16" in tensor.layout) == expected, tensor.name
        if tensor.name.startswith(("modulation", "position_conv")) and "bias" not in tensor.name:
            assert tensor.dtype == "bfloat16"
        if is_vocoder_or_text:
            assert tensor.dtype == "float32"


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("padding", ["center", "same"])
def test_vocos_stands_alone(padding: str, device: str, tmp_path: Path) -> None:
    source = write_random_vocos(tmp_path / "vocos", seed=3)
    config = source / "config.yaml"
    config.write_text(config.read_text("utf-8").replace("center", padding), "utf-8")
    rt.convert(source, tmp_path / "checkpoint", progress=False)
    rt.build(tmp_path / "checkpoint", tmp_path / "engine", max_seq_len=256, max_num_tokens=512)
    weights, model = vocoder_of(tmp_path / "checkpoint")
    with rt.Executor(tmp_path / "engine", device=device) as executor:
        mels = [
            np.random.default_rng(frames).normal(-2, 2, (frames, BINS)).astype(np.float32)
            for frames in (2, 5, 150, 256)
        ]
        results = executor.generate([rt.Request(mel=mel) for mel in mels])
        for mel, result in zip(mels, results, strict=True):
            assert result.audio is not None and result.sample_rate == 24000
            assert len(result.audio) == (len(mel) - (padding == "center")) * 256
            assert distance(result.audio, decode(weights, model, mel)) <= 1e-5
            np.testing.assert_array_equal(result.audio, executor.generate(mel=mel).audio)
        assert results[2].metrics.rtf > 0


def test_windows_with_a_halo_are_exact(f5_executor: rt.Executor) -> None:
    """30 frames on each side of a window give the samples of the whole, bit for bit."""
    mel = np.random.default_rng(5).normal(-2, 2, (128, BINS)).astype(np.float32)
    whole = f5_executor.generate(mel=mel).audio
    part = f5_executor.generate(mel=mel[20:110]).audio
    assert whole is not None and part is not None
    np.testing.assert_array_equal(part[30 * 256 : 59 * 256], whole[50 * 256 : 79 * 256])


def test_audio_is_the_vocoders(
    f5_executor: rt.Executor, checkpoint_of_f5: Callable[[str], Path]
) -> None:
    """The last frame of the prompt is the first that becomes sound, unless asked otherwise."""
    fields: dict[str, Any] = {"flow": rt.Flow(steps=2), "return_spectrogram": True}
    weights, model = vocoder_of(checkpoint_of_f5("v1"))
    for start in (None, 0, 20):
        result = f5_executor.generate(**inputs(), **fields, audio_start=start)
        first = PROMPT - 1 if start is None else start
        assert result.spectrogram is not None and result.audio is not None
        assert len(result.audio) == (FRAMES - first - 1) * 256
        np.testing.assert_array_equal(result.spectrogram[:PROMPT], inputs()["context_embeddings"])
        assert distance(result.audio, decode(weights, model, result.spectrogram[first:])) <= 1e-5
    events = list(f5_executor.stream(rt.Request(**inputs(), **fields)))
    sound = np.concatenate([each.audio for each in events if each.audio is not None])
    np.testing.assert_array_equal(sound, f5_executor.generate(**inputs(), **fields).audio)


def test_a_voice_is_a_prompt(f5_executor: rt.Executor) -> None:
    given = inputs()
    flow = rt.Flow(steps=2)
    expected = f5_executor.generate(**given, flow=flow).audio
    f5_executor.add_voice("prompt", embeddings=given.pop("context_embeddings"))
    try:
        np.testing.assert_array_equal(
            f5_executor.generate(**given, voice="prompt", flow=flow).audio, expected
        )
    finally:
        f5_executor.remove_voice("prompt")
