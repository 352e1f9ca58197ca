"""A codec engine's encoder against the original (originals/codec.py) and NumPy, and sound that goes
through both directions.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE

from .nanocodec_cases import CASES, DATA, SEED, codes_of, sound_of
from .nanocodec_engines import Array, audio_of, pieces_of, random_checkpoint
from .nanocodec_reference import Reference

STORED = np.load(DATA / "codec_cases.npz")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_checkpoint(tmp_path_factory.mktemp("encoder"), "tiny", SEED)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Path:
    folder = checkpoint.parent / "engine"
    rt.build(checkpoint, folder, max_batch_size=4)
    return folder


@pytest.fixture(scope="module", params=DEVICES)
def executor(request: pytest.FixtureRequest, engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device=request.param) as opened:
        yield opened


def encoded(executor: rt.Executor, samples: Array) -> Array:
    result = executor.generate(samples=samples)
    assert result.codes.dtype == np.int32
    return result.codes


@pytest.mark.parametrize("name", CASES)
def test_both_directions_of_random_codecs(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    rt.build(random_checkpoint(tmp_path, case.size, SEED), tmp_path / "engine")
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        assert executor.engine.info.has_encoder
        codes = encoded(executor, sound_of(case))
        np.testing.assert_array_equal(codes, STORED[f"{name}.codes"])
        for given, stored in ((codes, "audio"), (codes_of(case), "decoded")):
            audio = audio_of(executor.generate(codes=given))
            np.testing.assert_allclose(audio, STORED[f"{name}.{stored}"], rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 15, 16, 17, 31, 32, 33, 160, 1000])
def test_lengths(samples: int, executor: rt.Executor, checkpoint: Path) -> None:
    """The last frame is filled with zeros."""
    reference, random = Reference(checkpoint), np.random.default_rng(samples)
    sound = random.normal(0, 0.2, samples).astype(np.float32)
    latents = reference.latents(sound)
    codes = encoded(executor, sound)
    assert codes.shape == (-(-samples // 16), 2)
    if reference.margin(latents) > 1e-4:
        np.testing.assert_array_equal(codes, reference.quantize(latents))
    else:
        assert (codes != reference.quantize(latents)).mean() < 0.1
    np.testing.assert_array_equal(encoded(executor, np.pad(sound, (0, -samples % 16))), codes)


def test_company_changes_no_code_and_no_bit(executor: rt.Executor) -> None:
    random = np.random.default_rng(7)
    sounds = [random.normal(0, 0.3, n).astype(np.float32) for n in (5, 100, 640, 33, 2000, 16)]
    codes = [random.integers(0, 12, (frames, 2)) for frames in (7, 1, 40)]
    heard = [encoded(executor, sound) for sound in sounds]
    said = [audio_of(executor.generate(codes=each)) for each in codes]
    requests = [rt.Request(samples=sound) for sound in sounds]
    requests += [rt.Request(codes=each) for each in codes]
    results = executor.generate(requests)
    for result, expected in zip(results, heard, strict=False):
        np.testing.assert_array_equal(result.codes, expected)
    for result, audio in zip(results[len(sounds) :], said, strict=True):
        np.testing.assert_array_equal(audio_of(result), audio)


def test_a_round_trip_in_chunks(executor: rt.Executor, checkpoint: Path) -> None:
    reference, case = Reference(checkpoint), CASES["tiny"]
    codes = encoded(executor, sound_of(case))
    pieces = pieces_of(executor.stream(codes=codes, chunk_frames=4))
    made = np.concatenate(pieces)
    np.testing.assert_allclose(made, reference.decode(codes), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(made, audio_of(executor.generate(codes=codes)))


def test_sounds_that_are_none_are_refused(executor: rt.Executor) -> None:
    for samples in (np.zeros(0, np.float32), np.array([0, np.nan], np.float32)):
        with pytest.raises(rt.ConfigError, match="samples"):
            executor.generate(samples=samples)
