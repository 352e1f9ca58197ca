"""Builds and runs the C++ tests (preset `release`): one pytest covers both languages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def has_googletest() -> bool:
    prefixes = ["/usr", "/usr/local", *os.environ.get("CMAKE_PREFIX_PATH", "").split(":")]
    return any((Path(prefix) / "include/gtest/gtest.h").is_file() for prefix in prefixes if prefix)


def run(*command: str) -> None:
    scripts = sysconfig.get_path("scripts")  # where pip put cmake and ninja
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, (
        f"{' '.join(command)}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    )


def test_cpp() -> None:
    if not has_googletest():
        pytest.skip("GoogleTest is missing (Debian: libgtest-dev)")
    for tool in ("cmake", "ninja"):
        if (
            shutil.which(tool) is None
            and shutil.which(tool, path=sysconfig.get_path("scripts")) is None
        ):
            pytest.skip(f"{tool} is missing (pip install '.[test]')")
    headers = sysconfig.get_path("purelib")  # of nlohmann-json, where it came from PyPI
    run("cmake", "--preset", "release", f"-DCMAKE_PREFIX_PATH={headers}")
    run("cmake", "--build", "--preset", "release")
    run("ctest", "--preset", "release", "--parallel", str(len(os.sched_getaffinity(0))))
