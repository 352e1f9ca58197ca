"""Builds and runs the examples with the commands in their first lines."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import ttsrt_rt as rt

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ENVIRONMENT = {
    **os.environ,
    "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
}


def run(*command: str | Path) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_cpp_service(engine: Path, tmp_path: Path) -> None:
    for tool in ("cmake", "c++"):
        if shutil.which(tool, path=ENVIRONMENT["PATH"]) is None:
            pytest.skip(f"{tool} is missing")
    found = f"-Dttsrt_DIR={rt.get_cmake_dir()}"
    run("cmake", "-S", EXAMPLES / "cpp_service", "-B", tmp_path, found)
    run("cmake", "--build", tmp_path)
    ids = [str(i) for i in range(3, 20)]
    wrong = subprocess.run(
        [tmp_path / "cpp_service", engine, "0", "5x"], capture_output=True, text=True, check=False
    )
    assert wrong.returncode == 1
    assert wrong.stderr == "cpp_service: TEXT_ID: expected an integer, got '5x'\n"
    lines = run(tmp_path / "cpp_service", engine, "0", *ids).splitlines()
    assert lines[-1].startswith("ended by ")
    with rt.Executor(engine, device="cpu") as executor:
        codes = executor.generate(
            text_ids=range(3, 20), voice=0, cfg_scale=2.5, seed=7, max_frames=16
        ).codes.tolist()
    expected = [f"frame {i}: {' '.join(map(str, frame))}" for i, frame in enumerate(codes)]
    assert lines[:-1] == expected


def test_asyncio_streaming(engine: Path) -> None:
    lines = run(sys.executable, EXAMPLES / "asyncio_streaming.py", engine).splitlines()
    assert "request 0: heard enough" in lines
    assert sum(": ended by " in line for line in lines) == 2
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "asyncio_streaming.py")],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1 and done.stderr.startswith("usage: ")
