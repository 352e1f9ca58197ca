"""`F5Model` on tiny random engines: sample, decode, synthesize, seeds, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt import f5
from ttsrt_rt.audio import Sound, read_audio, write_wav
from ttsrt_rt.cli import main
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5 import F5Model, Speech
from ttsrt_rt.f5.prompt import clip_reference
from ttsrt_rt.f5.rules import RULES, chunk_text, end_reference, max_chunk_bytes
from ttsrt_rt.synth import write_random_f5, write_random_t3, write_random_vocos

REF_TEXT = "what the voice says"
LONG = "this is one part, and another one. " * 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Engines with a vocoder and without one, one of IndicF5, one of Vocos, and a reference."""
    made = tmp_path_factory.mktemp("f5")
    source = write_random_f5(made / "model_1.safetensors", "tiny", 4)
    indic = write_random_f5(made / "model_2.safetensors", "tiny", 4, layout="indicf5")
    vocos = write_random_vocos(made / "vocos-source", seed=4)
    for name, path, options in (
        ("whole", source, {"variant": "v1", "vocoder": vocos}),
        ("bare", source, {"variant": "v1"}),
        ("indic", indic, {"variant": "indicf5"}),
        ("vocos", vocos, {}),
    ):
        checkpoint = rt.convert(path, made / f"{name}-ckpt", progress=False, **options)
        rt.build(checkpoint, made / name, max_seq_len=2400)
    tone = 0.05 * np.sin(2 * np.pi * 220 * np.arange(2 * 16000) / 16000)
    write_wav(made / "voice.wav", tone, 16000)
    return made


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[F5Model]:
    with F5Model(folder / "whole", backend=NATIVE) as made:
        yield made


def speak(model: F5Model, folder: Path, text: str = "a few words here", **options: Any) -> Speech:
    options = {"steps": 4} | options
    return model.synthesize(text, folder / "voice.wav", REF_TEXT, **options)


def test_synthesize(model: F5Model, folder: Path) -> None:
    made = speak(model, folder, seed=5)
    assert made.sample_rate == 24000
    assert made.samples.dtype == np.float32
    assert len(made.samples) % 256 == 0
    assert np.isfinite(made.samples).all()
    np.testing.assert_array_equal(made.samples, speak(model, folder, seed=5).samples)
    assert not np.array_equal(made.samples, speak(model, folder, seed=6).samples)
    sound = read_audio(folder / "voice.wav")
    again = model.synthesize("a few words here", sound, REF_TEXT, steps=4, seed=5)
    np.testing.assert_array_equal(made.samples, again.samples)


def test_long_texts_repeat_exactly_with_a_seed_per_chunk(model: F5Model, folder: Path) -> None:
    one, two = (speak(model, folder, LONG, seed=9).samples for _ in range(2))
    np.testing.assert_array_equal(one, two)
    plain = speak(model, folder, LONG, seed=9, cross_fade=0.0).samples
    assert len(plain) > len(one)


def test_long_texts_do_not_fill_the_queue(model: F5Model, folder: Path) -> None:
    expected = speak(model, folder, LONG * 6, seed=9, steps=1).samples
    with F5Model(folder / "whole", backend=NATIVE, max_batch_size=1, max_queue_size=2) as small:
        made = speak(small, folder, LONG * 6, seed=9, steps=1).samples
    np.testing.assert_array_equal(made, expected)


def test_quiet_references_make_quiet_results(model: F5Model, folder: Path) -> None:
    sound = read_audio(folder / "voice.wav")
    quiet = Sound(sound.samples / 2, sound.sample_rate)
    one = speak(model, folder, seed=5).samples
    two = model.synthesize("a few words here", quiet, REF_TEXT, steps=4, seed=5).samples
    assert np.abs(two).max() == pytest.approx(np.abs(one).max() / 2, rel=0.05)


def test_another_vocoder_gives_the_same(model: F5Model, folder: Path) -> None:
    with F5Model(folder / "bare", backend=NATIVE, vocoder=folder / "vocos") as other:
        np.testing.assert_array_equal(
            speak(other, folder, seed=5).samples, speak(model, folder, seed=5).samples
        )


def test_without_a_vocoder_there_are_only_spectrograms(folder: Path) -> None:
    with F5Model(folder / "bare", backend=NATIVE) as bare:
        mel, trajectory = bare.sample(np.zeros((1, 10, 100)), [[1, 2, 3]], 20, steps=2)
        assert (mel.shape, trajectory) == ((1, 20, 100), None)
        for action in (lambda: bare.decode(mel.transpose(0, 2, 1)), lambda: speak(bare, folder)):
            with pytest.raises(ConfigError, match="vocoder: expected an engine with a vocoder"):
                action()


def test_indicf5_has_the_rules_of_its_wrapper(folder: Path) -> None:
    with F5Model(folder / "indic", backend=NATIVE) as indic:
        made = speak(indic, folder, seed=5, remove_silence=False)
    level = np.sqrt(np.mean(np.square(made.samples.astype(np.float64))))
    assert level == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("value", [False, "", [], np.zeros(3)])
def test_sway_is_a_number_or_none(value: Any, model: F5Model) -> None:
    cond, text = np.zeros((1, 9, 100), np.float32), [[1, 2]]
    with pytest.raises(ConfigError, match="sway_sampling_coef: expected a number"):
        model.sample(cond, text, 20, steps=1, sway_sampling_coef=value)
    assert model.sample(cond, text, 20, steps=1, sway_sampling_coef=None)[0].shape == (1, 20, 100)


def test_samples_of_a_batch_are_those_alone(model: F5Model) -> None:
    random = np.random.default_rng(1)
    prompts = random.normal(size=(3, 12, 100)).astype(np.float32)
    texts = [[5, 6, 7, -1], [8, 9, 10, 11], [12, -1, -1, -1]]
    lengths = [30, 44, 37]
    options: dict[str, Any] = {
        "steps": 3,
        "cfg_strength": 2.0,
        "sway_sampling_coef": -1.0,
        "seed": 2,
    }
    whole, _ = model.sample(prompts, texts, lengths, lens=[12, 10, 12], **options)
    assert whole.shape == (3, 44, 100)
    for index, (length, lens) in enumerate(zip(lengths, [12, 10, 12], strict=True)):
        alone, _ = model.sample(
            prompts[index : index + 1], [texts[index]], length, lens=lens, **options
        )
        np.testing.assert_array_equal(alone[0], whole[index, :length])
        assert not whole[index, length:].any()
        np.testing.assert_array_equal(alone[0, :lens], prompts[index, :lens])


def test_prompts_may_be_waves(model: F5Model) -> None:
    wave = 0.2 * np.sin(np.arange(4000) / 9)
    mel, _ = model.sample(wave[None], ["abc"], 30, steps=2, seed=1)
    assert mel.shape == (1, 30, 100)


def test_more_text_than_prompt(model: F5Model) -> None:
    """No frame behind the prompt becomes zero, which IndicF5's own sampler makes of them."""
    prompt = np.random.default_rng(2).normal(size=(1, 5, 100)).astype(np.float32)
    mel, _ = model.sample(prompt, [list(range(20))], 3, steps=2, seed=1)
    assert mel.shape == (1, 21, 100)
    assert (np.abs(mel[0, 5:]).max(axis=1) > 0).all()


def test_decode(model: F5Model) -> None:
    mel = np.random.default_rng(3).normal(size=(2, 100, 9)).astype(np.float32)
    waves = model.decode(mel)
    assert waves.shape == (2, 8 * 256)
    np.testing.assert_array_equal(model.decode(mel[1]), waves[1])
    with pytest.raises(ConfigError, match="transpose it"):
        model.decode(mel.transpose(0, 2, 1))
    for wrong in ("mel", [[1], [2, 3]], np.zeros((0, 100, 9)), np.zeros(100)):
        with pytest.raises(ConfigError, match="mel: expected"):
            model.decode(wrong)


def test_indicf5_has_only_even_grids(folder: Path) -> None:
    """By default, as its sampler: those of few steps must be asked for."""
    given = np.random.default_rng(4).normal(size=(1, 9, 100)).astype(np.float32)
    with F5Model(folder / "indic", backend=NATIVE) as indic:
        usual, even, pruned = (
            indic.sample(given, [[1, 2]], 20, steps=5, seed=1, use_epss=each)[0]
            for each in (None, False, True)
        )
    np.testing.assert_array_equal(usual, even)
    assert not np.array_equal(usual, pruned)


def test_texts_beyond_the_limit_are_refused_or_split(model: F5Model, folder: Path) -> None:
    text = "word " * 300
    with pytest.raises(ConfigError, match="expected chunks of at most 2400 frames"):
        speak(model, folder, text)


def test_wrong_engines_are_refused(folder: Path, tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3_cfg.safetensors", "tiny")
    checkpoint = rt.convert(source, tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=300)
    with pytest.raises(ConfigError, match="family: expected f5, got 't3'"):
        F5Model(tmp_path / "engine")
    with pytest.raises(ConfigError, match="there is no PyTorch here"):
        F5Model(folder / "whole", backend="torch")
    with pytest.raises(ConfigError, match="resampler: expected one of sinc, soxr"):
        F5Model(folder / "whole", backend=NATIVE, resampler="linear")


def test_steps_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTS_NFE_STEPS", "129")
    with pytest.raises(ConfigError, match="TTS_NFE_STEPS: expected 1 to 128, got '129'"):
        F5Model(folder / "whole", backend=NATIVE)
    monkeypatch.setenv("TTS_NFE_STEPS", "many")
    with pytest.raises(ConfigError, match="TTS_NFE_STEPS: expected 1 to 128, got 'many'"):
        F5Model(folder / "whole", backend=NATIVE)
    monkeypatch.setenv("TTS_NFE_STEPS", "4")
    with F5Model(folder / "whole", backend=NATIVE) as model:
        made = model.synthesize("a few words here", folder / "voice.wav", REF_TEXT, seed=5)
        np.testing.assert_array_equal(made.samples, speak(model, folder, seed=5).samples)


def test_functions_keep_an_engine_open(
    model: F5Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="engine: expected a folder, or one in TTS_ENGINE"):
        f5.decode(np.zeros((100, 4)))
    monkeypatch.setenv("TTS_ENGINE", str(folder / "whole"))
    monkeypatch.setenv("TTS_BACKEND", NATIVE)
    try:
        assert f5.opened() is f5.opened()
        made = f5.synthesize("a few words here", folder / "voice.wav", REF_TEXT, steps=4, seed=5)
        np.testing.assert_array_equal(made.samples, speak(model, folder, seed=5).samples)
        mel, _ = f5.sample(np.zeros((1, 10, 100)), [[1]], 20, steps=2, seed=3)
        expected, _ = model.sample(np.zeros((1, 10, 100)), [[1]], 20, steps=2, seed=3)
        np.testing.assert_array_equal(mel, expected)
        assert f5.decode(mel[0].T).shape == (19 * 256,)
    finally:
        f5.close()


def test_the_command_line(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["f5", "--engine", str(folder / "whole"), "--backend", NATIVE]
    command += ["--ref_audio", str(folder / "voice.wav"), "--ref_text", REF_TEXT]
    output = tmp_path / "out.wav"
    options = ["--seed", "5", "--steps", "4", "--output", str(output)]
    assert main([*command, "--text", "a few words here", *options]) == 0
    assert f"{output}: " in capsys.readouterr().out
    sound = read_audio(output)
    assert sound.sample_rate == 24000
    (tmp_path / "text.txt").write_text("a few words here", "utf-8")
    first = output.read_bytes()
    assert main([*command, "--text_file", str(tmp_path / "text.txt"), *options]) == 0
    assert output.read_bytes() == first
    assert main([*command, "--text", " ", *options]) == 2
    assert "--text: expected text, got none" in capsys.readouterr().err
    assert main([*command, "--text", "a few words here", *options, "--resampler", "sinc"]) == 0
    assert output.read_bytes() == first
    raw = tmp_path / "out.pcm"
    assert main([*command, "--text", "a few words here", *options, "--output", str(raw)]) == 0
    assert raw.read_bytes() == first[44:]
    assert main([*command, "--text", "a few words here", "--output", str(tmp_path / "a.aac")]) == 2
    assert "a.aac: expected one of wav, pcm, flac" in capsys.readouterr().err


def test_chunks_do_not_depend_on_each_other(model: F5Model, folder: Path) -> None:
    """The first chunk of a long text is what it is alone, as it has the seed of the request."""
    seconds = clip_reference(read_audio(folder / "voice.wav"), RULES["f5"]).seconds
    budget = max_chunk_bytes(end_reference(REF_TEXT), seconds, RULES["f5"])
    first, *others = chunk_text(LONG, budget)
    assert others
    alone = speak(model, folder, first, seed=9).samples
    whole = speak(model, folder, LONG, seed=9, cross_fade=0.0).samples
    assert len(whole) > len(alone)
    np.testing.assert_array_equal(whole[: len(alone)], alone)
