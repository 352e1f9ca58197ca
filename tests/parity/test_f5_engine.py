"""Runs random networks of flow matching and their vocoder through the public API, against the NumPy
of f5_reference.py: every flag and every field of a request, alone and in a crowd, by threads.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from ttsrt_rt.synth.f5_random import write_random_f5, write_random_vocos

from .f5_reference import Reference, decode

Array = NDArray[Any]
BINS, FRAMES, PROMPT, WORDS = 100, 40, 14, 19
LIMITS: dict[str, Any] = {
    "max_seq_len": 128,
    "max_input_len": 64,
    "max_encoder_input_len": 64,
    "max_num_tokens": 512,
}
V0: dict[str, Any] = {"text_mask_padding": False, "pe_attn_head": 1}
V1: dict[str, Any] = {"text_mask_padding": True, "pe_attn_head": None}
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "v0": ("tiny", "v0", V0),
    "v1": ("tiny", "v1", V1),
    "upsampled": ("tiny", "v1", {**V1, "text_embedding_average_upsampling": True}),
    "normed": ("tiny_norm", "v1", V1),
}
EDITED = [index % 5 != 2 for index in range(PROMPT)]
# Fields of Flow, and those of the request beside it; `reference` has other names for some.
RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "guided": ({"steps": 4, "sway_sampling_coef": -1.0}, {}),
    "epss": ({"steps": 7, "use_epss": True, "sway_sampling_coef": -1.0}, {}),
    "even": ({"steps": 5, "use_epss": False, "sway_sampling_coef": 0.0}, {}),
    "plain": ({"steps": 3, "cfg_strength": 0.0}, {}),
    "strong": ({"steps": 3, "cfg_strength": 3.5, "sway_sampling_coef": 0.4}, {}),
    "midpoint": ({"steps": 3, "method": "midpoint"}, {}),
    "no_ref_audio": ({"steps": 3, "no_ref_audio": True}, {}),
    "lens": ({"steps": 3, "lens": 9}, {}),
    "edited": ({"steps": 3}, {"edit_mask": EDITED}),
    "no_prompt": ({"steps": 3}, {"context_embeddings": None}),
}


def distance(got: Array, expected: Array) -> float:
    """The largest difference, of the largest value."""
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def inputs(frames: int = FRAMES, words: int = WORDS, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng([seed, frames])
    return {
        "text_ids": random.integers(0, 64, words).astype(np.int32),
        "context_embeddings": random.normal(-2, 2, (PROMPT, BINS)).astype(np.float32),
        "noise": random.normal(size=(frames, BINS)).astype(np.float32),
    }


def expected_of(network: Reference, flow: dict[str, Any], fields: dict[str, Any]) -> Array:
    given = {**inputs(), **fields}
    prompt = given["context_embeddings"]
    return network.sample(
        np.zeros((0, BINS)) if prompt is None else prompt,
        list(given["text_ids"]),
        given["noise"],
        steps=flow["steps"],
        cfg=flow.get("cfg_strength", 2.0),
        sway=flow.get("sway_sampling_coef", -1.0),
        use_epss=flow.get("use_epss", True),
        method=flow.get("method", "euler"),
        edit_mask=fields.get("edit_mask"),
        no_ref_audio=flow.get("no_ref_audio", False),
        **({"lens": flow["lens"]} if "lens" in flow else {}),
    )


@pytest.fixture(scope="session")
def checkpoint_of_f5(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Maps a network of NETWORKS to a checkpoint, with a vocoder inside."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(f"f5_{name}")
            size, variant, flags = NETWORKS[name]
            source = write_random_f5(folder / "model.safetensors", size, layout="reupload")
            (folder / "flags.json").write_text(json.dumps({"arch": flags}), "utf-8")
            rt.convert(
                source,
                folder / "checkpoint",
                variant=variant,
                config=folder / "flags.json",
                progress=False,
            )
            made[name] = folder / "checkpoint"
        return made[name]

    return make


@pytest.fixture(scope="session")
def engine_of_f5(checkpoint_of_f5: Callable[[str], Path]) -> Callable[..., Path]:
    """Maps a network and options of build to an engine."""

    def make(name: str, **options: Any) -> Path:
        checkpoint = checkpoint_of_f5(name)
        words = "-".join(f"{value}" for value in options.values())
        folder = checkpoint.parent / f"engine-{words}"
        if not folder.exists():
            rt.build(checkpoint, folder, **{**LIMITS, **options})
        return folder

    return make


@pytest.fixture(scope="module")
def executor(engine_of_f5: Callable[..., Path]) -> Iterator[rt.Executor]:
    with rt.Executor(engine_of_f5("v1"), device="cpu", num_threads=2) as opened:
        yield opened


@pytest.mark.parametrize("device", ["reference", "cpu"])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_is_the_originals(
    name: str,
    device: str,
    engine_of_f5: Callable[..., Path],
    checkpoint_of_f5: Callable[[str], Path],
) -> None:
    network = Reference(checkpoint_of_f5(name))
    runs = RUNS if name == "v1" else {"guided": RUNS["guided"]}
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


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_result_does_not_depend_on_others(dtype: str, engine_of_f5: Callable[..., Path]) -> None:
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
    engine = engine_of_f5("v1", dtype=dtype)
    with rt.Executor(engine, device="cpu", num_threads=1) as executor:
        alone = [executor.generate(request) for request in requests]
    for threads, order in itertools.product((1, 2, 3), (1, -1)):
        with rt.Executor(engine, device="cpu", num_threads=threads) as executor:
            together = executor.generate(requests[::order])[::order]
        for one, other in zip(alone, together, strict=True):
            assert one.audio is not None and one.spectrogram is not None
            np.testing.assert_array_equal(one.spectrogram, other.spectrogram)
            np.testing.assert_array_equal(one.audio, other.audio)


def test_seeds_draw_normal_noise(executor: rt.Executor) -> None:
    """A seed gives one result; another gives another. Without steps to speak of, noise remains."""
    fields: dict[str, Any] = {
        "text_ids": [1, 2, 3],
        "return_audio": False,
        "flow": rt.Flow(steps=2, duration=120),
    }
    one, same, other = (executor.generate(**fields, seed=seed).spectrogram for seed in (7, 7, 8))
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


def vocoder_of(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    network = Reference(folder)
    prefix = "vocoder." if "vocoder" in network.model else ""
    weights = {
        name.removeprefix(prefix): value
        for name, value in network.weights.items()
        if name.startswith(prefix)
    }
    return weights, network.model.get("vocoder", network.model)


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


def test_windows_with_a_halo_are_exact(executor: rt.Executor) -> None:
    """30 frames on each side of a window give the samples of the whole, bit for bit."""
    mel = np.random.default_rng(5).normal(-2, 2, (128, BINS)).astype(np.float32)
    whole = executor.generate(mel=mel).audio
    part = executor.generate(mel=mel[20:110]).audio
    assert whole is not None and part is not None
    np.testing.assert_array_equal(part[30 * 256 : 59 * 256], whole[50 * 256 : 79 * 256])


def test_audio_is_the_vocoders(
    executor: rt.Executor, checkpoint_of_f5: Callable[[str], Path]
) -> None:
    """The last frame of the prompt is the first that becomes sound, unless asked otherwise."""
    fields: dict[str, Any] = {"flow": rt.Flow(steps=2), "return_spectrogram": True}
    weights, model = vocoder_of(checkpoint_of_f5("v1"))
    for start in (None, 0, 20):
        result = executor.generate(**inputs(), **fields, audio_start=start)
        first = PROMPT - 1 if start is None else start
        assert result.spectrogram is not None and result.audio is not None
        assert len(result.audio) == (FRAMES - first - 1) * 256
        np.testing.assert_array_equal(result.spectrogram[:PROMPT], inputs()["context_embeddings"])
        assert distance(result.audio, decode(weights, model, result.spectrogram[first:])) <= 1e-5
    events = list(executor.stream(rt.Request(**inputs(), **fields)))
    sound = np.concatenate([each.audio for each in events if each.audio is not None])
    np.testing.assert_array_equal(sound, executor.generate(**inputs(), **fields).audio)


def test_a_voice_is_a_prompt(executor: rt.Executor) -> None:
    given = inputs()
    flow = rt.Flow(steps=2)
    expected = executor.generate(**given, flow=flow).audio
    executor.add_voice("prompt", embeddings=given.pop("context_embeddings"))
    try:
        np.testing.assert_array_equal(
            executor.generate(**given, voice="prompt", flow=flow).audio, expected
        )
    finally:
        executor.remove_voice("prompt")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no text": ({"text_ids": np.zeros(0, np.int32)}, "text_ids"),
    "an id": ({"text_ids": [64]}, "text_ids[0]"),
    "a padding id": ({"text_ids": [3, -1]}, "text_ids[1]"),
    "a long text": ({"text_ids": [1] * 65}, "text_ids"),
    "no duration": ({"noise": None}, "flow.duration"),
    "a long duration": ({"noise": None, "flow": {"duration": 129}}, "flow.duration"),
    "a squeezed text": (
        {"noise": None, "flow": {"duration": 60, "max_duration": 19}},
        "flow.max_duration",
    ),
    "other noise": ({"flow": {"duration": 41}}, "noise"),
    "narrow noise": ({"noise": np.zeros((40, 99), np.float32)}, "noise"),
    "infinite noise": ({"noise": np.full((40, 100), np.inf, np.float32)}, "noise"),
    "infinite prompt": (
        {"context_embeddings": np.full((3, 100), np.nan, np.float32)},
        "context_embeddings",
    ),
    "a long prompt": (
        {"context_embeddings": np.zeros((65, 100), np.float32)},
        "context_embeddings",
    ),
    "no steps": ({"flow": {"steps": 0}}, "flow.steps"),
    "many steps": ({"flow": {"steps": 129}}, "flow.steps"),
    "many midpoints": ({"flow": {"steps": 65, "method": "midpoint"}}, "flow.steps"),
    "a method": ({"flow": {"method": "rk4"}}, "flow.method"),
    "strength": ({"flow": {"cfg_strength": -1.0}}, "flow.cfg_strength"),
    "no strength": ({"flow": {"cfg_strength": float("nan")}}, "flow.cfg_strength"),
    "sway": ({"flow": {"sway_sampling_coef": -1.5}}, "flow.sway_sampling_coef"),
    "lens": ({"flow": {"lens": 15}}, "flow.lens"),
    "a short mask": ({"edit_mask": [1] * 13}, "edit_mask"),
    "a number in a mask": ({"edit_mask": [2] * 14}, "edit_mask[0]"),
    "audio_start": ({"audio_start": 39}, "audio_start"),
    "nothing asked": ({"return_audio": False, "return_spectrogram": False}, "return_audio"),
    "temperature": ({"temperature": 0.5}, "temperature"),
    "cfg_scale": ({"cfg_scale": 2.0}, "cfg_scale"),
    "max_frames": ({"max_frames": 10}, "max_frames"),
    "text and mel": ({"mel": np.zeros((4, 100), np.float32)}, "text_ids"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_makes_no_sense_is_refused(what: str, executor: rt.Executor) -> None:
    changed, field = REFUSED[what]
    fields = {**inputs(), **changed}
    fields["flow"] = rt.Flow(**fields.get("flow", {}))
    fields = {name: value for name, value in fields.items() if value is not None}
    with pytest.raises(rt.ConfigError, match=rf"^{field.replace('[', '.').replace(']', '.')}"):
        executor.generate(**fields)
    assert executor.generate(**inputs(), flow=rt.Flow(steps=1)).finish_reason == "stop"


def test_more_text_than_prompt_frames(
    executor: rt.Executor, checkpoint_of_f5: Callable[[str], Path]
) -> None:
    """Frames of the prompt's place are not silenced where the text has more ids than it frames."""
    given = {**inputs(words=30, seed=2), "noise": inputs()["noise"]}
    result = executor.generate(**given, flow=rt.Flow(steps=3), return_audio=False)
    network = Reference(checkpoint_of_f5("v1"))
    expected = network.sample(
        given["context_embeddings"], list(given["text_ids"]), given["noise"], steps=3, sway=-1.0
    )
    assert result.spectrogram is not None
    assert distance(result.spectrogram, expected) <= 1e-3
    assert np.abs(result.spectrogram[PROMPT:30]).min() > 0


def test_a_cancelled_request_ends_alone(executor: rt.Executor) -> None:
    """Requests that end between evaluations leave the others as they are."""
    fields: dict[str, Any] = {**inputs(), "flow": rt.Flow(steps=16)}
    expected = executor.generate(**fields).audio
    kept = executor.submit(rt.Request(**fields))
    dropped = [executor.submit(rt.Request(**{**fields, "flow": rt.Flow(steps=128)})) for _ in "12"]
    for handle in dropped:
        handle.cancel()
    np.testing.assert_array_equal(kept.result().audio, expected)
    for handle in dropped:
        assert handle.result().finish_reason in ("cancelled", "stop")
    late = executor.submit(rt.Request(**{**fields, "deadline": 1e-4}))
    assert late.result().finish_reason in ("deadline", "stop")


def test_families_refuse_each_others_fields(executor: rt.Executor) -> None:
    with pytest.raises(rt.ConfigError, match=r"^flow: expected none"):
        executor.generate(mel=np.zeros((4, BINS), np.float32), flow=rt.Flow(steps=3))
    with pytest.raises(rt.ConfigError, match=r"^mel: expected"):
        executor.generate(mel=np.zeros((1, BINS), np.float32))
