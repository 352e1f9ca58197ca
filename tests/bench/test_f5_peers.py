"""The comparison of F5-TTS with the original, with a tiny model. No time is asserted."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from bench.f5_peers import __main__ as command
from bench.f5_peers import contest, gpu
from bench.f5_peers.contest import CROWD, ORIGINAL, Entry, flops, peak_of
from bench.f5_peers.gpu import GpuContest, GpuEntry, Utterance
from bench.f5_peers.gpu_results import make_gpu_tables
from bench.f5_peers.ours import KINDS, Inputs, Ours
from bench.f5_peers.results import make_tables
from bench.gpu_steps.card import Card
from ttsrt_rt.bench.ops import Peaks
from ttsrt_rt.synth.f5_layout import f5_size

PEAKS = Peaks("any", 1, 10.0, 40.0, 100.0, 90.0, 400.0)
RUN = ["--size", "tiny", "--turns", "1", "--frames", "60", "--threads", "1"]
GPU_RUN = ["--size", "tiny", "--turns", "1", "--frames", "60", "--device", "cuda"]
HAS_ORIGINAL = find_spec("f5_tts") is not None
HAS_TORCH = find_spec("torch") is not None


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose limits need not be measured."""
    for module in (command, contest):
        monkeypatch.setattr(module, "measure_peaks", lambda **_: PEAKS)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    assert command.main([*RUN, "--folder", str(folder), "--only_files"]) == 0
    return folder


def test_the_work_of_the_true_size() -> None:
    """0.38 GFLOP per frame in products and convolutions, 90 kFLOP per pair of frames."""
    base = f5_size("base")
    linear = flops(base, 1) / 2
    assert linear == pytest.approx(0.375e9, rel=0.03)
    pairs = (flops(base, 1000) / 2 / 1000 - linear) / 1000
    assert pairs == pytest.approx(9.0e4, rel=0.02)


def test_a_run_without_the_original(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    flags = ["--folder", str(models), "--no_torch", "--json", str(out)]
    assert command.main([*RUN, *flags]) == 0
    assert f"Without {ORIGINAL}: --no_torch" in capsys.readouterr().out
    values = json.loads(out.read_text())
    assert (values["frames"], values["threads"]) == (60, 1)
    assert [len(table["cases"]) for table in values["tables"]] == [len(KINDS)] * 2
    samples = [ms for table in values["tables"] for case in table["cases"] for ms in case["ms"]]
    assert all(math.isfinite(ms) for ms in samples)


def test_a_run_of_one_kind(models: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    flags = ["--folder", str(models), "--no_torch", "--json", str(out), "--kinds", "bfloat16"]
    assert command.main([*RUN, *flags]) == 0
    tables = json.loads(out.read_text())["tables"]
    assert [[case["case"] for case in table["cases"]] for table in tables] == [
        ["ttsrt_rt bfloat16"]
    ] * 2


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--device", "gpu"], "--device"),
        (["--kinds", "int8"], "--kinds"),
        (["--device", "cuda", "--kinds", "float32"], "--kinds"),
    ],
)
def test_flags_are_refused_before_files_are_written(
    tmp_path: Path, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.main([*RUN, "--folder", str(tmp_path), *flags])
    assert told in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not HAS_ORIGINAL, reason="needs the package f5-tts")
def test_a_run_beside_the_original(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*RUN, "--folder", str(models)]) == 0
    printed = capsys.readouterr().out
    assert f"{ORIGINAL} float32 |" in printed
    assert f"{ORIGINAL} bfloat16 |" in printed
    assert "Largest difference of float32 velocities" in printed


def test_what_is_timed_gives_the_velocities_of_every_thread_count(models: Path) -> None:
    inputs = Inputs(60, f5_size("tiny").vocab)
    made = []
    for threads in (1, 2):
        with Ours(models / "f5-tiny.60.float32.engine", inputs, threads=threads) as ours:
            made.append(ours.velocity())
    assert made[0].shape == (2 * 60, 100)
    np.testing.assert_array_equal(made[0], made[1])


def test_failed_requests_are_errors(models: Path) -> None:
    inputs = Inputs(60, f5_size("tiny").vocab)
    inputs.noise[5, 5] = np.inf
    engine = models / "f5-tiny.60.float32.engine"
    refused = pytest.raises((rt.InternalError, rt.ConfigError))
    with Ours(engine, inputs, threads=1) as ours, refused:
        ours.evaluation_ms(CROWD)


def entry(table: str, program: str, kind: str, samples: list[float]) -> Entry:
    count = CROWD if table == "packed" else 1
    return Entry(table, program, kind, count, lambda: 0.0, samples, [100.0] * len(samples))


def test_peaks_are_those_of_the_precision() -> None:
    assert peak_of("float32", 1, lambda: 900.0) == 100.0
    assert peak_of("bfloat16", 1, lambda: 900.0) == 900.0
    assert peak_of("w8a16", 1, None) == 90.0


def test_tables_compare_turn_by_turn() -> None:
    entries = [
        entry("one", "ttsrt_rt", "float32", [10.0, 20.0]),
        entry("packed", "ttsrt_rt", "float32", [40.0, 60.0]),
        entry("one", "ttsrt_rt", "w8a16", [10.0, 10.0]),
        entry("one", ORIGINAL, "float32", [20.0, 30.0]),
    ]
    one, packed = make_tables(entries, 8e8, 600, 2)
    assert one.cases[0].figures["share"] == pytest.approx([0.8, 0.4])
    assert one.cases[0].figures["over original"] == [2.0, 1.5]
    assert "1.75 (1.50 to 2.00), >= 1.5: met" in one.cases[0].cells[-1]
    assert one.cases[1].cells[-1] == ""
    assert packed.cases[0].figures["ratio"] == [1.0, 0.75]
    assert packed.cases[0].cells[-1] == "<= 1: met"


@pytest.mark.parametrize("flags", [["--frames", "29"], ["--turns", "0"], ["--threads", "-1"]])
def test_flags_out_of_range_are_refused(flags: list[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(flags)
    assert command.main([*RUN, "--json", "/no/such/folder/out.json"]) == 2


@pytest.fixture(scope="module")
def gpu_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpu-models")
    assert command.main([*GPU_RUN, "--folder", str(folder), "--only_files"]) == 0
    return folder


def test_what_a_gpu_is_asked_for() -> None:
    options = command.parse(["--device", "cuda"])
    assert (options.device, options.frames, options.turns) == ("cuda:0", 1200, 15)
    assert (command.parse([]).frames, command.parse([]).turns) == (600, 3)


@pytest.mark.skipif(not HAS_TORCH, reason="needs PyTorch")
def test_the_network_in_pytorch_has_our_velocities(gpu_models: Path) -> None:
    from bench.f5_peers.torch_flow import TorchFlow

    size = f5_size("tiny")
    inputs = Inputs(60, size.vocab)
    source = gpu_models / "f5-tiny" / "model_1.safetensors"
    exact = TorchFlow(source, size, inputs, device="cpu", dtype="float32").velocity()
    with Ours(gpu_models / "f5-tiny-vocos.60.float32.engine", inputs, threads=1) as ours:
        assert contest.distance(ours.velocity(), exact) < contest.EXACT
    narrow = TorchFlow(source, size, inputs, device="cpu", dtype="bfloat16").velocity()
    assert 1e-4 < contest.distance(narrow, exact) < 0.1


@pytest.mark.skipif(not HAS_TORCH, reason="needs PyTorch")
def test_what_is_compared_with_has_no_products_of_tf32() -> None:
    import torch

    from bench.f5_peers.torch_flow import exact_products

    def allowed() -> tuple[bool, bool]:
        return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32

    before = allowed()
    assert any(before)
    with pytest.raises(KeyError), exact_products():
        assert allowed() == (False, False)
        raise KeyError
    assert allowed() == before


@pytest.mark.parametrize("without", [None, "--no_torch", "the package torch is not installed"])
def test_a_run_of_a_gpu(
    gpu_models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    without: str | None,
) -> None:
    """All but the graph, which only a GPU has, on the CPU; with peers, or without for a reason."""
    has_peers = without is None
    if has_peers and not HAS_TORCH:
        pytest.skip("needs PyTorch")
    card = Card("any", 1.0, 1.0, 800.0)
    if has_peers:
        monkeypatch.setattr(gpu, "find_card", lambda _: card)
    else:
        monkeypatch.setattr(gpu, "find_spec", lambda _: None)
    monkeypatch.setattr(gpu, "ATTENTION_NAMES", (None,))
    monkeypatch.setattr(gpu, "prepare_of", lambda *_: lambda function: function)
    monkeypatch.setattr(gpu, "replays", lambda peer, _: lambda: (None, float(peer.velocity().size)))
    options = command.parse([*GPU_RUN, "--json", str(tmp_path / "out.json")])
    options.device, options.no_torch = "cpu", without == "--no_torch"
    command.run_gpu(options, gpu_models)
    printed = capsys.readouterr().out
    assert (f"Without PyTorch: {without}." in printed) == (not has_peers)
    values = json.loads((tmp_path / "out.json").read_text())
    evaluations, utterances = values["tables"]
    assert [len(case["device_ms"]) for case in evaluations["cases"]] == [1] * (1 + has_peers)
    assert utterances["cases"][0]["seconds"] == pytest.approx(40 * 256 / 24000, rel=0.05)
    assert utterances["cases"][0]["rtf"][0] > 0.0
    assert values["card"] == (None if not has_peers else pytest.approx(card.__dict__))


def test_tables_of_a_gpu() -> None:
    entries = [
        GpuEntry("ttsrt_rt", True, lambda: (1.0, 1.0), [2.0, 4.0], [3.0, 5.0]),
        GpuEntry("slow", False, lambda: (None, 1.0), [9.0, 9.0]),
        GpuEntry("fast", False, lambda: (None, 1.0), [3.0, 5.0]),
    ]
    utterance = Utterance(lambda: (1.0, 1.0, 1.0), [50.0, 70.0], [40.0, 60.0], 2.0)
    card = Card("any", 1.0, 1.0, 500.0)
    one, whole = make_gpu_tables(GpuContest(entries, utterance), card, 989e9, 1200)
    assert one.cases[0].figures["share"] == pytest.approx([0.5, 0.25])
    assert one.cases[0].figures["share of measured peak"] == pytest.approx([0.989, 0.4945])
    assert one.cases[0].figures["over PyTorch"] == [1.5, 1.25]
    assert one.cases[0].cells[-1] == "1.38 (1.25 to 1.50), >= 1.4: missed by 2 %"
    assert one.cases[1].cells[0] == one.cases[1].cells[-1] == ""
    assert "1.000 ms at the nominal 989" in one.notes[0]
    assert whole.cases[0].figures["rtf"] == pytest.approx([0.025, 0.035])
    assert whole.cases[1].cells[-1] == "0.039"
    alone, _ = make_gpu_tables(GpuContest(entries[:1], utterance), None, 989e9, 1200)
    assert alone.cases[0].cells[-2:] == ("", "")
