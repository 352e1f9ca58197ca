"""Voices of recordings against a golden run of the original, stage by stage."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.audio import to_rate
from ttsrt_rt.convert import convert
from ttsrt_rt.convert.checkpoint import open_tensors, read_config
from ttsrt_rt.voice_from_audio.features import filterbank, log_mel, prompt_mel, trimmed, voice_mel
from ttsrt_rt.voice_from_audio.layers import Network, Rows
from ttsrt_rt.voice_from_audio.speaker_encoder import SpeakerEncoder
from ttsrt_rt.voice_from_audio.speech_tokenizer import SpeechTokenizer
from ttsrt_rt.voice_from_audio.voice_encoder import VoiceEncoder

from .s3gen_cases import GOLDEN, NEEDS_GOLDEN, distance, loaded, rows_of
from .s3gen_ops import Array

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


def opened(kind: type[Network], folder: Path) -> tuple[Network, dict[str, Rows]]:
    """Returns a network and what it computes on the way."""
    config = read_config(folder)
    stages: dict[str, Rows] = {}
    return kind(config["model"], open_tensors(folder, config), stages), stages


def test_resampling(golden: dict[str, Array]) -> None:
    made = to_rate(golden["wav24"], 24000, 16000)
    assert distance(made, golden["wav16_torchaudio"][0]) < NEAR


def test_spectrograms(golden: dict[str, Array]) -> None:
    wav = golden["wav16_torchaudio"][0]
    for name, made in (
        ("mel24", prompt_mel(golden["wav24"]).T),
        ("fbank", filterbank(wav)),
        ("log_mel", log_mel(wav).T),
    ):
        np.testing.assert_allclose(made, golden[name][0], rtol=0, atol=LOG, err_msg=name)
    heard = golden["wav16_librosa"]
    begin, end = trimmed(heard)
    assert [begin, end] == golden["ve_trim"].tolist()
    assert distance(voice_mel(heard[begin:end]), golden["ve_mel"]) < NEAR


def test_the_speaker_encoder(checkpoint: Path, golden: dict[str, Array]) -> None:
    encoder, stages = opened(SpeakerEncoder, checkpoint)
    assert isinstance(encoder, SpeakerEncoder)
    made = encoder.embed(golden["fbank"][0])
    for name in ("head", "tdnn", "block1_first", "transit1", "transit3"):
        assert distance(stages[f"camp_{name}"], rows_of(golden[f"camp_{name}"])) < NEAR, name
    assert distance(stages["camp_stats"], golden["camp_stats"][0]) < NEAR
    assert distance(made, golden["xvector"][0]) < NEAR
    own = encoder.embed(filterbank(golden["wav16_torchaudio"][0]))
    assert distance(own, golden["xvector"][0]) < NEAR


def test_the_tokenizer_of_speech(checkpoint: Path, golden: dict[str, Array]) -> None:
    tokenizer, stages = opened(SpeechTokenizer, checkpoint)
    assert isinstance(tokenizer, SpeechTokenizer)
    made = tokenizer.tokens(rows_of(golden["log_mel"]))
    np.testing.assert_array_equal(made, golden["tokens"][0])
    for name in ("attn0", "block0", "hidden", "down"):
        stored = golden[f"tok_{name}"].reshape(stages[f"tok_{name}"].shape)
        assert distance(stages[f"tok_{name}"], stored) < NEAR, name
    own = tokenizer.tokens(log_mel(golden["wav16_torchaudio"][0]))
    np.testing.assert_array_equal(own, golden["tokens"][0])
    other = tokenizer.tokens(log_mel(golden["wav16_librosa"]), 20)
    np.testing.assert_array_equal(other, golden["tokens_max20"][0])


def test_the_voice_encoder(checkpoint: Path, golden: dict[str, Array]) -> None:
    encoder, stages = opened(VoiceEncoder, checkpoint)
    assert isinstance(encoder, VoiceEncoder)
    made = encoder.embed(golden["wav16_librosa"])
    assert stages["ve_trim"].tolist() == golden["ve_trim"].tolist()
    assert distance(made, golden["ve_embedding"][0]) < NEAR
