"""What makes voices of recordings, converted and computed in NumPy, against a golden run of the
original, stage by stage.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import convert

from .s3gen_cases import GOLDEN, NEEDS_GOLDEN, distance, loaded, rows_of
from .s3gen_features_reference import filterbank, log_mel, prompt_mel, resample, trimmed, voice_mel
from .s3gen_ops import Array
from .s3gen_voice_reference import SpeakerEncoder, SpeechTokenizer, VoiceEncoder

pytestmark = NEEDS_GOLDEN

NEAR = 1e-5
LOG = 1e-3  # of logarithms, absolute


@pytest.fixture(scope="module")
def golden() -> dict[str, Array]:
    return loaded("tiny_voice/voice.npz")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("voice")
    for name in ("s3gen.safetensors", "ve.safetensors"):
        shutil.copy(GOLDEN / "tiny_voice" / name, folder / name)
    return convert(folder / "s3gen.safetensors", folder / "ckpt", progress=False)


def test_resampling(golden: dict[str, Array]) -> None:
    made = resample(golden["wav24"].astype(np.float64), 24000, 16000)
    assert distance(made, golden["wav16_torchaudio"][0]) < NEAR


def test_spectrograms(golden: dict[str, Array]) -> None:
    wav = golden["wav16_torchaudio"][0].astype(np.float64)
    for name, made in (
        ("mel24", prompt_mel(golden["wav24"].astype(np.float64)).T),
        ("fbank", filterbank(wav)),
        ("log_mel", log_mel(wav).T),
    ):
        np.testing.assert_allclose(made, golden[name][0], rtol=0, atol=LOG, err_msg=name)
    heard = golden["wav16_librosa"].astype(np.float64)
    begin, end = trimmed(heard)
    assert [begin, end] == golden["ve_trim"].tolist()
    assert distance(voice_mel(heard[begin:end]), golden["ve_mel"]) < NEAR


def test_the_speaker_encoder(checkpoint: Path, golden: dict[str, Array]) -> None:
    encoder = SpeakerEncoder(checkpoint)
    made = encoder.embed(golden["fbank"][0].astype(np.float64))
    for name in ("head", "tdnn", "block1_first", "transit1", "transit3"):
        assert distance(encoder.stages[f"camp_{name}"], rows_of(golden[f"camp_{name}"])) < NEAR
    assert distance(encoder.stages["camp_stats"], golden["camp_stats"][0]) < NEAR
    assert distance(made, golden["xvector"][0]) < NEAR
    own = encoder.embed(filterbank(golden["wav16_torchaudio"][0].astype(np.float64)))
    assert distance(own, golden["xvector"][0]) < NEAR


def test_the_tokenizer_of_speech(checkpoint: Path, golden: dict[str, Array]) -> None:
    tokenizer = SpeechTokenizer(checkpoint)
    features = rows_of(golden["log_mel"]).astype(np.float64)
    np.testing.assert_array_equal(tokenizer.tokens(features), golden["tokens"][0])
    for name in ("attn0", "block0", "hidden", "down"):
        stored = golden[f"tok_{name}"].reshape(tokenizer.stages[f"tok_{name}"].shape)
        assert distance(tokenizer.stages[f"tok_{name}"], stored) < NEAR, name
    own = log_mel(golden["wav16_torchaudio"][0].astype(np.float64))
    np.testing.assert_array_equal(tokenizer.tokens(own), golden["tokens"][0])
    other = log_mel(golden["wav16_librosa"].astype(np.float64))
    np.testing.assert_array_equal(tokenizer.tokens(other, 20), golden["tokens_max20"][0])


def test_the_voice_encoder(checkpoint: Path, golden: dict[str, Array]) -> None:
    encoder = VoiceEncoder(checkpoint)
    made = encoder.embed(golden["wav16_librosa"].astype(np.float64))
    assert encoder.stages["ve_trim"].tolist() == golden["ve_trim"].tolist()
    assert distance(made, golden["ve_embedding"][0]) < NEAR
