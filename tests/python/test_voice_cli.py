"""`ttsrt voice` makes voice files from what people have, and shows them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.cli import main
from ttsrt_rt.synth import write_random_conds
from ttsrt_rt.voice_file import read_voice


@pytest.fixture
def arrays(tmp_path: Path) -> dict[str, np.ndarray]:
    """A speaker embedding and prompt tokens, also written as .npy."""
    random = np.random.default_rng(0)
    made = {
        "speaker_emb": random.standard_normal((1, 256)).astype(np.float32),
        "cond_prompt_speech_tokens": random.integers(0, 6561, (1, 40)),
    }
    for name, array in made.items():
        np.save(tmp_path / f"{name}.npy", array)
    return made


def test_a_voice_of_conds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    conds = write_random_conds(tmp_path / "conds.pt")
    out = tmp_path / "me.safetensors"
    flags = ["--variant", "english", "--variant", "multilingual", "--emotion", "0.75"]
    assert main(["voice", str(conds), *flags, "--output", str(out)]) == 0
    voice = read_voice(out, variant="multilingual")
    assert (voice.variants, voice.emotion) == (("english", "multilingual"), 0.75)
    assert len(voice.generator) == 4
    capsys.readouterr()
    assert main(["voice", str(out)]) == 0
    shown = capsys.readouterr().out
    for words in ("english, multilingual", "150", "0.75", "10 s of the speaker"):
        assert words in shown


def test_another_emotion_and_variant_of_a_voice_file(tmp_path: Path) -> None:
    conds = write_random_conds(tmp_path / "conds.pt", prompt_tokens=20)
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    assert main(["voice", str(conds), "--variant", "turbo", "--output", str(first)]) == 0
    flags = ["--emotion", "1.5", "--variant", "nano", "--output", str(second)]
    assert main(["voice", str(first), *flags]) == 0
    voice = read_voice(second, variant="nano")
    assert (voice.emotion, voice.variants) == (1.5, ("nano",))
    np.testing.assert_array_equal(voice.speaker_emb, read_voice(first).speaker_emb)


def test_a_voice_of_arrays(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    files = [part for name in arrays for part in (f"--{name}", str(tmp_path / f"{name}.npy"))]
    out = tmp_path / "me.safetensors"
    assert main(["voice", *files, "--variant", "turbo", "--output", str(out)]) == 0
    np.savez(tmp_path / "me.npz", emotion_adv=np.full((1, 1, 1), 0.25), **arrays)
    again = tmp_path / "again.safetensors"
    archive = str(tmp_path / "me.npz")
    assert main(["voice", archive, "--variant", "turbo", "--output", str(again)]) == 0
    for path, emotion in ((out, 0.5), (again, 0.25)):
        voice = read_voice(path, variant="turbo")
        assert voice.emotion == emotion
        np.testing.assert_array_equal(voice.speaker_emb, arrays["speaker_emb"][0])
        np.testing.assert_array_equal(
            voice.cond_prompt_speech_tokens, arrays["cond_prompt_speech_tokens"][0]
        )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["conds.pt"], "--variant: expected the variant of T3 that the voice is for"),
        (["conds.pt", "--variant", "klingon"], "invalid choice: 'klingon'"),
        (["--variant", "english"], "--speaker_emb: expected an array of 256 numbers, got none"),
        ([], "--speaker_emb: expected an array of 256 numbers, got none; or name a file (.safet"),
        (["missing.safetensors"], "missing.safetensors"),
        (["missing.pt"], "missing.pt: expected a readable file"),
        (["missing.npz"], "missing.npz: expected a readable file"),
        (["short.pt"], "short.pt: "),
        (["short.npz"], "short.npz: "),
        (["long.pt"], "--variant: expected the variant of T3 that the voice is for"),
        (["empty.npz"], "empty.npz: expected 256 numbers as 'speaker_emb', got none"),
        (["--speaker_emb", "missing.npy"], "missing.npy: no such file"),
        (["voice.txt"], "expected a file that ends in .safetensors, .pt, .npz"),
        (
            ["conds.pt", "--variant", "english", "--emotion", "101"],
            "--emotion: expected -100 to 100",
        ),
        (["conds.pt", "--variant", "english", "--output", "v.bin"], "--output: expected a name in"),
        (
            ["conds.pt", "--variant", "english", "--speaker_emb", "x.npy"],
            "--speaker_emb: expected none beside conds.pt",
        ),
    ],
)
def test_mistakes_are_one_line(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_random_conds(tmp_path / "conds.pt")
    write_random_conds(tmp_path / "long.pt", "tiny_turbo")
    (tmp_path / "short.pt").write_bytes((tmp_path / "conds.pt").read_bytes()[:500])
    np.savez(tmp_path / "empty.npz", other=np.ones(3))
    (tmp_path / "short.npz").write_bytes((tmp_path / "empty.npz").read_bytes()[:50])
    monkeypatch.chdir(tmp_path)
    try:
        code = main(["voice", *arguments])
    except SystemExit as ended:  # of the parser
        code = int(ended.code or 0)
    assert code == 2
    told = capsys.readouterr().err
    assert words in told
    assert ("--variant" in told) == ("--variant: expected" in words or "klingon" in words)
    assert not (tmp_path / "v.bin").exists()
