"""The old command lines run unchanged in examples/llm, through its wrappers."""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.house import ROOT
from tests.needs_llm import jinja2, tokenizers

assert jinja2 is not None
assert tokenizers is not None

EXAMPLES = ROOT / "examples" / "llm"
MODEL = ROOT / "tests" / "data" / "llm" / "tiny_llama"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the folder, with a configuration of a miniature."""
    folder = tmp_path_factory.mktemp("examples")
    for name in ("src", "prompts.jsonl"):
        (folder / name).symlink_to(EXAMPLES / name)
    shipped = yaml.safe_load((EXAMPLES / "configs" / "tinyllama_int8.yaml").read_text("utf-8"))
    (folder / "models").mkdir()
    (folder / shipped["model_dir"]).symlink_to(MODEL)
    config: dict[str, Any] = {
        **shipped,
        "engine": {"max_batch_size": 4, "max_input_len": 200, "max_output_len": 40},
        "generation": {"max_tokens": 4},
    }
    (folder / "configs").mkdir()
    (folder / "configs" / "tinyllama_int8.yaml").write_text(yaml.safe_dump(config), "utf-8")
    return folder


def run(place: Path, command: str) -> str:
    done = subprocess.run(
        [sys.executable, *command.split()],
        cwd=place,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-1000:]}\n{done.stderr[-2000:]}"
    return done.stdout


def test_the_old_command_lines(place: Path) -> None:
    run(place, "src/convert_checkpoint.py --config configs/tinyllama_int8.yaml")
    run(place, "src/build_engine.py --config configs/tinyllama_int8.yaml")
    engine = "engines/tinyllama_int8"
    command = f"src/inference_trtllm.py --engine_dir {engine} --batch_size 2 --max_input_len 128"
    told = run(place, f"{command} --max_tokens 4 --truncate left")
    assert len(told.splitlines()) == 4
    assert all(json.loads(line)["finish_reason"] != "error" for line in told.splitlines())
    told = run(place, f"src/inference_trtllm.py --engine_dir={engine} --prompt=Hello")
    assert "finish_reason" not in told
    command = f"src/benchmark.py --engine_dirs {engine} --iterations 1 --output_dir results/"
    assert "Tokens/Second" in run(place, f"{command} --output_len 4 --warmup 0")
    assert (place / "results" / "benchmark.md").is_file()
    command = "src/memory_analysis.py --config configs/tinyllama_int8.yaml --batch_sizes 1 4 8 16"
    told = run(place, f"{command} --sequence_lengths 64 128 256")
    assert len([line for line in told.splitlines() if line.endswith((" yes", " no"))]) == 12


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ("--model m --prompt=Hi", "--model_dir m --prompt=Hi"),
        ("--model=m --prompts=a.txt", "--model_dir=m --prompts=a.txt"),
        ("--model m", "--model_dir m --prompts prompts.jsonl"),
    ],
)
def test_flags_with_their_values(given: str, passed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []
    monkeypatch.setattr("ttsrt_rt.cli.main", lambda argv: called.append(argv))
    monkeypatch.setattr(sys, "argv", ["inference_hf.py", *given.split()])
    with pytest.raises(SystemExit):
        runpy.run_path(str(EXAMPLES / "src" / "inference_hf.py"))
    assert called == [["run", "--backend", "hf", *passed.split()]]


def test_a_wrapper_is_short() -> None:
    for path in (EXAMPLES / "src").glob("*.py"):
        lines = [line for line in path.read_text("utf-8").splitlines()[1:] if line.strip()]
        assert len(lines) <= 5, path.name
