"""The GPU benchmark without a GPU: its list, floors and table, and a run of small models."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

import ttsrt_rt as rt
from bench.gpu_steps import __main__ as command
from bench.gpu_steps.card import Card
from bench.gpu_steps.cases import CASES, SCALES, Case, choose
from bench.gpu_steps.measure import Measured
from bench.gpu_steps.models import BATCH, LLM_SIZES, engine_path, make_engines
from bench.gpu_steps.ours import StepTimes, whole_steps
from bench.gpu_steps.peers import measure_peer, peer_jobs
from bench.gpu_steps.results import Line, derive, make_table, verdicts
from bench.gpu_steps.shapes import (
    Floor,
    LocalShape,
    StackShape,
    cache_bytes,
    floor_ms,
    shape_of,
    weight_bytes,
)
from ttsrt_rt.inspection import TensorLine, inspect_folder

TRUE = SCALES["true"]
measure_card = Measured.measure_card
CARD = Card("NVIDIA H100 80GB HBM3", 2900.0, 3000.0, 750.0)
MAGPIE = StackShape(12, 768, 3072, 12, 12, 64, 16, 2024, False, 1, 128)
LLAMA = StackShape(22, 2048, 5632, 32, 4, 64, 1, 32000, True)


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose card need not be measured."""
    monkeypatch.setattr(Measured, "measure_card", lambda self: setattr(self, "card", CARD) or "")


def test_every_case_fits_its_engine() -> None:
    assert all(key == case.key for key, case in CASES.items())
    assert {case.model for case in CASES.values()} == set(BATCH)
    for case in CASES.values():
        assert TRUE.requests_of(case) == case.requests <= BATCH[case.model]
        assert TRUE.context_of(case) > 40
        assert TRUE.context_of(case) + TRUE.steps_of(case) <= 1024
    assert SCALES["tiny"].requests_of(CASES["2503-64"]) == 2


def test_chosen_cases_bring_what_they_are_compared_with() -> None:
    assert choose([]) == list(CASES.values())
    assert [case.key for case in choose(["t3-w8a16"])] == ["t3-1", "t3-w8a16"]
    assert [case.key for case in choose(["t3-generate"])] == ["t3-plain", "t3-generate"]
    with pytest.raises(rt.ConfigError, match=r"some of 2503-1, .*, got gemma"):
        choose(["2503-1", "gemma"])


def test_peers_are_of_the_chosen_cases() -> None:
    cases = choose(["2503-1", "t3-prefill", "t3-generate", "2503-w8a8", "v2607-first"])
    jobs = peer_jobs(cases, ["generate", "compile"], ["sdpa", "explicit"])
    assert [(job.case.key, job.name) for job in jobs] == [
        ("2503-1", "compile, sdpa"),
        ("2503-1", "compile, explicit"),
        ("t3-plain", "compile, sdpa"),
        ("t3-plain", "compile, explicit"),
        ("t3-prefill", "compile, sdpa"),
        ("t3-generate", "generate"),
        ("t3-generate", "generate, static cache"),
    ]
    assert peer_jobs(cases, ["none"], ["sdpa"]) == []


def test_a_peer_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.gpu_steps.measure.find_spec", lambda name: None)
    measured = Measured(Path(), "tiny", "cuda:0", "cuda:0,cuda:1")
    assert "PyTorch is not installed" in measure_card(measured) and measured.card is None
    (job,) = peer_jobs(choose(["2503-1"]), ["eager-graph"], ["sdpa"])
    with pytest.raises(rt.ConfigError, match="no GPU"):
        measure_peer(measured, job)


def bytes_of(shape: StackShape, *, is_guided: bool, requests: int = 2, text_len: int = 0) -> int:
    return cache_bytes(
        shape,
        requests=requests,
        is_guided=is_guided,
        position=512,
        context=448,
        text_len=text_len,
    )


def test_shared_keys_and_values_count_once() -> None:
    row = 12 * 2 * 768 * 2
    assert bytes_of(MAGPIE, is_guided=False) == 2 * 512 * row
    assert bytes_of(MAGPIE, is_guided=True) == (2 * 512 + 448 + 2 * 64) * row
    text = bytes_of(MAGPIE, is_guided=True, text_len=10) - bytes_of(MAGPIE, is_guided=True)
    assert text == 2 * 10 * 12 * 2 * 128 * 2  # both requests
    row = 22 * 2 * 4 * 64 * 2
    assert bytes_of(LLAMA, is_guided=False, requests=1) == 512 * row
    assert bytes_of(LLAMA, is_guided=True) == 4 * 512 * row  # no context is shared


def test_weights_count_once_and_only_those_of_a_step() -> None:
    names = ["decoder.layers.0.self_qkv", "decoder.layers.0.cross_kv", "decoder.positions"]
    names += ["decoder.norm_out", "final_proj", "head", "embedding", "text_encoder.norm_out"]
    names += ["local_transformer.layers.1.ffn_in", "decoder.layers.3.cross_memory_norm", "voices"]
    tensors = [TensorLine(name, "bfloat16", (1,), 10**i) for i, name in enumerate(names)]
    assert weight_bytes(tensors) == 1 + 10**3 + 10**4 + 10**5 + 10**8


def test_the_floor_of_a_prompt_is_the_larger_of_two() -> None:
    assert floor_ms(Floor(3_000_000_000), 3000.0, 750.0) == pytest.approx(1.0)
    assert floor_ms(Floor(3_000_000_000, 10), 3000.0, 750.0) == pytest.approx(1.0)
    assert floor_ms(Floor(3_000_000_000, 1_500_000_000_000), 3000.0, 750.0) == pytest.approx(2.0)


def test_operations_are_those_of_the_weights() -> None:
    matrices = 2048 * (2048 + 2 * 256) + 2048 * 2048 + 3 * 2048 * 5632
    assert LLAMA.row_operations == 2 * 22 * matrices
    matrices = 4 * 768 * 768 + 2 * 768 * 128 + 2 * 768 * 3072
    assert MAGPIE.row_operations == 2 * 12 * matrices


def iteration(requests: int, rows: int, ms: float) -> SimpleNamespace:
    carried = SimpleNamespace(num_gen_requests=requests, num_ctx_tokens=rows)
    return SimpleNamespace(inflight_batching_stats=carried, iter_latency_ms=ms)


def test_only_steps_of_all_requests_count() -> None:
    others = [iteration(3, 0, 1.0), iteration(4, 16, 2.0)]
    steps = [iteration(4, 0, float(i)) for i in range(12)]
    found = whole_steps([*others, *steps], 4)  # type: ignore[list-item]
    assert [each.iter_latency_ms for each in found] == [8.0, 9.0, 10.0]


def test_the_host_is_what_the_device_does_not_take() -> None:
    assert StepTimes([1.1, 1.2, 9.0], [1.0, 1.0, 1.0]).host == pytest.approx(0.2)
    assert StepTimes([0.9], [1.0]).host == 0.0 == StepTimes([0.9], [0.0]).host


def lines() -> list[Line]:
    one = Line(CASES["t3-1"], {"step_ms": [0.5, 0.4, 0.6], "device_ms": [0.4, 0.4, 0.4]})
    one.peers = {"compile, sdpa": [1.4, 1.4], "compile, explicit": [1.3, 1.2, 1.9]}
    one.floor_ms = 0.3
    plain = Line(CASES["t3-plain"], {"step_ms": [0.25]})
    generate = Line(CASES["t3-generate"])
    generate.peers = {"generate": [50.0, 40.0, 60.0], "generate, static cache": [800.0]}
    quantized = Line(CASES["t3-w8a16"], {"step_ms": [0.4]})
    gpus = Line(CASES["v2607-gpus"], {"one_gpu": [100.0, 110.0], "two_gpus": [200.0, 220.0]})
    first = Line(CASES["v2607-first"], {"first_ms": [4.0, 2.0, 6.0]}, error=" ours failed: no.")
    mean = Line(CASES["v2607-mean"], {"x_real_time": [6000.0], "x_real_time_all": [3000.0]})
    return [one, plain, generate, quantized, gpus, first, mean]


def test_figures_follow_from_the_samples() -> None:
    one, _, generate, quantized, gpus, first, _ = made = lines()
    derive(made)
    assert one.figures["over_peer"] == pytest.approx(2.6)  # of the faster attention
    assert one.figures["share"] == pytest.approx(0.6)
    assert one.figures["host"] == pytest.approx(0.25)
    assert generate.figures["over_peer"] == pytest.approx(80.0)
    assert generate.figures["over_static"] == pytest.approx(5.0)
    assert quantized.figures["over_bfloat16"] == pytest.approx(1.25)
    assert gpus.figures["over_one_gpu"] == pytest.approx(2.0)
    assert first.figures["first_ms"] == 4.0


def test_verdicts_are_for_the_card() -> None:
    line = Line(CASES["v2607-1"], {"step_ms": [0.52]})
    derive([line])
    assert verdicts(line, "NVIDIA H100 80GB HBM3") == ["<= 0.55 ms: met"]
    assert verdicts(line, "NVIDIA H200") == ["<= 0.5 ms: missed by 4 %"]
    assert verdicts(line, "no GPU") == []


def test_the_table_has_a_line_for_each_case() -> None:
    made = lines()
    derive(made)
    text = make_table(made, "Decoder steps on a card", CARD.name).markdown()
    rows = {row.split(" | ")[0].strip("| "): row for row in text.splitlines() if row[:1] == "|"}
    assert "1.300 ms, compile, explicit | 2.60 | 0.300 | 60 |" in rows["T3 520M, 1 guided"]
    assert (
        ">= 3x: missed by 13 %; host <= 10 %: missed, 2.5 times that" in rows["T3 520M, 1 guided"]
    )
    assert "4000 tokens/s" in rows["T3 520M, tokens/s"]
    assert "over a static cache >= 6x: missed by 17 %" in rows["T3 520M, tokens/s"]
    assert "over bfloat16 >= 1x: met" in rows["T3 520M, w8a16, 1 guided"]
    assert "2.00x one GPU" in rows["v2607, 128 guided, 2 GPUs"]
    assert "missed by 33 %; ours failed: no." in rows["v2607, first frame"]
    assert "6000x real time, 3000x with text" in rows["v2607, 64 guided, mean"]


def test_shapes_of_engines(tmp_path: Path) -> None:
    cases = [CASES[key] for key in ("2503-1", "v2607-1", "t3-1", "tinyllama")]
    told: list[str] = []
    make_engines(tmp_path, "tiny", cases, told.append)
    make_engines(tmp_path, "tiny", cases, told.append)  # there is nothing to make
    assert told == 2 * [engine_path(tmp_path, "tiny", case).name for case in cases]
    shapes = []
    for case in cases:
        contents = inspect_folder(engine_path(tmp_path, "tiny", case))
        shapes.append(shape_of(contents.description["model"]))
        assert 0 < weight_bytes(contents.tensors) < sum(t.num_bytes for t in contents.tensors)
    assert shapes[0] == StackShape(4, 64, 256, 4, 4, 16, 4, 96, False, 1, 16)
    assert shapes[1].local == LocalShape(2, 64, 256, 4) and shapes[1].tables == 8
    assert shapes[2] == StackShape(2, 64, 128, 4, 4, 16, 1, 258, True)
    vocab = LLM_SIZES["tiny"]["vocab"]
    assert shapes[3] == StackShape(2, 64, 96, 4, 2, 16, 1, vocab, True)


FAST = ["--size", "tiny", "--device", "cpu", "--devices", "cpu", "--peers", "none"]


def test_a_run_on_the_cpu(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every kind of case, with small models."""
    keys = ["2503-1", "2503-64", "v2607-1", "v2607-mean", "v2607-first", "v2607-gpus", "t3-32"]
    keys += ["t3-prefill", "t3-generate", "tinyllama", "2503-w8a16"]
    out, table = tmp_path / "out.json", tmp_path / "table.md"
    flags = ["--folder", str(tmp_path / "made"), "--json", str(out), "--table", str(table)]
    assert command.main([*FAST, *flags, "--profile", "--cases", *keys]) == 0
    printed = capsys.readouterr().out
    assert table.read_text() in printed + "\n" and str(CARD) in printed
    assert "us of a step without a graph: " in printed
    found = {line["case"]: line for line in json.loads(out.read_text())["lines"]}
    assert set(found) == {*keys, "t3-plain"}
    for key, line in found.items():
        assert line["error"] == "" and line["figures"], key
        for name, samples in line["samples"].items():
            assert samples and all(math.isfinite(each) and each > 0 for each in samples), (
                key,
                name,
            )
        if CASES[key].kind in ("steps", "prefill"):
            assert line["floor_ms"] > 0, key
            assert len(line["samples"]["step_ms"]) >= SCALES["tiny"].least


def test_what_fails_is_noted_and_the_rest_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(measured: Measured, case: Case) -> str:
        if case.key == "v2607-1":
            raise rt.DeviceError("the card is hot\nand more")
        measured.line(case).samples = {"first_ms": [1.0]}
        return "1.00 ms"

    monkeypatch.setattr(command, "measure_ours", fails)
    flags = ["--folder", str(tmp_path), "--cases", "v2607-1", "v2607-first"]
    assert command.main([*FAST, *flags]) == 1
    printed = capsys.readouterr()
    assert "v2607-1, ours: failed: the card is hot\n" in printed.err
    assert "| v2607, first frame | 1.00 ms |" in printed.out
    assert command.main([*FAST, *flags, "--limit_s", "1e-9"]) == 1
    assert "ours: not started within --limit_s." in capsys.readouterr().out


def test_a_machine_with_one_gpu_leaves_two_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--devices", "cuda:0,cuda:77", "--folder", str(tmp_path), "--cases", "v2607-gpus"]
    assert command.main([*FAST, *flags]) == 1
    assert "This machine has no cuda:0,cuda:77." in capsys.readouterr().out


def test_engines_can_be_made_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = [*FAST, "--folder", str(tmp_path), "--cases", "2503-1", "--only_engines"]
    assert command.main(flags) == 0
    assert (tmp_path / "2503.tiny.none.engine").is_dir()
    assert capsys.readouterr().out == ""


def test_wrong_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main([*FAST, "--cases", "other"]) == 2
    assert "--cases: expected some of" in capsys.readouterr().err
    assert command.main([*FAST, "--json", str(tmp_path / "absent" / "out.json")]) == 2
    assert "existing folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main(["--peers", "tensorflow"])


def run_script(*flags: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).resolve().parents[2] / "scripts" / "gpu"
    return subprocess.run([script, *flags], capture_output=True, text=True, check=False)


def test_the_script_says_what_it_takes() -> None:
    shown = run_script("--help")
    assert shown.returncode == 0 and "sanitize" in shown.stdout and "--gtest DIR" in shown.stdout
    assert shown.stdout.rstrip().endswith("The exit code is 0 if all passed.")
    refused = run_script("measure")
    assert refused.returncode == 2 and "got measure" in refused.stderr
    assert run_script("--arch").returncode == 2
