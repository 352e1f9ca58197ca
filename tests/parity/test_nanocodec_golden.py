"""A codec engine against the golden run of the original's decoder: two lists of codes of unequal
length. Chunks and company change no bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE

from .nanocodec_cases import DATA
from .nanocodec_engines import Array, audio_of, pieces_of

GOLDEN = np.load(DATA / "tinycodec.npz")
FRAME = 8  # samples
STAGES = {
    "codec.latent": "latent",
    "codec.pre": "pre_conv",
    "codec.up.0": "up0",
    "codec.stage.0": "res0",
    "codec.up.1": "up1",
    "codec.stage.1": "res1",
}


def codes_of(item: int) -> Array:
    codes: Array = GOLDEN["codes"][item, :, : GOLDEN["lens"][item]].T
    return codes


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("golden")
    return rt.convert(DATA / "tinycodec.ckpt", folder / "checkpoint", progress=False)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Path:
    folder = checkpoint.parent / "engine"
    rt.build(checkpoint, folder, max_batch_size=4)
    return folder


@pytest.fixture(scope="module", params=DEVICES)
def executor(request: pytest.FixtureRequest, engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device=request.param) as opened:
        yield opened


def test_what_the_engine_says(executor: rt.Executor) -> None:
    info = executor.engine.info
    assert (info.family, info.codebooks, info.codebook_vocab) == ("nanocodec", 4, 36)
    assert (info.sample_rate, info.samples_per_frame, info.has_encoder) == (22050, FRAME, False)
    assert info.codec == "tinycodec.ckpt"


@pytest.mark.parametrize("item", [0, 1])
def test_whole_lists_of_codes(item: int, executor: rt.Executor) -> None:
    result = executor.generate(codes=codes_of(item))
    audio = audio_of(result)
    assert len(audio) == FRAME * GOLDEN["lens"][item] == GOLDEN["audio_len"][item]
    assert result.sample_rate == 22050
    np.testing.assert_allclose(audio, GOLDEN["audio"][item, : len(audio)], rtol=0, atol=1e-5)


@pytest.mark.parametrize("chunk", [1, 2, 3, 5, 8, 9, 100])
def test_streamed_chunks_are_the_whole_bit_by_bit(chunk: int, executor: rt.Executor) -> None:
    whole = audio_of(executor.generate(codes=codes_of(0)))
    for first in (None, 1, 4):
        events = list(
            executor.stream(codes=codes_of(0), chunk_frames=chunk, initial_chunk_frames=first)
        )
        np.testing.assert_array_equal(np.concatenate(pieces_of(events)), whole)
        assert all(len(piece) % FRAME == 0 for piece in pieces_of(events))


def test_company_changes_no_bit(executor: rt.Executor) -> None:
    random = np.random.default_rng(3)
    items = [random.integers(0, 36, (frames, 4)) for frames in (1, 2, 5, 9, 17, 30, 3, 64, 11)]
    alone = [audio_of(executor.generate(codes=item)) for item in items]
    requests = [
        rt.Request(codes=item, chunk_frames=1 + index % 4) for index, item in enumerate(items)
    ]
    for result, expected in zip(executor.generate(requests), alone, strict=True):
        assert result.finish_reason in ("stop", "length"), result.error
        np.testing.assert_array_equal(audio_of(result), expected)


@pytest.mark.parametrize("tokens", [2, 3, 8])
def test_small_launches_change_no_bit(
    tokens: int, checkpoint: Path, engine: Path, tmp_path: Path
) -> None:
    rt.build(checkpoint, tmp_path / "engine", max_num_tokens=tokens, max_batch_size=1)
    made = []
    for folder in (tmp_path / "engine", engine):
        with rt.Executor(folder, device=NATIVE) as executor:
            made.append(audio_of(executor.generate(codes=codes_of(0))))
    np.testing.assert_array_equal(*made)


def test_every_stage(engine: Path) -> None:
    with rt.Executor(engine, device="reference", trace=True) as executor:
        trace = executor.generate(codes=codes_of(0)).trace
    for name, stage in STAGES.items():
        values = np.concatenate([each.values for each in trace if each.name == name])
        expected = GOLDEN[stage][0].T
        values = values.reshape(-1, expected.shape[1])
        np.testing.assert_allclose(values[: len(expected)], expected, rtol=0, atol=1e-5)


def test_codes_that_do_not_fit_are_refused(executor: rt.Executor) -> None:
    for codes in (np.full((3, 4), 36), np.full((3, 4), -1), np.zeros((3, 5), int)):
        with pytest.raises(rt.ConfigError, match="codes"):
            executor.generate(codes=codes)
    with pytest.raises(rt.ConfigError, match="samples"):
        executor.generate(samples=np.zeros(100, np.float32))
