"""A Magpie with a codec: its sound is what the codec alone makes of its codes, bit by bit, also
where the model's codes stand for values in another way than the codec's.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import ttsrt_rt as rt
from tests.devices import DEVICES
from ttsrt_rt.convert import open_weights
from ttsrt_rt.synth import write_random_nemo
from ttsrt_rt.synth.nanocodec_layout import SynthCodec
from ttsrt_rt.synth.nemo_writer import write_nemo
from ttsrt_rt.synth.torch_writer import SynthTensor

from .nanocodec_engines import Array, audio_of, pieces_of, random_checkpoint

# 88 codes in each of 4 codebooks, as the model's; the same values as codes of two pairs of them.
ALIKE = SynthCodec(32, (4, 2, 2), 4, (8, 11), 0)
PAIRED = SynthCodec(32, (4, 2, 2), 2, (8, 11, 8, 11), 0)
OWN = {"num_groups": 4, "num_levels_per_group": [8, 11]}
TEXT = [5, 9, 12, 3, 7, 20, 11, 8, 6, 39]


def with_quantizer(source: Path, quantizer: dict[str, Any]) -> Path:
    """Returns a copy of a `.nemo` whose configuration has a quantizer."""
    with tarfile.open(source) as archive:
        members = {
            each.name.removeprefix("./"): file.read()
            for each in archive
            if not each.name.endswith(".ckpt") and (file := archive.extractfile(each))
        }
    config = yaml.safe_load(members["model_config.yaml"])
    config["vector_quantizer"] = quantizer
    members["model_config.yaml"] = yaml.safe_dump(config).encode()
    with open_weights(source) as weights:
        arrays = {name: weights[name].read().copy() for name in weights}
    tensors = {
        name: SynthTensor(values.dtype.name, values.shape, values.copy)
        for name, values in arrays.items()
    }
    return write_nemo(source.with_name("own.nemo"), members, tensors)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoints of a model, of the same with its own quantizer, and of two codecs."""
    made = tmp_path_factory.mktemp("magpie")
    source = write_random_nemo(made / "magpie.nemo", seed=3)
    rt.convert(source, made / "plain", progress=False)
    rt.convert(with_quantizer(source, OWN), made / "own", progress=False)
    for name, size in (("alike", ALIKE), ("paired", PAIRED)):
        (made / name).mkdir()
        random_checkpoint(made / name, size, 5)
    return made


PAIRS = {"plain": ("plain", "alike"), "own": ("own", "paired")}


@pytest.fixture(scope="module", params=PAIRS)
def engines(request: pytest.FixtureRequest, folder: Path) -> tuple[Path, Path, bool]:
    """A model's engine with a codec, the codec's own, and whether codes are regrouped."""
    model, codec = PAIRS[request.param]
    both, alone = folder / f"{request.param}-engine", folder / f"{request.param}-codec"
    checkpoint = folder / codec / "checkpoint"
    rt.build(folder / model, both, max_batch_size=4, codec_dir=checkpoint, overwrite=True)
    rt.build(checkpoint, alone, max_batch_size=1, overwrite=True)
    return both, alone, codec == "paired"


@pytest.fixture(scope="module", params=DEVICES)
def opened(
    request: pytest.FixtureRequest, engines: tuple[Path, Path, bool]
) -> Iterator[tuple[rt.Executor, rt.Executor, bool]]:
    both, alone, is_paired = engines
    with (
        rt.Executor(both, device=request.param) as model,
        rt.Executor(alone, device=request.param) as codec,
    ):
        yield model, codec, is_paired


def request_of(seed: int, **options: Any) -> rt.Request:
    return rt.Request(text_ids=TEXT, voice=0, seed=seed, max_frames=20 + seed, **options)


def codes_for(codes: Array, is_paired: bool) -> Array:
    return codes[:, ::2] + 88 * codes[:, 1::2] if is_paired else codes


Opened = tuple[rt.Executor, rt.Executor, bool]


def test_sound_is_that_of_the_codes(opened: Opened) -> None:
    model, codec, is_paired = opened
    info = model.engine.info
    assert (info.samples_per_frame, info.sample_rate, info.has_vocoder) == (16, 22050, True)
    for seed in range(3):
        result = model.generate([request_of(seed)])[0]
        assert result.codes.shape[1] == 4 and len(result.codes) > 3, result.error
        assert result.sample_rate == 22050
        expected = codec.generate(codes=codes_for(result.codes, is_paired))
        np.testing.assert_array_equal(audio_of(result), audio_of(expected))
        silent = model.generate([request_of(seed, codes_only=True)])[0]
        np.testing.assert_array_equal(silent.codes, result.codes)
        assert silent.audio is None


def test_chunks_and_company_change_no_bit(opened: Opened) -> None:
    model, _, _ = opened
    alone = [model.generate([request_of(seed)])[0] for seed in range(4)]
    requests = [
        request_of(seed, chunk_frames=chunk, initial_chunk_frames=first)
        for seed, (chunk, first) in enumerate(((1, None), (3, 1), (8, 2), (50, 5)))
    ]
    handles = [model.submit(each) for each in requests]
    for handle, expected in zip(handles, alone, strict=True):
        result = handle.result()
        np.testing.assert_array_equal(result.codes, expected.codes)
        np.testing.assert_array_equal(audio_of(result), audio_of(expected))
        assert result.finish_reason == expected.finish_reason
    for request, expected in zip(requests, alone, strict=True):
        pieces = pieces_of(model.stream(request))
        np.testing.assert_array_equal(np.concatenate(pieces), audio_of(expected))


def test_a_codec_that_does_not_fit_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = random_checkpoint(tmp_path / "other", SynthCodec(32, (4, 2, 2), 4, (9, 10), 0), 1)
    for model, codec in (
        ("plain", other),
        ("plain", folder / "paired" / "checkpoint"),
        ("own", other),
    ):
        with pytest.raises(rt.ConfigError, match=r"codec"):
            rt.build(folder / model, tmp_path / "engine", codec_dir=codec)
