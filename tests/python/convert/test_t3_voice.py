"""`conds.pt` is read as data; what is not a voice is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.t3_voice import read_conds
from ttsrt_rt.errors import ConfigError, FormatError, NotFoundError
from ttsrt_rt.synth import write_random_conds

from .builders import Raw, Tensor, make_torch, reduce

SPEAKER = np.linspace(0, 1, 256, dtype="<f4")
STORAGES = {
    "0": SPEAKER.tobytes(),
    "1": np.arange(7, dtype="<i8").tobytes(),
    "2": np.array([0.25], "<f4").tobytes(),
    "3": (SPEAKER.view("<u4") >> 16).astype("<u2").tobytes(),
    "4": np.zeros(1_200_000, "<f4").tobytes(),
}
T3: dict[str, Any] = {
    "speaker_emb": Tensor("0", (1, 256)),
    "clap_emb": None,
    "cond_prompt_speech_tokens": Tensor("1", (1, 7), "int64"),
    "cond_prompt_speech_emb": None,
    "emotion_adv": Tensor("2", (1, 1, 1)),
}


def write(path: Path, t3: dict[str, Any], **more: Any) -> Path:
    path.write_bytes(make_torch({"t3": t3, **more}, STORAGES))
    return path


def test_a_voice_is_read(tmp_path: Path) -> None:
    voice = read_conds(write(tmp_path / "conds.pt", T3, gen={}), ["turbo", "nano"])
    np.testing.assert_array_equal(voice.speaker_emb, SPEAKER)
    np.testing.assert_array_equal(voice.cond_prompt_speech_tokens, np.arange(7))
    assert voice.variants == ("turbo", "nano")
    assert (voice.emotion, voice.generator) == (0.25, {})


def test_the_vocoder_part_is_read(tmp_path: Path) -> None:
    voice = read_conds(write_random_conds(tmp_path / "conds.pt", "turbo", 1), ["turbo"])
    assert voice.cond_prompt_speech_tokens.shape == (375,)
    shapes = {name: array.shape for name, array in voice.generator.items()}
    assert shapes == {
        "prompt_token": (250,),
        "prompt_token_len": (1,),
        "prompt_feat": (500, 80),
        "embedding": (192,),
    }
    assert voice.generator["prompt_token_len"][0] == 250


def test_the_cache_of_the_original_is_ignored(tmp_path: Path) -> None:
    cached = T3 | {"cond_prompt_speech_emb": Tensor("4", (1, 1171, 1024))}
    assert read_conds(write(tmp_path / "conds.pt", cached), ["english"]).emotion == 0.25


def test_parts_that_may_be_missing(tmp_path: Path) -> None:
    few = {"speaker_emb": T3["speaker_emb"], "cond_prompt_speech_tokens": None}
    voice = read_conds(write(tmp_path / "conds.pt", few), ["english"])
    assert voice.cond_prompt_speech_tokens.shape == (0,)
    assert voice.emotion == 0.5
    number = T3 | {"emotion_adv": 0.75}
    assert read_conds(write(tmp_path / "conds.pt", number), ["english"]).emotion == 0.75


def test_bfloat16_values_are_converted(tmp_path: Path) -> None:
    half = T3 | {"speaker_emb": Tensor("3", (1, 256), "bfloat16")}
    voice = read_conds(write(tmp_path / "conds.pt", half), ["english"])
    np.testing.assert_allclose(voice.speaker_emb, SPEAKER, rtol=2**-7)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"speaker_emb": None}, r"t3\.speaker_emb: expected a tensor, got nothing"),
        ({"speaker_emb": [1.0]}, r"t3\.speaker_emb: expected a tensor, got a list"),
        (
            {"speaker_emb": Tensor("0", (1, 255), count=256)},
            r"speaker_emb: expected \[256\], got \[255\]",
        ),
        ({"speaker_emb": Tensor("4", (1_200_000,))}, r"expected at most 4194304 bytes"),
        ({"speaker_emb": Tensor("0", (1, 257), count=256)}, "expected a view within 256 elements"),
        ({"emotion_adv": Tensor("0", (2,), count=256)}, "emotion_adv: expected one number"),
        ({"emotion_adv": float("nan")}, "emotion_adv: expected a number"),
        ({"emotion_adv": 101.0}, "emotion: expected -100 to 100"),
        (
            {"speaker_emb": Raw(reduce("os", "system", "true"))},
            r"os\.system",
        ),
    ],
)
def test_wrong_voices_are_named(changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    path = write(tmp_path / "conds.pt", T3 | changed)
    with pytest.raises(FormatError, match=words):
        read_conds(path, ["english"])


def test_a_prompt_of_another_variant_is_named(tmp_path: Path) -> None:
    path = write_random_conds(tmp_path / "conds.pt", "turbo")
    with pytest.raises(FormatError, match=r"conds\.pt: .*n up to 150, got \[375\]"):
        read_conds(path, ["english"])


def test_other_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "conds.pt"
    with pytest.raises(NotFoundError, match=r"conds\.pt"):
        read_conds(path, ["english"])
    path.write_bytes(make_torch({"state_dict": {"w": Tensor("0", (256,))}}, STORAGES))
    with pytest.raises(FormatError, match=r"expected a voice .* got state_dict"):
        read_conds(path, ["english"])
    path.write_bytes(b"\x80\x02}.")
    with pytest.raises(FormatError, match="bare pickle"):
        read_conds(path, ["english"])
    with pytest.raises(ConfigError, match="variant: expected one of"):
        read_conds(write(path, T3), ["klingon"])
