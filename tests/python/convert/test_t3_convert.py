"""Converts whole T3 files: both formats, wrapped names, folders of releases, built-in voices."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt import build
from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.synth import write_random_conds, write_random_nemo, write_random_t3
from ttsrt_rt.voice_file import BUILT_IN_VOICE, find_built_in_voice, read_voice

DATA = Path(__file__).parents[2] / "data" / "chatterbox"
WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted miniature model of the Llama kind, made with seed 3."""
    folder = tmp_path_factory.mktemp("tiny")
    source = write_random_t3(folder / "t3_cfg.safetensors", "tiny", 3)
    return convert(source, folder / "ckpt", progress=False)


def config_of(folder: Path) -> dict[str, dict[str, object]]:
    config: dict[str, dict[str, object]] = json.loads((folder / "config.json").read_text())
    return config


@pytest.mark.parametrize(
    ("name", "prefix", "is_listed"),
    [
        ("t3.pt", "", False),
        ("t3.pt", "", True),
        ("t3.pt", "module.", True),
        ("t3.pt", "model.", False),
        ("t3.safetensors", "module.", False),
        ("t3.safetensors", "model._orig_mod.", False),
    ],
)
def test_formats_and_wrapped_names_give_the_same(
    name: str, prefix: str, is_listed: bool, tiny: Path, tmp_path: Path
) -> None:
    source = write_random_t3(tmp_path / name, "tiny", 3, prefix=prefix, is_listed=is_listed)
    made = convert(source, tmp_path / "ckpt", progress=False)
    assert (made / WEIGHTS).read_bytes() == (tiny / WEIGHTS).read_bytes()
    ours, theirs = config_of(made), config_of(tiny)
    assert (ours["model"], ours["defaults"]) == (theirs["model"], theirs["defaults"])


def test_the_gpt2_kind_converts(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3.pt", "tiny_turbo")
    made = convert(source, tmp_path / "ckpt", dtype="bfloat16", progress=False)
    config = config_of(made)
    assert config["family"] == "t3"
    assert config["model"]["variant"] == "turbo"
    with open_weights(made / WEIGHTS) as weights:
        assert {tensor.dtype for tensor in weights.values()} == {"bfloat16"}
        assert weights["decoder.layers.2.ffn_in"].shape == (256, 64)


def test_a_snapshot_with_several_models_names_them(tmp_path: Path) -> None:
    names = ("t3_cfg.safetensors", "t3_cfg.pt", "t3_mtl23ls_v3.safetensors", "conds.pt")
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigError) as caught:
        convert(tmp_path, tmp_path / "ckpt")
    assert "got 2; pass one of them: t3_cfg.safetensors, t3_mtl23ls_v3.safetensors" in str(
        caught.value
    )


def test_a_folder_with_one_model_stands_for_it(tiny: Path, tmp_path: Path) -> None:
    release = tmp_path / "release"
    release.mkdir()
    write_random_t3(release / "t3_cfg.safetensors", "tiny", 3)
    write_random_t3(release / "t3_cfg.pt", "tiny", 3)
    made = convert(release, tmp_path / "ckpt", progress=False)
    assert (made / WEIGHTS).read_bytes() == (tiny / WEIGHTS).read_bytes()
    with pytest.raises(ConfigError, match=r"pass one of those inside: release/t3_cfg.safetensors"):
        convert(tmp_path, tmp_path / "other")


def test_the_voice_beside_the_weights_is_stored(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3_cfg.safetensors", "tiny")
    assert find_built_in_voice(convert(source, tmp_path / "none", progress=False)) is None
    write_random_conds(tmp_path / "conds.pt", "tiny", 4, emotion=0.75)
    made = convert(source, tmp_path / "ckpt", progress=False)
    assert sorted(each.name for each in made.iterdir()) == ["config.json", WEIGHTS, "voices"]
    voice = read_voice(made / BUILT_IN_VOICE, variant="english")
    assert voice.emotion == 0.75
    assert voice.cond_prompt_speech_tokens.shape == (150,)
    assert voice.generator["prompt_feat"].shape == (500, 80)
    with pytest.raises(ConfigError, match="expected a voice for turbo, got one for english"):
        read_voice(made / BUILT_IN_VOICE, variant="turbo")


def test_the_voice_goes_on_to_the_engine_and_both_are_replaced(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3_cfg.safetensors", "tiny")
    for emotion in (0.25, 0.75):
        write_random_conds(tmp_path / "conds.pt", "tiny", emotion=emotion)
        made = convert(source, tmp_path / "ckpt", overwrite=True, progress=False)
        build(made, tmp_path / "engine", overwrite=True, max_seq_len=200)
        for folder in (made, tmp_path / "engine"):
            voice = find_built_in_voice(folder)
            assert voice is not None
            assert read_voice(voice, variant="english").emotion == emotion
    (tmp_path / "conds.pt").unlink()
    convert(source, made, overwrite=True, progress=False)
    build(made, tmp_path / "engine", overwrite=True, max_seq_len=200)
    assert not (made / "voices").exists()
    assert not (tmp_path / "engine" / "voices").exists()


def test_a_voice_that_is_passed_comes_first(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny_turbo")
    (tmp_path / "conds.pt").write_bytes(b"damaged")
    with pytest.raises(FormatError, match=r"conds\.pt"):
        convert(source, tmp_path / "ckpt", progress=False)
    assert not (tmp_path / "ckpt").exists()
    conds = write_random_conds(tmp_path / "mine.pt", "tiny_turbo", prompt_tokens=300)
    made = convert(source, tmp_path / "ckpt", conds=conds, progress=False)
    voice = read_voice(made / BUILT_IN_VOICE, variant="turbo")
    assert voice.cond_prompt_speech_tokens.shape == (300,)


def test_progress_names_every_tensor(tmp_path: Path) -> None:
    calls: list[tuple[int, int, str]] = []
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny")
    convert(source, tmp_path / "ckpt", progress=lambda *call: calls.append(call))
    assert [done for done, _, _ in calls] == list(range(1, calls[0][1] + 1))
    with open_weights(tmp_path / "ckpt" / WEIGHTS) as weights:
        assert {name for _, _, name in calls} == set(weights)


def test_options_of_another_family_are_refused(tmp_path: Path) -> None:
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny")
    with pytest.raises(
        ConfigError, match=r"codebook_size: expected none for t3.safetensors, .* heads, conds"
    ):
        convert(source, tmp_path / "ckpt", codebook_size=8)
    nemo = write_random_nemo(tmp_path / "m.nemo")
    with pytest.raises(
        ConfigError, match=r"heads: expected none for m.nemo, which takes the options config"
    ):
        convert(nemo, tmp_path / "ckpt", heads=8)
    with pytest.raises(FormatError, match="expected layers of one kind"):
        convert(nemo, tmp_path / "ckpt", family="t3")


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny")
    out = tmp_path / "ckpt"
    assert main(["convert", str(source), str(out), "--heads", "2", "--variant", "english"]) == 0
    decoder = config_of(out)["model"]["decoder"]
    assert isinstance(decoder, dict)
    assert decoder["heads"] == 2
    assert main(["convert", str(source), str(tmp_path / "b"), "--variant", "nano"]) == 2
    assert "--variant: expected english or multilingual" in capsys.readouterr().err


def test_equal_sources_give_equal_values_of_a_row(tiny: Path, tmp_path: Path) -> None:
    """The values are those of the source, not only their shapes."""
    source = write_random_t3(tmp_path / "t3.safetensors", "tiny", 3)
    with open_weights(source) as theirs, open_weights(tiny / WEIGHTS) as ours:
        np.testing.assert_array_equal(
            ours["speech_embedding"].read(), theirs["speech_emb.weight"].read()
        )


MEMORY = """
import resource, sys
from ttsrt_rt.convert import convert
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
convert(sys.argv[1], sys.argv[2], progress=False)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_stays_near_the_largest_tensor(tmp_path: Path) -> None:
    from ttsrt_rt.synth.t3_layout import SynthT3

    # 8 layers of width 512: 107 MB in all, no tensor of ours above 17 MB.
    size = SynthT3(False, 8, 512, 2048, 704, 8194, 8194)
    source = write_random_t3(tmp_path / "t3.safetensors", size)
    total = source.stat().st_size >> 20
    found = subprocess.run(
        [sys.executable, "-c", MEMORY, str(source), str(tmp_path / "ckpt")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(found.stdout) < total * 2 // 3


def test_the_packed_conditioning_gives_the_originals_prefix(tmp_path: Path) -> None:
    """Speaker row, perceiver and emotion row, computed from our tensors as docs/format.md says."""
    packed = DATA / "tiny" / "model.safetensors.xz"
    if not packed.is_file():
        pytest.skip(f"needs {packed}, from a checkout")
    source = tmp_path / "t3_cfg.safetensors"
    source.write_bytes(lzma.decompress(packed.read_bytes()))
    made = convert(source, tmp_path / "ckpt", progress=False)
    case = np.load(DATA / "tiny" / "cond.npz")
    with open_weights(made / WEIGHTS) as weights:
        w = {name: tensor.read().astype(np.float64) for name, tensor in weights.items()}
    dim, heads = 64, 4

    def block(queries: np.ndarray, memory: np.ndarray) -> np.ndarray:
        def norm(x: np.ndarray) -> np.ndarray:
            x = x - x.mean(-1, keepdims=True)
            x = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5)
            return np.asarray(x * w["conditioning.norm"] + w["conditioning.norm_bias"])

        parts = [
            rows @ weight.T + bias
            for rows, weight, bias in zip(
                (norm(queries), norm(memory), norm(memory)),
                np.split(w["conditioning.qkv"], 3),
                np.split(w["conditioning.qkv_bias"], 3),
                strict=True,
            )
        ]
        q, k, v = (part.reshape(len(part), heads, -1).transpose(1, 0, 2) for part in parts)
        scores = q @ k.transpose(0, 2, 1) / np.sqrt(dim // heads)
        weight = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (weight / weight.sum(-1, keepdims=True)) @ v
        mixed = mixed.transpose(1, 0, 2).reshape(len(queries), dim)
        return np.asarray(queries + mixed @ w["conditioning.out"].T + w["conditioning.out_bias"])

    tokens = case["cond_prompt_speech_tokens"][0]
    memory = w["speech_embedding"][tokens] + w["speech_positions"][: len(tokens)]
    rows = block(w["conditioning.query"], memory)
    speaker = case["speaker_emb"] @ w["conditioning.speaker"].T + w["conditioning.speaker_bias"]
    emotion = case["emotion_adv"].reshape(1, 1) * w["conditioning.emotion"]
    prefix = np.concatenate([speaker, block(rows, rows), emotion])
    np.testing.assert_allclose(prefix, case["prefix"][0], rtol=1e-4, atol=1e-5)
