"""Voice files: what goes in comes out, and what is wrong is named."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.safetensors_write import tensor_of_array, write_safetensors
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.voice_file import VoiceFile, read_voice, write_voice

RANDOM = np.random.default_rng(0)
METADATA = {"format": "ttsrt.voice", "format_version": "1", "family": "t3", "variant": "english"}
TENSORS: dict[str, np.ndarray] = {
    "speaker_emb": RANDOM.standard_normal(256).astype(np.float32),
    "cond_prompt_speech_tokens": np.arange(150, dtype=np.int32),
    "emotion": np.array([0.5], np.float32),
}
GENERATOR: dict[str, np.ndarray] = {
    "gen.prompt_token": np.arange(20, dtype=np.int32),
    "gen.prompt_token_len": np.array([20], np.int32),
    "gen.prompt_feat": RANDOM.standard_normal((40, 80)).astype(np.float32),
    "gen.embedding": RANDOM.standard_normal(192).astype(np.float32),
}


def generator() -> dict[str, np.ndarray]:
    return {name.removeprefix("gen."): array for name, array in GENERATOR.items()}


def voice(**changed: Any) -> VoiceFile:
    values: dict[str, Any] = {
        "variants": ("english",),
        "speaker_emb": TENSORS["speaker_emb"],
        "cond_prompt_speech_tokens": TENSORS["cond_prompt_speech_tokens"],
        "generator": generator(),
    }
    return VoiceFile(**{**values, **changed})


def write_raw(
    path: Path, tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str] = METADATA
) -> Path:
    write_safetensors(
        path, {name: tensor_of_array(name, array) for name, array in tensors.items()}, metadata
    )
    return path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    made = voice(variants=("english", "multilingual"), emotion=0.7)
    write_voice(path, made)
    found = read_voice(path, variant="multilingual")
    assert found.variants == ("english", "multilingual")
    assert found.emotion == made.emotion == float(np.float32(0.7))
    np.testing.assert_array_equal(found.speaker_emb, made.speaker_emb)
    np.testing.assert_array_equal(found.cond_prompt_speech_tokens, np.arange(150))
    assert list(found.generator) == list(made.generator)
    for name, array in found.generator.items():
        np.testing.assert_array_equal(array, GENERATOR[f"gen.{name}"])
        assert array.dtype == GENERATOR[f"gen.{name}"].dtype
        assert not array.flags.writeable


def test_a_voice_needs_no_prompt_and_no_vocoder_part(tmp_path: Path) -> None:
    path = tmp_path / "voice.safetensors"
    write_voice(path, VoiceFile(variants=("turbo",), speaker_emb=TENSORS["speaker_emb"]))
    found = read_voice(path)
    assert found.cond_prompt_speech_tokens.shape == (0,)
    assert (found.emotion, found.generator) == (0.5, {})


def test_arrays_of_other_types_and_leading_axes_are_taken() -> None:
    made = voice(
        speaker_emb=TENSORS["speaker_emb"].astype(np.float64)[None],
        cond_prompt_speech_tokens=np.arange(5, dtype=np.uint16)[None],
        emotion=np.float64(1),
        generator={name: array[None] for name, array in generator().items()},
    )
    assert made.speaker_emb.dtype == np.float32
    assert made.speaker_emb.shape == (256,)
    assert made.cond_prompt_speech_tokens.dtype == np.int32
    assert made.generator["prompt_feat"].shape == (40, 80)


def test_a_voice_does_not_follow_its_source() -> None:
    source = TENSORS["speaker_emb"].copy()
    made = voice(speaker_emb=source)
    source[0] = 99.0
    assert made.speaker_emb[0] != 99.0


def test_the_mel_may_have_one_row_more() -> None:
    odd = generator() | {"prompt_feat": np.zeros((41, 80), np.float32)}
    assert voice(generator=odd).generator["prompt_feat"].shape == (41, 80)


def with_generator(**changed: Any) -> dict[str, Any]:
    return {"generator": generator() | changed}


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"speaker_emb": np.zeros(255, np.float32)}, r"speaker_emb: expected \[256\], got \[255\]"),
    ({"speaker_emb": np.zeros(256, np.int32)}, "speaker_emb: expected floating-point"),
    ({"speaker_emb": np.full(256, np.nan, np.float32)}, "speaker_emb: expected finite"),
    ({"speaker_emb": np.full(256, 1e300)}, "speaker_emb: expected finite"),
    ({"speaker_emb": [[1.0], [1.0, 2.0]]}, "speaker_emb: expected floating-point"),
    (
        {"cond_prompt_speech_tokens": np.zeros(151, np.int32)},
        r"cond_prompt_speech_tokens: expected \[n\] with n up to 150, got \[151\]",
    ),
    ({"cond_prompt_speech_tokens": np.array([6561])}, r"expected ids in 0\.\.6560, got 6561"),
    ({"cond_prompt_speech_tokens": np.array([-1, 3])}, r"expected ids in 0\.\.6560, got -1"),
    ({"cond_prompt_speech_tokens": np.zeros(3)}, "expected integers, got float64"),
    ({"cond_prompt_speech_tokens": np.array([True])}, "expected integers, got bool"),
    ({"emotion": -100.5}, "emotion: expected -100 to 100"),
    ({"emotion": float("nan")}, "emotion: expected -100 to 100"),
    ({"emotion": "0.5"}, "emotion: expected -100 to 100"),
    ({"emotion": True}, "emotion: expected -100 to 100"),
    ({"variants": ()}, "variant: expected different names"),
    ({"variants": ("english", "english")}, "variant: expected different names"),
    ({"variants": ("klingon",)}, "variant: expected one of english, multilingual"),
    ({"generator": {"embedding": np.zeros(192, np.float32)}}, "gen: expected all of prompt_token"),
    (with_generator(embedding=np.zeros(191, np.float32)), r"gen.embedding: expected \[192\]"),
    (with_generator(prompt_token_len=np.array([21])), r"gen.prompt_token_len: .* 1\.\.20"),
    (with_generator(prompt_token_len=np.array([1 << 40])), "32-bit integers"),
    (with_generator(prompt_feat=np.zeros((42, 80), np.float32)), r"expected \[40, 80\]"),
    (with_generator(prompt_token=np.full(20, 7000)), r"gen.prompt_token: expected ids"),
]


@pytest.mark.parametrize(("changed", "words"), WRONG)
def test_wrong_values_are_named(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        voice(**changed)


def test_each_variant_limits_the_prompt() -> None:
    tokens = np.zeros(375, np.int32)
    assert voice(variants=("turbo", "nano"), cond_prompt_speech_tokens=tokens)
    with pytest.raises(ConfigError, match="n up to 150"):
        voice(variants=("turbo", "english"), cond_prompt_speech_tokens=tokens)


def test_another_variant_is_refused_by_name(tmp_path: Path) -> None:
    path = write_raw(tmp_path / "v.safetensors", TENSORS)
    with pytest.raises(ConfigError, match=r"v\.safetensors: expected a voice for turbo, got one f"):
        read_voice(path, variant="turbo")
    assert read_voice(path, variant="english").variants == ("english",)


def without(name: str) -> dict[str, np.ndarray]:
    return {each: array for each, array in TENSORS.items() if each != name}


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (without("emotion"), "emotion: expected a tensor, got nothing"),
        (TENSORS | {"weight": np.zeros(3)}, "expected tensors of a voice, got weight"),
        (TENSORS | {"speaker_emb": np.zeros(256)}, "speaker_emb: expected float32, got float64"),
        (TENSORS | {"emotion": np.zeros((1, 1), np.float32)}, r"emotion: expected \[1\]"),
        (TENSORS | {"emotion": np.array([np.inf], np.float32)}, "emotion: expected -100 to 100"),
        (
            TENSORS | {"cond_prompt_speech_tokens": np.array([7000], np.int32)},
            r"expected ids in 0\.\.6560",
        ),
        (TENSORS | {"gen.embedding": GENERATOR["gen.embedding"]}, "gen: expected all of"),
    ],
)
def test_wrong_files_are_named(tensors: dict[str, np.ndarray], words: str, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "v.safetensors", tensors)
    with pytest.raises(FormatError, match=words) as caught:
        read_voice(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"format": "ttsrt.engine"}, "expected a voice file .*got 'ttsrt.engine'"),
        ({"format_version": "2"}, "format_version: expected '1', got '2'"),
        ({"family": "magpie"}, "family: expected 't3', got 'magpie'"),
        ({"variant": ""}, "variant: expected one of english"),
        ({"variant": "english,klingon"}, "variant: expected one of .* got 'klingon'"),
    ],
)
def test_wrong_metadata_is_named(changed: dict[str, str], words: str, tmp_path: Path) -> None:
    path = write_raw(tmp_path / "v.safetensors", TENSORS, METADATA | changed)
    with pytest.raises(FormatError, match=words):
        read_voice(path)


def test_what_is_no_voice_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    with pytest.raises(NotFoundError, match=r"v\.safetensors"):
        read_voice(path)
    path.write_bytes(b"<html><title>Sign in</title></html>" + b" " * 100)
    with pytest.raises(FormatError, match="got an HTML page"):
        read_voice(path)
    write_raw(path, {"model": np.zeros((1 << 20) + 64, np.float32)})
    with pytest.raises(FormatError, match="expected a voice file of at most 4194304 bytes"):
        read_voice(path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="expected a regular file, got a pipe"):
        read_voice(tmp_path / "pipe")
    with pytest.raises(ConfigError, match="got a folder"):
        read_voice(tmp_path)


def test_mutated_files_raise_only_errors_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "v.safetensors"
    write_voice(path, voice())
    data = path.read_bytes()
    random = np.random.default_rng(1)
    for _ in range(300):
        changed = bytearray(data)
        # The header and the metadata are where structure is.
        for at in random.integers(0, 1000, random.integers(1, 6)):
            changed[at] = random.integers(0, 256)
        path.write_bytes(bytes(changed))
        with contextlib.suppress(FormatError, ConfigError):
            read_voice(path)
    for size in (0, 1, 7, 8, 100, 700, len(data) - 1):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError):
            read_voice(path)
