"""Runs random S3Gens through the public API, against the NumPy of s3gen_reference.py: both kinds of
flow, every length, alone and in a crowd, by threads.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE

from .s3gen_cases import distance
from .s3gen_engines import MEL, VOCAB, Engines, noise_of, request_of, tokens_of, trace_of, voice_of
from .s3gen_ops import Array
from .s3gen_reference import Flow

SIZES = ("tiny", "tiny_meanflow")
SILENCE = {"tiny": 0, "tiny_meanflow": 3}  # tokens that are appended
# Tokens, tokens of the prompt, frames that it has beyond those.
LENGTHS = ((1, 3, 0), (4, 0, 0), (3, 2, 1), (1, 0, 0), (17, 9, 1), (23, 12, 0))


def near(device: str) -> float:
    """How far spectrograms may be away, in parts of the largest value."""
    return 1e-5 if device == "reference" else 1e-4


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> Engines:
    return Engines(tmp_path_factory.mktemp("s3gen"))


@pytest.fixture(scope="module")
def executors(engines: Engines) -> Iterator[Callable[[str, str], rt.Executor]]:
    made: dict[tuple[str, str], rt.Executor] = {}

    def make(size: str, device: str = NATIVE) -> rt.Executor:
        if (size, device) not in made:
            executor = rt.Executor(engines.engine(size), device=device)
            for _, prompt, more in LENGTHS:
                name = f"v{prompt}.{more}"
                if name not in executor.voices():
                    executor.add_voice(name, **voice_of(prompt, more))
            made[size, device] = executor
        return made[size, device]

    yield make
    for executor in made.values():
        executor.close()


def solved(
    flow: Flow, size: str, tokens: Array, prompt: int, more: int, noise: Array, **options: Any
) -> Array:
    silence = [flow.defaults["silence_token"]] * SILENCE[size]
    voice = voice_of(prompt, more)
    return flow.solve(
        np.concatenate([tokens, np.array(silence, np.int64)]),
        voice["prompt_token"],
        voice["prompt_feat"],
        voice["embedding"],
        noise,
        **options,
    )


def spectrogram_of(result: rt.Result) -> Array:
    assert result.finish_reason == "stop", result.error
    assert result.spectrogram is not None
    return result.spectrogram


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", SIZES)
def test_lengths(
    size: str, device: str, engines: Engines, executors: Callable[[str, str], rt.Executor]
) -> None:
    flow = Flow(engines.checkpoint(size))
    for count, prompt, more in LENGTHS:
        tokens = tokens_of(count)
        noise = noise_of(2 * (prompt + count + SILENCE[size]))
        request = request_of(
            tokens, voice=f"v{prompt}.{more}", noise=noise, return_spectrogram=True
        )
        result = executors(size, device).generate(request)
        expected = solved(flow, size, tokens, prompt, more, noise)
        made = spectrogram_of(result)
        assert made.shape == (2 * (count + SILENCE[size]) - more, MEL)
        assert distance(made, expected) < near(device), (count, prompt, more)
        assert result.audio is not None and result.audio.shape == (480 * len(made),)
        assert np.isfinite(result.audio).all() and np.abs(result.audio).max() > 1e-3


@pytest.mark.parametrize(("steps", "guidance"), [(1, 0.7), (4, 0.0), (3, 2.5), (10, 0.7)])
def test_steps_and_guidance(
    steps: int,
    guidance: float,
    engines: Engines,
    executors: Callable[[str, str], rt.Executor],
) -> None:
    flow, tokens, noise = Flow(engines.checkpoint("tiny")), tokens_of(4), noise_of(14)
    options = rt.Flow(steps=steps, cfg_strength=guidance)
    request = request_of(tokens, voice="v3.0", noise=noise, flow=options, return_audio=False)
    result = executors("tiny", NATIVE).generate(request)
    expected = solved(flow, "tiny", tokens, 3, 0, noise, steps=steps, guidance=guidance)
    assert result.audio is None
    assert distance(spectrogram_of(result), expected) < near(NATIVE)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", SIZES)
def test_stages(size: str, device: str, engines: Engines) -> None:
    """Blocks of the encoder and of the estimator, and velocities of the first evaluation."""
    flow, tokens = Flow(engines.checkpoint(size)), tokens_of(9)
    frames = 2 * (9 + 4 + SILENCE[size])
    noise = noise_of(frames)
    with rt.Executor(engines.engine(size), device=device, trace=True) as executor:
        executor.add_voice("v4.0", **voice_of(4))
        request = request_of(tokens, voice="v4.0", noise=noise, return_audio=False)
        result = executor.generate(request)
    solved(flow, size, tokens, 4, 0, noise)
    for ours, theirs in (
        ("encoder.embed", "embed"),
        ("encoder.lookahead", "lookahead"),
        ("encoder.layers.1", "encoder_1"),
        ("encoder.upsampled", "upsampled"),
        ("encoder.up_embed", "up_embed"),
        ("encoder.up_layers.0", "up_encoder_0"),
        ("encoder.norm_out", "after_norm"),
        ("encoder.output", "mu"),
    ):
        assert distance(trace_of(result, ours), flow.stages[theirs]) < 2e-5, ours
    assert distance(trace_of(result, "speaker")[0], flow.stages["spk"]) < 2e-5
    for branch, stages in enumerate(flow.first):
        rows = slice(branch * frames, (branch + 1) * frames)
        for stage in range(4):
            made = trace_of(result, f"flow.stages.{stage}.layers.0")[rows]
            assert distance(made, stages[f"block_{stage}_0"]) < 2e-5, (branch, stage)
        velocity = trace_of(result, "flow.velocity")[rows]
        assert distance(velocity, flow.velocities[0][branch]) < 2e-5


@pytest.mark.parametrize(
    ("dtype", "quantization"),
    [("float32", "none"), ("bfloat16", "none"), ("float16", "none"), ("float32", "w8a8")],
)
@pytest.mark.parametrize("size", SIZES)
def test_a_result_does_not_depend_on_others(
    size: str, dtype: str, quantization: str, engines: Engines
) -> None:
    """Mixed lengths, steps and guidance; any number of threads; joined while others run."""
    guidances = (0.7, 0.0, 1.5) if size == "tiny" else (0.0, 0.0, 0.0)
    requests = [
        request_of(
            tokens_of(count),
            voice=f"v{prompt}.{more}",
            seed=index,
            flow=rt.Flow(steps=1 + index % 3, cfg_strength=guidances[index % 3]),
            return_spectrogram=True,
        )
        for index, (count, prompt, more) in enumerate(LENGTHS)
    ]
    engine = engines.engine(size, dtype=dtype, quantization=quantization)

    def run(threads: int, order: int) -> list[rt.Result]:
        with rt.Executor(engine, device=NATIVE, num_threads=threads) as executor:
            for prompt, more in {(prompt, more) for _, prompt, more in LENGTHS}:
                executor.add_voice(f"v{prompt}.{more}", **voice_of(prompt, more))
            if order == 0:
                return [executor.generate(request) for request in requests]
            return executor.generate(requests[::order])[::order]

    alone = run(1, 0)
    for threads, order in itertools.product((1, 2, 3), (1, -1)):
        for one, other in zip(alone, run(threads, order), strict=True):
            assert np.isfinite(spectrogram_of(one)).all()
            np.testing.assert_array_equal(spectrogram_of(one), spectrogram_of(other))
            assert one.audio is not None and other.audio is not None
            np.testing.assert_array_equal(one.audio, other.audio)


def test_builds_of_fewer_bits_are_near(engines: Engines) -> None:
    tokens, noise = tokens_of(20), noise_of(48)
    made = {}
    for dtype, quantization in (("float32", "none"), ("bfloat16", "none"), ("float32", "w8a16")):
        engine = engines.engine("tiny", dtype=dtype, quantization=quantization)
        with rt.Executor(engine, device=NATIVE) as executor:
            executor.add_voice("v4.0", **voice_of(4))
            request = request_of(tokens, voice="v4.0", noise=noise, return_audio=False)
            made[dtype, quantization] = spectrogram_of(executor.generate(request))
    exact = made.pop(("float32", "none"))
    for build, other in made.items():
        assert 0 < distance(other, exact) < 0.1, build


def test_seeds(executors: Callable[[str, str], rt.Executor]) -> None:
    """The numbers of a frame depend on its place behind the prompt: what a frame of noise is does
    not change with tokens that come later.
    """
    executor = executors("tiny", NATIVE)

    def run(count: int, seed: int) -> Array:
        flow = rt.Flow(steps=1, cfg_strength=0.0)
        request = request_of(
            tokens_of(count), voice="v3.0", seed=seed, flow=flow, return_audio=False
        )
        return spectrogram_of(executor.generate(request))

    np.testing.assert_array_equal(run(5, 7), run(5, 7))
    assert np.abs(run(5, 7) - run(5, 8)).max() > 0.1


def test_a_spectrogram_becomes_the_same_sound(
    executors: Callable[[str, str], rt.Executor],
) -> None:
    executor = executors("tiny", NATIVE)
    whole = executor.generate(
        request_of(tokens_of(6), voice="v3.0", seed=4, return_spectrogram=True)
    )
    again = executor.generate(rt.Request(mel=spectrogram_of(whole), seed=4))
    assert whole.audio is not None and again.audio is not None
    np.testing.assert_array_equal(whole.audio, again.audio)
    assert whole.sample_rate == 24000


def test_ids_that_are_no_sound(executors: Callable[[str, str], rt.Executor]) -> None:
    """What T3 draws beside sound is left out: all that is not between the ids of begin and end, and
    of mean flows only the ids themselves.
    """
    begin, end, odd = VOCAB, VOCAB + 1, VOCAB + 7
    sound = tokens_of(5)
    for size, drawn, heard in (
        ("tiny", [9, begin, *sound[:2], odd, *sound[2:], end, 8], sound),
        ("tiny", [*sound, odd], sound),
        ("tiny_meanflow", [begin, *sound, odd, end], sound),
    ):
        executor = executors(size, NATIVE)
        results = [
            executor.generate(
                request_of(np.array(tokens, np.int32), voice="v3.0", seed=1, return_audio=False)
            )
            for tokens in (drawn, heard)
        ]
        one, other = (spectrogram_of(result) for result in results)
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("codes: expected at least one token of sound", {"codes": [[VOCAB], [VOCAB + 1]]}),
        ("codes[1]: expected 0 or more", {"codes": [[1], [-1]]}),
        ("codes: expected speech tokens", {"codes": [[1, 2]]}),
        ("codes: expected at most 77 tokens", {"codes": [[1]] * 90}),
        ("codes: expected speech tokens", {}),
        ("voice: expected the name", {"codes": [[1]], "voice": None}),
        ("nobody", {"codes": [[1]], "voice": "nobody"}),
        ("text_ids: expected none", {"codes": [[1]], "text_ids": [1]}),
        ("temperature: expected none", {"codes": [[1]], "temperature": 0.5}),
        ("flow.steps: expected 1 to", {"codes": [[1]], "flow": rt.Flow(steps=0)}),
        ("flow.cfg_strength: expected 0", {"codes": [[1]], "flow": rt.Flow(cfg_strength=-1.0)}),
        ("flow.duration: expected none", {"codes": [[1]], "flow": rt.Flow(duration=5)}),
        ("noise: expected [8, 80]", {"codes": [[1]], "noise": np.zeros((3, MEL), np.float32)}),
        ("edit_mask: expected none", {"codes": [[1]], "edit_mask": [1]}),
        ("got neither", {"codes": [[1]], "return_audio": False, "return_spectrogram": False}),
    ],
)
def test_requests_that_are_refused(
    words: str, fields: dict[str, Any], executors: Callable[[str, str], rt.Executor]
) -> None:
    given: dict[str, Any] = {"voice": "v3.0", **fields}
    if "codes" in given:
        given["codes"] = np.array(given["codes"], np.int32)
    with pytest.raises(rt.ConfigError, match=words.replace("[", r"\[").replace("]", r"\]")):
        executors("tiny", NATIVE).generate(rt.Request(**given))


def test_voices_that_are_refused(executors: Callable[[str, str], rt.Executor]) -> None:
    executor, good = executors("tiny", NATIVE), voice_of(3)
    for words, changes in (
        ("prompt_feat: expected 6 frames for 3 tokens", {"prompt_feat": good["prompt_feat"][:5]}),
        ("prompt_feat: expected .1 to 60, 80", {"prompt_feat": good["prompt_feat"][:, :70]}),
        ("embedding: expected .192", {"embedding": good["embedding"][:9]}),
        ("prompt_token.1.: expected an id", {"prompt_token": np.array([1, VOCAB, 2], np.int32)}),
        ("embedding.0.: expected a finite", {"embedding": good["embedding"] * np.float32(np.nan)}),
    ):
        with pytest.raises(rt.ConfigError, match=words):
            executor.add_voice("bad", **{**good, **changes})
    with pytest.raises(rt.ConfigError, match="embeddings: expected none"):
        executor.add_voice("bad", good["prompt_feat"])
    with pytest.raises(rt.ConfigError, match="expected prompt_feat only with embedding"):
        executor.add_voice("bad", speaker_emb=good["embedding"], prompt_feat=good["prompt_feat"])
    assert "bad" not in executor.voices()


def test_mean_flow_has_no_guidance(executors: Callable[[str, str], rt.Executor]) -> None:
    request = request_of(tokens_of(2), voice="v3.0", flow=rt.Flow(cfg_strength=0.7))
    with pytest.raises(rt.ConfigError, match="as a mean flow has no guidance"):
        executors("tiny_meanflow", NATIVE).generate(request)


def test_the_engine_says_what_it_is(engines: Engines) -> None:
    info = rt.Engine.open(engines.engine("tiny")).info
    assert info.family == "s3gen" and info.has_vocoder
    assert (info.codebooks, info.codebook_vocab, info.mel_bins) == (1, VOCAB, MEL)
    assert (info.frame_rate, info.sample_rate) == (50, 24000)


def test_voice_files(engines: Engines, tmp_path: Path) -> None:
    from ttsrt_rt.voice_file import VoiceFile, write_voice

    voice = voice_of(3)
    generator = {**voice, "prompt_token_len": np.array([3], np.int32)}
    speaker = np.zeros(256, np.float32)
    write_voice(tmp_path / "one.safetensors", VoiceFile(("english",), speaker, generator=generator))
    write_voice(tmp_path / "silent.safetensors", VoiceFile(("english",), speaker))
    with rt.Executor(engines.engine("tiny"), device=NATIVE) as executor:
        executor.add_voice("file", file=tmp_path / "one.safetensors")
        executor.add_voice("arrays", **voice)
        with pytest.raises(rt.ConfigError, match="gen: expected"):
            executor.add_voice("silent", file=tmp_path / "silent.safetensors")
        results = [
            executor.generate(request_of(tokens_of(4), voice=name, return_audio=False))
            for name in ("file", "arrays")
        ]
    one, other = (spectrogram_of(result) for result in results)
    np.testing.assert_array_equal(one, other)


def test_a_voice_of_a_recording(engines: Engines) -> None:
    """From samples of a speaker and tokens to sound, and from its file the same."""
    time = np.arange(24000) / 24000
    buzz = sum(np.sin(2 * np.pi * 130 * k * time) / k for k in range(1, 9)) * 0.1
    noise = 0.01 * np.random.default_rng(2).normal(size=24000)
    samples = np.asarray(buzz + noise, np.float32)
    model = engines.checkpoint("tiny")
    with rt.Executor(engines.engine("tiny"), device=NATIVE) as executor:
        executor.add_voice("heard", audio=samples, sample_rate=24000, voice_model=model)
        result = executor.generate(request_of(tokens_of(4), voice="heard", seed=2))
        assert executor.voice_embeddings("heard").shape == (50, MEL)
    assert result.finish_reason == "stop"
    assert result.audio is not None and result.audio.shape == (4 * 960,)
    assert np.abs(result.audio).max() > 1e-3


def test_built_in_voices_have_room(engines: Engines, tmp_path: Path) -> None:
    """A voice of a checkpoint is there by its name, however long its prompt is."""
    from ttsrt_rt.voice_file import VoiceFile, write_voice

    checkpoint = tmp_path / "checkpoint"
    shutil.copytree(engines.checkpoint("tiny"), checkpoint)
    (checkpoint / "voices").mkdir()
    generator = {**voice_of(300, 1), "prompt_token_len": np.array([300], np.int32)}
    voice = VoiceFile(("english",), np.zeros(256, np.float32), generator=generator)
    write_voice(checkpoint / "voices" / "default.safetensors", voice)
    with pytest.raises(rt.ConfigError, match="max_input_len: expected at least the 601 rows"):
        rt.build(checkpoint, tmp_path / "small", progress=False, max_input_len=600)
    rt.build(checkpoint, tmp_path / "engine", progress=False, max_batch_size=1, max_seq_len=700)
    assert rt.Engine.open(tmp_path / "engine").info.max_input_len == 601
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        assert executor.voices() == ["default"]
        request = request_of(tokens_of(1), voice="default", flow=rt.Flow(steps=1))
        assert executor.generate(request).audio is not None
