"""scripts/gpu_tensorrt with programs in place of those that need a GPU: order, limits, summary."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from .house import ROOT

SCRIPT = ROOT / "scripts" / "gpu_tensorrt"
PARTS = ["magpie", "f5", "t3", "float16", "cpp", "plugins", "bench"]


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/bash\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A build folder, a TensorRT and an interpreter, which only tell what they are asked."""
    for name in ("tensorrt/libnvinfer.so.8", "build/plugins/ttsrt_rt_trt8_driver.so"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "build" / "python").mkdir()
    (tmp_path / "build" / "python" / "_core.so").touch()
    say = 'echo "$(basename "$0") $* $TTSRT_TENSORRT_LIBRARY"'
    for name in ("ttsrt_tests", "plugins/ttsrt_plugin_gpu_tests"):
        write_program(tmp_path / "build" / "tests" / "cpp" / name, say)
    write_program(tmp_path / "python", f'{say}; echo "t3: 1.5 s, 2.0 MB of plans"; $FAKE')
    write_program(tmp_path / "bin" / "nvidia-smi", "echo a card")
    return tmp_path


def run(machine: Path, *arguments: str, fake: str = ":") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FAKE": fake, "PATH": f"{machine}/bin:{os.environ['PATH']}"}
    command = [SCRIPT, "--tensorrt", machine / "tensorrt", "--build", machine / "build"]
    command += ["--python", machine / "python", *arguments]
    return subprocess.run(
        [str(each) for each in command],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
        timeout=60,
    )


def test_all_parts_run_in_their_order(machine: Path) -> None:
    done = run(machine)
    assert done.returncode == 0, done.stdout + done.stderr
    told = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("== ")]
    assert told[:-1] == PARTS
    assert str(machine / "tensorrt" / "libnvinfer.so.8") in done.stdout
    for part in PARTS:
        assert f"{part}: passed, " in done.stdout
    assert "t3: 1.5 s, 2.0 MB of plans" in done.stdout.split("== summary")[1]
    assert "-m bench.tensorrt" in (machine / "build/report-tensorrt/bench.log").read_text("utf-8")


def test_a_part_that_fails_or_hangs_does_not_stop_the_others(machine: Path) -> None:
    done = run(machine, "t3", "cpp", fake="false")
    assert done.returncode == 1
    assert "t3: FAILED, " in done.stdout
    assert "cpp: passed, " in done.stdout
    done = run(machine, "--seconds", "1", "f5", "cpp", fake="exec sleep 100")
    assert done.returncode == 1
    assert "f5: OUT OF TIME, " in done.stdout
    assert "there is no time left" in done.stdout


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("tensorrt/libnvinfer.so.8", "expected libnvinfer.so.MAJOR in it"),
        ("build/python/_core.so", "there is no _core"),
        ("build/plugins/ttsrt_rt_trt8_driver.so", "there is no driver"),
    ],
)
def test_what_is_missing_is_said(missing: str, said: str, machine: Path) -> None:
    (machine / missing).unlink()
    done = run(machine)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_wrong_command_is_refused(machine: Path) -> None:
    done = run(machine, "engines")
    assert done.returncode == 2
    assert "expected an option or a part" in done.stderr
    assert run(machine, "--help").stdout.startswith("Runs the tests and the benchmark")
