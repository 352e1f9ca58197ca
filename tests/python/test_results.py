"""`ttsrt run` checks its output before it generates, and writes it by the ending of its name."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.audio import read_audio
from ttsrt_rt.cli import main
from ttsrt_rt.synth import write_random_f5

Run = Callable[..., int]


@pytest.fixture
def run(engine: Path, tmp_path: Path) -> Run:
    (tmp_path / "ids.json").write_text(json.dumps(list(range(3, 20))))
    command = ["run", str(engine), "--text_ids", str(tmp_path / "ids.json"), "--voice", "0"]
    return lambda *flags: main([*command, "--max_frames", "4", *map(str, flags)])


def test_each_ending(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.npy", "a.npz", "a.json", "a.csv"):
        flags = ["--return_alignment"] if name in ("a.npz", "a.json") else []
        assert run("--output", tmp_path / name, *flags) == 0
        assert f"{tmp_path / name}: 4 frames" in capsys.readouterr().out
    codes = np.load(tmp_path / "a.npy")
    assert codes.dtype == np.int32 and len(codes) == 4
    with np.load(tmp_path / "a.npz") as arrays:
        assert sorted(arrays) == ["alignment", "codes"]
        assert arrays["codes"].tolist() == codes.tolist()
    fields = json.loads((tmp_path / "a.json").read_text())
    assert fields["codes"] == codes.tolist() and fields["finish_reason"] == "length"
    assert fields["frames"] == 4 and fields["metrics"]["steps"] > 0 and fields["alignment"]
    assert np.loadtxt(tmp_path / "a.csv", delimiter=",", dtype=int).tolist() == codes.tolist()
    assert run("--output", "-") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["codes"] == codes.tolist() and "4 frames" in captured.err
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.json", "a.npy", "a.npz", "ids.json"]


def test_sound_and_spectrograms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Models without codes: the main array is the sound, or else the spectrogram."""
    source = write_random_f5(tmp_path / "model_1.safetensors", layout="reupload")
    checkpoint = rt.convert(source, tmp_path / "ckpt", variant="v1", progress=False)
    rt.build(checkpoint, tmp_path / "engine", max_seq_len=64)
    (tmp_path / "ids.json").write_text("[3, 4, 5]")
    np.save(tmp_path / "mel.npy", np.zeros((5, 100), np.float32))
    run = ["run", str(tmp_path / "engine"), "--device", "cpu"]
    text = ["--text_ids", str(tmp_path / "ids.json"), "--flow", '{"steps": 1, "duration": 20}']
    both = ["--return_spectrogram", "true"]
    for name, flags in (
        ("a.npy", text),
        ("a.npz", [*text, *both]),
        ("a.json", [*text, *both]),
        ("b.npy", [*text, "--return_audio", "false"]),
        ("c.npy", ["--mel", str(tmp_path / "mel.npy")]),
        ("a.wav", [*text, "--width", "32"]),
    ):
        assert main([*run, *flags, "--output", str(tmp_path / name)]) == 0
    assert "4864 samples" in capsys.readouterr().out
    sound = np.load(tmp_path / "a.npy")
    assert sound.shape == (19 * 256,)
    assert np.load(tmp_path / "b.npy").shape == (20, 100)
    assert np.load(tmp_path / "c.npy").shape == (4 * 256,)
    heard = read_audio(tmp_path / "a.wav")
    assert heard.sample_rate == 24000 and heard.samples[:, 0].tolist() == sound.tolist()
    with np.load(tmp_path / "a.npz") as arrays:
        assert sorted(arrays) == ["audio", "codes", "spectrogram"]
        np.testing.assert_array_equal(arrays["audio"], sound)
    fields = json.loads((tmp_path / "a.json").read_text())
    assert fields["sample_rate"] == 24000 and len(fields["audio"]) == len(sound)
    assert "frames" not in fields and "codes" not in fields


def test_alignments_have_endings_too(run: Run, tmp_path: Path) -> None:
    output = ["--output", tmp_path / "a.npy"]
    for name in ("b.npy", "b.csv"):
        assert run(*output, "--alignment_output", tmp_path / name) == 0
    assert np.load(tmp_path / "b.npy").shape[1] == 17
    loaded = np.loadtxt(tmp_path / "b.csv", delimiter=",")
    np.testing.assert_allclose(loaded, np.load(tmp_path / "b.npy"), rtol=1e-6)


def never(*_: Any, **__: Any) -> rt.Handle:
    raise AssertionError("it generates")


@pytest.mark.parametrize("flag", ["--output", "--alignment_output"])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("codes", r"\.npy, \.npz, \.json, \.csv"),
        ("codes.pt", r"\.npy, \.npz, \.json, \.csv"),
        ("codes.jsonl", r"\.npy, \.npz, \.json, \.csv"),
        ("absent/codes.npy", "expected a folder that exists"),
        ("folder.npy", "expected a file to write, got a folder"),
        ("pipe.npy", "expected a file to write, got a pipe"),
        ("x" * 300 + ".npy", "File name too long"),
    ],
)
def test_what_cannot_be_written_is_refused_first(
    run: Run,
    tmp_path: Path,
    flag: str,
    name: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "folder.npy").mkdir()
    os.mkfifo(tmp_path / "pipe.npy")
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(rt.Executor, "submit", never)
    monkeypatch.chdir(tmp_path)
    assert run(flag, tmp_path / name) == 2
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1 and str(tmp_path / name) in errors
    assert np.any([part in errors for part in (message, message.replace("\\", ""))])
    assert sorted(os.listdir(tmp_path)) == before


def test_links_stay(run: Run, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "link.npy").symlink_to("store/real.npy")
    for _ in range(2):
        assert run("--output", tmp_path / "link.npy") == 0
    assert (tmp_path / "link.npy").is_symlink()
    assert os.listdir(tmp_path / "store") == ["real.npy"]


def test_an_alignment_needs_room(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.npy", "a.csv", "a.NPY"):
        assert run("--output", name, "--return_alignment") == 2
        assert "--return_alignment: expected --alignment_output with it" in capsys.readouterr().err
