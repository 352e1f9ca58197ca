"""The benchmark of sound of speech tokens, with tiny models. No time is asserted."""

from __future__ import annotations

import argparse
import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.s3gen import __main__ as command
from bench.s3gen import gpu
from ttsrt_rt.build import build
from ttsrt_rt.convert import convert
from ttsrt_rt.executor import Executor
from ttsrt_rt.request import Request
from ttsrt_rt.synth import write_random_s3gen

RUN = ["--size", "tiny", "--turns", "1", "--tokens", "5", "--streams", "2", "--builds", "float32"]


def test_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    folder = ["--folder", str(tmp_path / "models"), "--no_torch"]
    assert command.main([*RUN, "int8", *folder, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "| float32, 2 streams |" in printed and "meanflow: 5 tokens, 0.3 s of sound" in printed
    tables = json.loads(out.read_text())["tables"]
    assert [table["table"] for table in tables] == ["meanflow", "cfm"]
    names = [case["case"] for case in tables[0]["cases"]]
    assert names == ["float32", "float32, 2 streams", "int8", "int8, 2 streams"]
    assert all(len(case["seconds"]) == 1 and case["rtf"] > 0 for case in tables[1]["cases"])


def test_the_original_is_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert command.main([*RUN, "--folder", str(tmp_path), "--kind", "cfm"]) == 2
    assert "chatterbox-tts: expected the package" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main([*RUN, "--tokens", "0"])


def test_a_gpu_is_asked_for_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert command.main([*RUN, "--folder", str(tmp_path), "--device", "cuda"]) == 2
    assert "--device cuda:0: PyTorch sees no GPU" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        command.main([*RUN, "--device", "gpu"])


def test_the_table_of_a_gpu() -> None:
    """Ratios are those of streams of a number, and targets are told where they apply."""
    entries = []
    for name, is_peer, one, many in (("bfloat16", False, 1.0, 2.0), ("PyTorch", True, 3.0, 8.0)):
        for streams, seconds in ((1, one), (8, many)):
            entry = gpu.Entry(name, streams, is_peer, lambda: 0.0, lambda: 5_000_000_000)
            entry.seconds = [seconds, seconds]
            entries.append(entry)
    options = argparse.Namespace(tokens=25, device="cuda:0", turns=2)
    table = gpu.make_gpu_table(options, "cfm", entries, 2.0, 989e12 / 2, None)
    ours, ours_together, theirs, _ = table.cases
    assert ours.figures["over PyTorch"] == 3.0 and ">= 2: met" in ours.cells[5]
    assert ours_together.figures["over PyTorch"] == 4.0
    assert ours_together.figures["over one stream"] == 4.0
    assert "missed" in ours_together.cells[6] and "<= 4: missed" in ours_together.cells[4]
    assert ours.figures["share"] == [0.5, 0.5] and theirs.cells[5] == ""


def test_operations_of_a_stream() -> None:
    """The figures of a request of 10 seconds with a voice of 10 seconds."""
    assert gpu.flops_of("cfm", 250, 250) == pytest.approx(5.3e12, rel=0.02)
    assert gpu.flops_of("meanflow", 250, 250) == pytest.approx(0.88e12, rel=0.02)


@pytest.mark.parametrize("size", ["tiny", "tiny_meanflow"])
def test_the_network_in_pytorch_is_ours(tmp_path: Path, size: str) -> None:
    """Spectrograms of one noise agree, and streams of a batch."""
    pytest.importorskip("torch")
    from bench.s3gen.torch_sound import TorchSound

    checkpoint, engine = tmp_path / "checkpoint", tmp_path / "engine"
    convert(write_random_s3gen(tmp_path / "tiny.safetensors", size, 1), checkpoint)
    build(checkpoint, engine)
    random = np.random.default_rng(2)
    voice: dict[str, Any] = {
        "embedding": random.normal(size=192).astype(np.float32),
        "prompt_token": random.integers(0, 6561, 5).astype(np.int32),
        "prompt_feat": random.normal(-4, 1.5, (10, 80)).astype(np.float32),
    }
    tokens = random.integers(0, 6561, 7).astype(np.int32)
    silence = command.SILENCE["cfm" if size == "tiny" else "meanflow"]
    given = np.concatenate([tokens, np.full(silence, 4299, np.int32)])
    noise = random.normal(size=(2 * (5 + len(given)), 80)).astype(np.float32)
    peer = TorchSound(checkpoint, given, voice, noise, streams=2, device="cpu", dtype="float32")
    found, other = peer.run(peer.spectrogram)
    np.testing.assert_allclose(found, other, rtol=1e-5, atol=1e-5)
    with Executor(engine, device="cpu") as executor:
        executor.add_voice("voice", **voice)
        request = Request(codes=tokens[:, None], voice="voice", noise=noise)
        made = executor.generate(replace(request, return_spectrogram=True))
    assert made.spectrogram is not None and made.audio is not None
    assert np.abs(made.spectrogram - found).max() < 1e-4 * np.abs(found).max()
    sounds = peer.run(peer.speak)
    assert sounds.shape == (2, len(made.audio))
    assert np.all(sounds[:, :480] == 0) and np.abs(sounds).max() <= 0.99
