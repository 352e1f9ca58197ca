"""Sound of codes from Python: whole and streamed, alone and behind a model, and codes of sound."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE

from .codec_models import RATE, SAMPLES_PER_FRAME, CodecModels, make_codec_models

FRAMES = 24
FIELDS: dict[str, Any] = {
    "text_ids": [3, 4, 5, 6],
    "voice": 0,
    "seed": 5,
    "min_frames": FRAMES,
    "max_frames": FRAMES,
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> CodecModels:
    return make_codec_models(tmp_path_factory.mktemp("codec"))


@pytest.fixture(scope="module")
def spoken(models: CodecModels) -> Iterator[rt.Executor]:
    with rt.Executor(models.spoken, device=NATIVE) as executor:
        yield executor


@pytest.fixture(scope="module")
def codec(models: CodecModels) -> Iterator[rt.Executor]:
    with rt.Executor(models.codec, device=NATIVE) as executor:
        yield executor


def sound_of(result: rt.Result) -> Any:
    assert result.audio is not None and result.audio.dtype == np.float32
    return result.audio


def test_a_result_has_the_sound_of_its_codes(spoken: rt.Executor, codec: rt.Executor) -> None:
    result = spoken.generate(**FIELDS)
    sound = sound_of(result)
    assert result.sample_rate == RATE and len(result.codes) == FRAMES
    assert sound.shape == (FRAMES * SAMPLES_PER_FRAME,) and np.abs(sound).max() <= 1
    alone = codec.generate(codes=result.codes)
    np.testing.assert_array_equal(sound_of(alone), sound)
    assert alone.sample_rate == RATE and alone.finish_reason == "stop"
    assert 0 < result.metrics.first_frame_seconds < result.metrics.first_audio_seconds
    assert result.metrics.first_audio_seconds <= result.metrics.total_seconds
    info = spoken.engine.info
    assert info.has_vocoder and info.samples_per_frame == SAMPLES_PER_FRAME
    assert not info.has_encoder and codec.engine.info.has_encoder


@pytest.mark.parametrize(("initial", "chunk"), [(None, 1), (1, 6), (3, 5), (40, 40)])
def test_events_have_each_sample_once(
    spoken: rt.Executor, codec: rt.Executor, initial: int | None, chunk: int
) -> None:
    whole = spoken.generate(**FIELDS)
    chunks = {"initial_chunk_frames": initial, "chunk_frames": chunk}
    for executor, fields in ((spoken, FIELDS), (codec, {"codes": whole.codes})):
        events = list(executor.stream(**fields, **chunks))
        parts = [event.audio for event in events if event.audio is not None]
        np.testing.assert_array_equal(np.concatenate(parts), sound_of(whole))
        assert [event.is_last for event in events] == [False] * (len(events) - 1) + [True]
        frames = [len(part) // SAMPLES_PER_FRAME for part in parts]
        assert sum(frames) == FRAMES
        least = [chunk if initial is None else initial, *[chunk] * (len(frames) - 1)]
        for index, (got, wanted) in enumerate(zip(frames, least, strict=True)):
            assert got >= wanted or index == len(frames) - 1, frames
    codes = np.concatenate([event.codes for event in spoken.stream(**FIELDS, **chunks)])
    np.testing.assert_array_equal(codes, whole.codes)


def test_asyncio(spoken: rt.Executor) -> None:
    async def hear(seed: int) -> Any:
        events = spoken.astream(**{**FIELDS, "seed": seed})
        return np.concatenate([event.audio async for event in events if event.audio is not None])

    async def hear_all() -> list[Any]:
        return await asyncio.gather(*(hear(seed) for seed in range(6)))

    for seed, heard in enumerate(asyncio.run(hear_all())):
        np.testing.assert_array_equal(heard, sound_of(spoken.generate(**{**FIELDS, "seed": seed})))


def test_codes_only(spoken: rt.Executor, models: CodecModels) -> None:
    result = spoken.generate(**FIELDS, codes_only=True)
    whole = spoken.generate(**FIELDS)
    assert result.audio is None and result.metrics.first_audio_seconds == 0
    np.testing.assert_array_equal(result.codes, whole.codes)
    assert all(event.audio is None for event in spoken.stream(**FIELDS, codes_only=True))
    with rt.Executor(models.silent, device=NATIVE) as silent:
        assert silent.engine.info.samples_per_frame == 0 and not silent.engine.info.has_vocoder
        without = silent.generate(**FIELDS)
        assert without.audio is None
        np.testing.assert_array_equal(without.codes, whole.codes)


def test_a_cancelled_stream_keeps_what_was_made(spoken: rt.Executor) -> None:
    handle = spoken.submit(**{**FIELDS, "max_frames": 60}, chunk_frames=2)
    event = handle.next(timeout=60)
    while event is not None and event.audio is None:
        event = handle.next(timeout=60)
    handle.cancel()
    result = handle.wait(timeout=60)
    assert result.finish_reason in ("cancelled", "length", "stop")
    assert len(sound_of(result)) <= len(result.codes) * SAMPLES_PER_FRAME


def test_codes_of_sound(codec: rt.Executor) -> None:
    tone = 0.5 * np.sin(np.arange(10 * SAMPLES_PER_FRAME - 3) / 5)
    result = codec.generate(samples=tone)
    assert result.codes.dtype == np.int32 and result.codes.shape == (10, 4)
    assert result.audio is None and (result.codes >= 0).all()
    padded = np.concatenate([tone, np.zeros(3)]).astype(np.float32)
    np.testing.assert_array_equal(codec.generate(samples=padded).codes, result.codes)
    many = codec.generate([rt.Request(samples=tone), rt.Request(codes=result.codes)])
    np.testing.assert_array_equal(many[0].codes, result.codes)
    assert many[1].audio is not None and len(many[1].audio) == len(padded)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "codes: expected either"),
        ({"codes": [[1, 2, 3, 4]], "samples": [0.5]}, "codes: expected either"),
        ({"codes": [[1, 2, 3]]}, r"codes: expected \[1 to .*, 4\], got \[1, 3\]"),
        ({"codes": [[1, 2, 3, 88]]}, "codes.*88"),
        ({"codes": [[1, 2, 3, -1]]}, "codes.*-1"),
        ({"codes": [1, 2, 3, 4]}, r"codes: expected \[rows, columns\]"),
        ({"codes": [[0.5, 1.0, 1.0, 1.0]]}, "codes: expected integers, got float64"),
        ({"samples": [1, 2]}, "samples: expected floating-point numbers, got int64"),
        ({"samples": np.zeros((2, 4))}, r"samples: expected \[n\] or \[1, n\], got \[2, 4\]"),
        ({"samples": [0.5, float("nan")]}, r"samples\[1\]: expected a finite number, got nan"),
        ({"samples": np.zeros(0, np.float32)}, "samples: expected"),
        ({"codes": [[1, 2, 3, 4]], "text_ids": [3]}, "text_ids"),
        ({"codes": [[1, 2, 3, 4]], "initial_chunk_frames": 0}, "initial_chunk_frames"),
    ],
)
def test_a_wrong_request_of_a_codec_is_named(
    codec: rt.Executor, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        codec.generate(**fields)


@pytest.mark.parametrize("name", ["codes", "samples"])
def test_models_with_texts_take_neither(spoken: rt.Executor, name: str) -> None:
    value: Any = [[1, 2, 3, 4]] if name == "codes" else [0.5]
    with pytest.raises(rt.ConfigError, match=name):
        spoken.generate(**FIELDS, **{name: value})


def test_a_codec_of_other_codes_is_refused(models: CodecModels, tmp_path: Path) -> None:
    from ttsrt_rt.synth import write_random_codec

    other = write_random_codec(tmp_path / "other.nemo", "tiny")
    checkpoint = rt.convert(other, tmp_path / "other", progress=False)
    magpie = models.spoken.parent / "magpie.checkpoint"
    with pytest.raises(rt.ConfigError, match="codec"):
        rt.build(magpie, tmp_path / "engine", codec_dir=checkpoint, progress=False)
    with pytest.raises(rt.ConfigError, match="codec"):
        rt.build(checkpoint, tmp_path / "engine", codec_dir=checkpoint, progress=False)
    with pytest.raises((rt.ConfigError, rt.FormatError), match="nowhere"):
        rt.build(magpie, tmp_path / "engine", codec_dir=tmp_path / "nowhere", progress=False)
    with pytest.raises(rt.ConfigError, match="codec_dir: expected a path"):
        rt.build(magpie, tmp_path / "engine", codec_dir="", progress=False)
    assert not (tmp_path / "engine").exists()


def test_from_a_checkpoint_and_its_codec(models: CodecModels, tmp_path: Path) -> None:
    cache = tmp_path / "cache"

    def path_of(**options: Any) -> str:
        with rt.Executor.from_checkpoint(
            models.nemo, cache_dir=cache, progress=False, device=NATIVE, **options
        ) as executor:
            if options:
                assert sound_of(executor.generate(**FIELDS)).size
            return executor.engine.path

    first = path_of(codec=models.codec_nemo)
    assert path_of(codec=models.codec_nemo) == first
    copy = tmp_path / "copy.nemo"
    copy.write_bytes(models.codec_nemo.read_bytes())
    assert path_of(codec=copy) == first  # the contents count
    assert path_of() != first
    with open(copy, "ab") as file:  # a tar may end in zeros
        file.write(bytes(512))
    assert path_of(codec=copy) != first
    assert path_of(codec=models.codec.parent / "codec.checkpoint") != first
    assert not list(cache.glob("*.work"))
    with pytest.raises(rt.NotFoundError, match=r"absent\.nemo"):
        path_of(codec=tmp_path / "absent.nemo")
    with pytest.raises(rt.ConfigError, match=r"from_checkpoint: expected options among .*codec"):
        path_of(codec_dir=models.codec_nemo)


def test_inspect_tells_the_codec(models: CodecModels, capsys: pytest.CaptureFixture[str]) -> None:
    from ttsrt_rt.cli import main

    told = "22050 Hz, 16 samples a frame (1378.125 frames/s), 4 codebooks of 88 codes"
    for folder, parts in (
        (models.codec, "encoder and decoder"),
        (models.codec.parent / "codec.checkpoint", "encoder and decoder"),
        (models.spoken, "decoder"),
    ):
        assert main(["inspect", str(folder), "--verify"]) == 0
        assert f"codec: {parts}, {told}" in capsys.readouterr().out
    assert main(["inspect", str(models.silent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["codec"] == ""
