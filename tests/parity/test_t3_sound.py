"""From ids of a text to sound in one engine: T3 with the S3Gen beside it, against a T3 whose tokens
go to an S3Gen of its own.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.synth import (
    write_random_conds,
    write_random_s3gen,
    write_random_t3,
    write_random_voice_encoder,
)
from ttsrt_rt.synth.t3_layout import SynthT3

from .s3gen_engines import request_of, voice_of
from .s3gen_ops import Array

# Of each variant: its size, the names of its files, and the size of its S3Gen.
RELEASES: dict[str, tuple[str | SynthT3, str, str, str]] = {
    "english": ("tiny", "t3_cfg.safetensors", "s3gen.safetensors", "tiny"),
    "multilingual": (
        SynthT3(False, 3, 64, 160, 2454, 8194, 8194),
        "t3_mtl23ls_v2.safetensors",
        "s3gen.safetensors",
        "tiny",
    ),
    "turbo": (
        "tiny_turbo",
        "t3_turbo_v1.safetensors",
        "s3gen_meanflow.safetensors",
        "tiny_meanflow",
    ),
    "flash": ("tiny_flash", "t3_flash.safetensors", "s3gen.safetensors", "tiny_meanflow"),
}
FRAMES = {"english": 24, "multilingual": 9, "turbo": 17, "flash": 20}
LIMITS = {"max_batch_size": 4, "max_seq_len": 500, "max_encoder_input_len": 32}


class Release:
    """The files of a release, its engine with sound, and the engines of its two models alone."""

    def __init__(self, folder: Path, variant: str) -> None:
        size, name, sound, sound_size = RELEASES[variant]
        self.variant, self.folder = variant, folder
        write_random_t3(folder / name, size, 1)
        write_random_s3gen(folder / sound, sound_size, 2)
        write_random_voice_encoder(folder / "ve.safetensors", sound_size, 3)
        write_random_conds(folder / "conds.pt", size, 4)
        if variant == "turbo":  # a release may have both
            write_random_s3gen(folder / "s3gen.safetensors", "tiny", 9)
        self.checkpoint = convert(folder / name, folder / "checkpoint", progress=False)
        self._shorten(self.checkpoint)
        rt.build(self.checkpoint, folder / "engine", progress=False, **LIMITS)
        self.source, self.sound = folder / name, folder / sound

    def _shorten(self, checkpoint: Path) -> None:
        path = checkpoint / "config.json"
        config = json.loads(path.read_text("utf-8"))
        config["defaults"]["max_frames"] = FRAMES[self.variant]
        path.write_text(json.dumps(config), "utf-8")

    def alone(self) -> tuple[Path, Path]:
        codes, sound = self.folder / "codes", self.folder / "sound"
        if not codes.exists():
            made = convert(self.source, self.folder / "t3", sound=False, progress=False)
            self._shorten(made)
            rt.build(made, codes, progress=False, **LIMITS)
            rt.build(
                convert(self.sound, self.folder / "s3gen", progress=False), sound, progress=False
            )
        return codes, sound


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> Any:
    made: dict[str, Release] = {}

    def make(variant: str) -> Release:
        if variant not in made:
            made[variant] = Release(tmp_path_factory.mktemp(variant), variant)
        return made[variant]

    return make


def text_of(seed: int) -> list[int]:
    count = 3 + 4 * (seed % 3)
    drawn: list[int] = np.random.default_rng(seed).integers(1, 200, count).tolist()
    return drawn


def audio_of(result: rt.Result) -> Array:
    assert result.finish_reason in ("stop", "length"), result.error
    assert result.audio is not None and np.isfinite(result.audio).all()
    return result.audio


@pytest.mark.parametrize("variant", RELEASES)
def test_sound_is_that_of_both_engines(variant: str, releases: Any) -> None:
    release: Release = releases(variant)
    codes_engine, sound_engine = release.alone()
    requests = [rt.Request(text_ids=text_of(seed), voice="default", seed=seed) for seed in range(4)]
    with (
        rt.Executor(codes_engine, device=NATIVE) as codes,
        rt.Executor(sound_engine, device=NATIVE) as sound,
    ):
        drawn = codes.generate(requests)
        expected = [
            sound.generate(request_of(each.codes[:, 0], voice="default", seed=seed))
            for seed, each in enumerate(drawn)
            if (each.codes < 6561).any()
        ]
    assert len(expected) == len(drawn)
    for threads, order in itertools.product((1, 2), (1, -1)):
        with rt.Executor(release.folder / "engine", device=NATIVE, num_threads=threads) as executor:
            assert executor.voices() == ["default"]
            made = executor.generate(requests[::order])[::order]
            made.append(executor.generate(requests[2]))  # and alone
        for one, tokens, heard in zip(
            made, [*drawn, drawn[2]], [*expected, expected[2]], strict=True
        ):
            np.testing.assert_array_equal(one.codes, tokens.codes)
            np.testing.assert_array_equal(audio_of(one), audio_of(heard))
            assert one.sample_rate == 24000 and one.finish_reason == tokens.finish_reason
            silence = 3 if variant in ("turbo", "flash") else 0
            count = int((one.codes < 6561).sum()) + silence
            assert audio_of(one).shape == (960 * count,)


def test_devices_agree(releases: Any) -> None:
    release: Release = releases("turbo")
    request = rt.Request(
        text_ids=text_of(0), voice="small", temperature=0.0, max_frames=4, return_spectrogram=True
    )
    made = []
    for device in ("reference", NATIVE):
        with rt.Executor(release.folder / "engine", device=device, max_batch_size=1) as executor:
            speaker = np.random.default_rng(1).normal(size=256).astype(np.float32)
            executor.add_voice("small", speaker_emb=speaker, **voice_of(3))
            made.append(executor.generate(request))
    np.testing.assert_array_equal(made[0].codes, made[1].codes)
    assert made[0].spectrogram is not None and made[1].spectrogram is not None
    assert made[0].spectrogram.shape == (14, 80)
    np.testing.assert_allclose(made[0].spectrogram, made[1].spectrogram, atol=1e-3)


def test_a_stream_has_sound_early_and_all_of_it(releases: Any) -> None:
    release: Release = releases("english")
    request = rt.Request(text_ids=text_of(1), voice="default", seed=5, max_frames=70)
    with rt.Executor(release.folder / "engine", device=NATIVE) as executor:
        whole = executor.generate(request)
        events = list(executor.stream(request))
    sounds = [event.audio for event in events if event.audio is not None and event.audio.size]
    np.testing.assert_array_equal(np.concatenate(sounds), audio_of(whole))
    frames = len(audio_of(whole)) // 480
    if frames >= 128:
        assert len(sounds) > 1 and len(sounds[0]) == 64 * 480
    codes = np.concatenate([event.codes for event in events])
    np.testing.assert_array_equal(codes, whole.codes)
    assert whole.metrics.first_audio_seconds > 0


def test_chunks_come_while_tokens_are_drawn(releases: Any) -> None:
    """A schedule of chunks is the request's: the same sound streamed or whole, alone or not, and as
    that of the same tokens in an engine of S3Gen.
    """
    release: Release = releases("english")
    _, sound_engine = release.alone()
    flow = rt.Flow(mode="chunks", hops=(9, 12), steps=3)
    request = rt.Request(text_ids=text_of(1), voice="default", seed=6, max_frames=60, flow=flow)
    with rt.Executor(release.folder / "engine", device=NATIVE) as executor:
        alone = executor.generate(request)
        crowd = executor.generate([request, request, rt.Request(text_ids=[5], voice="default")])
        events = list(executor.stream(request))
    tokens = alone.codes[:, 0]
    assert len(tokens) > 30
    for other in crowd[:2]:
        np.testing.assert_array_equal(audio_of(other), audio_of(alone))
    sounds = [event.audio for event in events if event.audio is not None and event.audio.size]
    np.testing.assert_array_equal(np.concatenate(sounds), audio_of(alone))
    assert audio_of(alone).shape == (960 * int((tokens < 6561).sum()),)
    first = next(event for event in events if event.audio is not None and event.audio.size)
    if NATIVE == "cpu":  # a GPU may have made all steps of so small a model by then
        assert first.first_frame + len(first.codes) < len(tokens)  # steps went on behind it
    with rt.Executor(sound_engine, device=NATIVE) as sound:
        given = sound.generate(request_of(tokens, voice="default", seed=6, flow=flow))
        whole = sound.generate(request_of(tokens, voice="default", seed=6, flow=rt.Flow(steps=3)))
    np.testing.assert_array_equal(audio_of(given), audio_of(alone))
    assert audio_of(whole).shape == audio_of(alone).shape
    assert np.abs(audio_of(whole) - audio_of(alone)).max() > 1e-4


def test_each_chunk_of_a_text_has_its_own_sound(releases: Any) -> None:
    release: Release = releases("turbo")
    chunks = [text_of(seed) for seed in (1, 2, 3)]
    request = rt.Request(
        text_ids=list(itertools.chain(*chunks)),
        text_chunks=[len(each) for each in chunks],
        voice="default",
        temperature=0.0,
        seed=4,
    )
    with rt.Executor(release.folder / "engine", device=NATIVE) as executor:
        result = executor.generate(request)
        parts = [
            executor.generate(text_ids=each, voice="default", temperature=0.0, seed=4 + index)
            for index, each in enumerate(chunks)
        ]
    np.testing.assert_array_equal(result.codes, np.concatenate([part.codes for part in parts]))
    np.testing.assert_array_equal(
        audio_of(result), np.concatenate([audio_of(part) for part in parts])
    )


def test_codes_alone_and_sound_of_given_codes(releases: Any) -> None:
    release: Release = releases("english")
    with rt.Executor(release.folder / "engine", device=NATIVE) as executor:
        made = executor.generate(text_ids=text_of(2), voice="default", seed=3)
        silent = executor.generate(text_ids=text_of(2), voice="default", seed=3, codes_only=True)
        again = executor.generate(codes=made.codes, voice="default", seed=3)
        shown = executor.generate(
            text_ids=text_of(2), voice="default", seed=3, return_spectrogram=True
        )
        assert shown.spectrogram is not None
        heard = executor.generate(mel=shown.spectrogram, seed=3)
    assert silent.audio is None or silent.audio.size == 0
    np.testing.assert_array_equal(silent.codes, made.codes)
    for other in (again, shown, heard):
        np.testing.assert_array_equal(audio_of(other), audio_of(made))


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("ask for codes_only", {"voice": "mute"}),
        ("ask for codes_only", {"voice": None, "context_embeddings": np.zeros((3, 64), "f4")}),
        ("flow.duration: expected none", {"flow": rt.Flow(duration=9)}),
        ("flow.mode: expected", {"flow": {"mode": "pieces"}}),
        ("noise: expected none", {"noise": np.zeros((4, 80), np.float32)}),
        ("flow: expected none", {"flow": rt.Flow(steps=2), "codes_only": True}),
    ],
)
def test_requests_that_are_refused(words: str, fields: dict[str, Any], releases: Any) -> None:
    release: Release = releases("english")
    if isinstance(fields.get("flow"), dict):
        fields = {**fields, "flow": rt.Flow(**fields["flow"])}
    given: dict[str, Any] = {"text_ids": [3, 4], "voice": "default", **fields}
    with rt.Executor(release.folder / "engine", device=NATIVE) as executor:
        executor.add_voice("mute", speaker_emb=np.ones(256, np.float32))
        with pytest.raises(ConfigError, match=words):
            executor.generate(rt.Request(**given))
        result = executor.generate(text_ids=[3, 4], voice="mute", codes_only=True, max_frames=3)
        assert len(result.codes) <= 3


def test_voices_that_are_refused(releases: Any) -> None:
    release: Release = releases("english")
    speaker = np.ones(256, np.float32)
    with rt.Executor(release.folder / "engine", device=NATIVE) as executor:
        with pytest.raises(ConfigError, match="prompt_feat: expected 6 frames for 3 tokens"):
            wrong = {**voice_of(3), "prompt_feat": voice_of(2)["prompt_feat"]}
            executor.add_voice("bad", speaker_emb=speaker, **wrong)
        with pytest.raises(ConfigError, match="prompt_token only with embedding"):
            executor.add_voice("bad", speaker_emb=speaker, prompt_token=[1])
        with pytest.raises(ConfigError, match="or speaker_emb beside it, got t3"):
            executor.add_voice("bad", **voice_of(3))
    codes, _ = release.alone()
    with (
        rt.Executor(codes, device=NATIVE) as executor,
        pytest.raises(ConfigError, match="sound: expected none, as this engine makes no sound"),
    ):
        executor.add_voice("bad", speaker_emb=speaker, **voice_of(3))


def test_checkpoints_that_do_not_fit(releases: Any, tmp_path: Path) -> None:
    release: Release = releases("english")
    with pytest.raises(NotFoundError, match=r"sound: .* expected a file of S3Gen"):
        convert(release.source, tmp_path / "a", sound=tmp_path / "none", progress=False)
    (tmp_path / "alone").mkdir()
    bare = write_random_t3(tmp_path / "alone" / "t3_cfg.safetensors", "tiny", 1)
    with pytest.raises(NotFoundError, match=r"expected an s3gen. file"):
        convert(bare, tmp_path / "b", sound=True, progress=False)
    with pytest.raises(ConfigError, match="expected an S3Gen with a flow"):
        convert(bare, tmp_path / "c", sound=release.folder / "ve.safetensors", progress=False)
    for name in ("s3gen_a.safetensors", "s3gen_b.safetensors"):
        (tmp_path / "alone" / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"expected one s3gen\* file .* got s3gen_a"):
        convert(bare, tmp_path / "d", progress=False)
    made = convert(bare, tmp_path / "e", sound=release.sound, progress=False)
    config = json.loads((made / "sound" / "config.json").read_text("utf-8"))
    config["model"]["sample_rate"] = 12000
    (made / "sound" / "config.json").write_text(json.dumps(config), "utf-8")
    with pytest.raises((ConfigError, FormatError), match=r"sound_model: expected 25 tokens"):
        rt.build(made, tmp_path / "engine", progress=False)


def test_the_engine_says_what_it_is(releases: Any) -> None:
    release: Release = releases("turbo")
    info = rt.Engine.open(release.folder / "engine").info
    assert info.family == "t3" and info.has_vocoder
    assert (info.frame_rate, info.sample_rate, info.samples_per_frame) == (25, 24000, 960)
    description = json.loads((release.folder / "engine" / "engine.json").read_text("utf-8"))
    assert description["defaults"]["sound_model"]["silence_tokens"] == 3
    assert description["model"]["sound_model"]["flow"]["kind"] == "meanflow"
    assert "speech_tokenizer" not in description["model"]["sound_model"]
