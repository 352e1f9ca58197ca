"""The commands of `ttsrt bench` on tiny engines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.bench import step_turns
from ttsrt_rt.cli import main

SHAPE = ["--text_len", "8", "--context_len", "6", "--frames", "4"]


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    """A data set for the tiny engines, made by the command."""
    path = tmp_path / "samples.json"
    command = ["bench", "prepare", "--samples", "4", "--output", str(path), "--num_vocabs", "4"]
    command += ["--input_len", "9", "2", "4", "12", "--context-len", "6", "0", "6", "6"]
    command += ["--output_len", "5", "0", "5", "5", "--text_vocab_size", "30", "--seed", "3"]
    assert main([*command, "--audio_vocab_size", "96"]) == 0
    return path


def test_run_writes_every_kind_of_output(
    engine_of: Callable[[str], Path],
    samples: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pytest.importorskip("matplotlib")
    flags = {name: tmp_path / f"out.{name}" for name in ("csv", "json")}
    command = ["bench", "run", str(engine_of("tiny2503")), "--dataset", str(samples)]
    command += ["--concurrency", "1", "2", "--streaming", "--cfg_scale", "2.5", "--warm-up", "1"]
    command += ["--temperature", "0.7", "--eos_id", "-1", "--max_num_samples", "3"]
    command += ["--kv_cache_dtype", "bfloat16", "--num_threads", "1", "--chunk_frames", "2"]
    for name, path in flags.items():
        command += [f"--output_{name}", str(path)]
    command += ["--output_plot", str(tmp_path / "out.png")]
    assert main([*command, "--responses_json", str(tmp_path / "codes.json")]) == 0
    table = capsys.readouterr().out
    assert "concurrency 1" in table and "concurrency 2" in table and "between chunks" in table
    assert flags["csv"].read_text().startswith("num_samples,num_error_samples,total_latency(ms),")
    assert flags["csv"].read_text().count("\n") == 3
    report = json.loads(flags["json"].read_text())
    assert report["engine"]["kv_cache_dtype"] == "bfloat16"
    assert [run["completed"] for run in report["runs"]] == [3, 3]
    assert (tmp_path / "out.png").stat().st_size > 1000
    responses = json.loads((tmp_path / "codes.json").read_text())
    assert [np.shape(response["codes"]) for response in responses] == [(5, 4)] * 3


def test_run_open_and_with_a_voice(
    engine: Path, samples: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "run", str(engine), "--dataset", str(samples), "--voice", "0"]
    assert main([*command, "--request_rate", "400", "--enable_exp_delays"]) == 0
    assert "rate 400/s" in capsys.readouterr().out
    assert main([*command]) == 0
    assert "all at once" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "--voice"),
        (["--voice", "nobody"], "nobody"),
        (["--voice", "0", "--eos_id", "5"], "eos_id: expected -1"),
        (["--voice", "0", "--num_vocabs", "5"], "num_vocabs: expected 4 or 8"),
        (["--voice", "0", "--concurrency", "0"], "concurrency: expected 1 to"),
        (["--voice", "0", "--output_plot", "plot.txt"], "expected a file that ends in"),
        (["--voice", "0", "--output_csv", "none/out.csv"], "expected a folder that exists"),
        (["--voice", "0", "--dataset", "none.json"], "none.json: no such file"),
    ],
)
def test_a_mistake_gives_one_line(
    engine: Path,
    samples: Path,
    capsys: pytest.CaptureFixture[str],
    flags: list[str],
    message: str,
) -> None:
    capsys.readouterr()
    assert main(["bench", "run", str(engine), "--dataset", str(samples), *flags]) == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors[-1].startswith("ttsrt: error: ") and message in errors[-1]


def test_prepare_features(tmp_path: Path) -> None:
    path = tmp_path / "features.json"
    command = ["bench", "prepare", "--samples", "1", "--output", str(path), "--text_emb_dim", "8"]
    assert main(command) == 0
    sample = json.loads(path.read_text())["samples"][0]
    assert len(sample["input_feat"]) == 128 * 8 and len(sample["context_ids"]) == 225 * 8
    with pytest.raises(SystemExit) as end:
        main([*command, "--text_vocab_size", "9"])
    assert end.value.code == 2


def test_crowd(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "crowd.json"
    command = ["bench", "crowd", str(engine), "--concurrency", "1", "2", "--repeats", "1", *SHAPE]
    assert main([*command, "--output_json", str(output)]) == 0
    table = capsys.readouterr().out
    assert "| requests at once | codec frames/s | over 1 |" in table
    crowds = json.loads(output.read_text())["crowds"]
    assert [crowd["requests"] for crowd in crowds] == [1, 2] and crowds[0]["ratio"] == 1.0
    assert main(["bench", "crowd"]) == 2
    assert main(["bench", "crowd", str(engine), "--size", "2503"]) == 2
    assert "--size: expected it without the engine" in capsys.readouterr().err


def test_compare(
    checkpoint_of: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(step_turns, "_FRAMES", 4)
    monkeypatch.setattr(step_turns, "_TEXT_LEN", 12)
    monkeypatch.setattr("ttsrt_rt.bench.step_turns.read_bandwidth", lambda seconds: 10.0)
    output = tmp_path / "compare.json"
    command = ["bench", "compare", str(checkpoint_of("tinyhf")), "--dtype", "bfloat16"]
    assert main([*command, "--turns", "1", "--output_json", str(output)]) == 0
    assert "| ttsrt_rt bfloat16 |" in capsys.readouterr().out
    assert len(json.loads(output.read_text())[0]["rows"]) == 1
    assert main(["bench", "compare"]) == 2
    assert main([*command, "--size", "2503"]) == 2


def test_share(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    output, plot = tmp_path / "share.json", tmp_path / "share.svg"
    command = ["bench", "share", str(engine), "--busy", "0", "1", "--repeats", "1"]
    command += ["--text_len", "8", "--context_len", "6", "--frames", "8"]
    command += ["--device", "cpu", "--num_threads", "1", "--pin_threads"]
    command += ["--output_plot", str(plot)]
    assert main([*command, "--output_json", str(output)]) == 0
    told = capsys.readouterr().out
    assert "| busy processes | codec frames/s | over alone | fair share |" in told
    assert "1 threads, pinned" in told and plot.read_text().startswith("<?xml")
    report = json.loads(output.read_text())
    assert [share["busy"] for share in report["shares"]] == [0, 1] and report["threads"] == 1
    assert report["shares"][0]["of_fair_share"] == 1.0
    assert main([*command, "--beside", "executors"]) == 0
    assert "| more executors | codec frames/s |" in capsys.readouterr().out
    assert main([*command, "--busy", "1"]) == 2
    assert main([*command, "--num_threads", "1024"]) == 2
    assert "since --pin_threads is on, got 1024" in capsys.readouterr().err


def test_priority(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "priority.json"
    command = ["bench", "priority", str(engine), "--rounds", "2", "--requests", "3"]
    command += ["--text_len", "8", "--frames", "20", "--pause_ms", "0.5", "--high_frames", "2"]
    command += ["--max_batch_size", "2", "--num_threads", "1", "--output_json", str(output)]
    assert main(command) == 0
    told = json.loads(output.read_text())
    assert len(told["idle_ms"]) == len(told["loaded_ms"]) == 6
    assert told["num_low"] == 2 and told["num_preemptions"] > 0
    assert "p95 loaded / idle" in capsys.readouterr().out
    assert main([*command, "--preempt", "none"]) == 0
    assert json.loads(output.read_text())["num_preemptions"] == 0


def test_overload(engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "overload.json"
    command = ["bench", "overload", str(engine), "--seconds", "0.1", "--capacity_seconds", "1"]
    command += ["--max_queue_size", "2", "--max_batch_size", "2", *SHAPE]
    assert main([*command, "--output_json", str(output)]) == 0
    assert "| accepted and lost | 0 |" in capsys.readouterr().out
    report = json.loads(output.read_text())
    assert report["offered"] == report["accepted"] + report["refused"]
    assert main([*command, "--factor", "0"]) == 2


def test_a_data_set_for_another_model_says_what_to_change(
    engine_of: Callable[[str], Path],
    engine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The defaults of prepare are for 8 codebooks; the engine has 4."""
    path = tmp_path / "samples.json"
    command = ["bench", "prepare", "--samples", "2", "--output", str(path)]
    for name in ("input_len", "context_len", "output_len"):
        command += [f"--{name}", "4", "0", "4", "4"]
    assert main([*command, "--text_vocab_size", "20"]) == 0
    run = ["bench", "run", str(engine_of("tiny2503")), "--dataset", str(path)]
    assert main(run) == 2
    assert (
        "make one with bench prepare --num_vocabs 4 --audio_vocab_size" in capsys.readouterr().err
    )
    assert main(["bench", "run", str(engine), "--dataset", str(path), "--voice", "0"]) == 0


def test_flags_that_would_be_ignored_are_refused(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, told in (
        (["bench", "crowd", str(engine), "--folder", "x"], "--folder: expected --size with it"),
        (["bench", "compare", str(engine), "--folder", "x"], "--folder: expected --size with it"),
        (["bench", "crowd"], "engine: expected the folder of one, or --size"),
        (["inspect", str(engine), "--memory", "--batch_size", "0"], "--batch_size: expected 1"),
        (["inspect", str(engine), "--memory", "--batch_size", "9999"], "--batch_size: expected 1"),
        (["demo", "--output_dir", f"{engine}/engine.json"], "--output_dir: "),
    ):
        assert main(flags) == 2
        assert told in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["run", str(engine), "--max", "3"])
    assert "unrecognized arguments: --max" in capsys.readouterr().err
    assert main(["run", str(engine)]) == 2
    assert "--requests FILE.jsonl for many" in capsys.readouterr().err
