"""Builds and runs the C++ tests, so that one pytest run covers both languages."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

STUCK = 3600.0  # seconds after which the tests count as stuck


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


def build(directory: Path | None, headers: str) -> Path:
    """Builds the tests and returns the program.

    If `pip install .` has built the library, the tests are built in the same directory, where the
    library's files are compiled with the same commands, so that only the tests are compiled. They
    are compiled several at a time, which takes less than half of the time.
    """
    unite = "-DTTSRT_UNITE=tests"
    if directory is None or not (directory / "CMakeCache.txt").is_file():
        run("cmake", "--preset", "release", f"-DCMAKE_PREFIX_PATH={headers}", unite)
        directory = ROOT / "build" / "release"
        run("cmake", "--build", str(directory))
        return directory / "tests" / "cpp" / "ttsrt_tests"
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_INSTALL_LIBDIR=lib", "-DTTSRT_BUILD_TESTS=ON"]
    options += ["-DTTSRT_KEEP_HEADERS=ON", f"-DCMAKE_PREFIX_PATH={headers}", unite]
    cache = (directory / "CMakeCache.txt").read_text("utf-8")
    compiler = re.search(r"^CMAKE_CXX_COMPILER:\w+=(.+)$", cache, re.MULTILINE)
    if compiler is not None:
        options += [f"-DCMAKE_CXX_COMPILER={compiler.group(1)}"]
    run("cmake", "--fresh", "-S", ".", "-B", str(directory), "-G", "Ninja", *options)
    run("cmake", "--build", str(directory), "--target", "ttsrt_tests", "ttsrt_fuzz_replay")
    return directory / "tests" / "cpp" / "ttsrt_tests"


def run_tests(program: Path) -> None:
    """Runs all tests in as many processes as there are cores, with a share of the tests in each."""
    count = len(os.sched_getaffinity(0))
    shards = [
        subprocess.Popen(
            [program, "--gtest_brief=1"],
            env={**os.environ, "GTEST_TOTAL_SHARDS": str(count), "GTEST_SHARD_INDEX": str(index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for index in range(count)
    ]
    try:
        for shard in shards:
            output, _ = shard.communicate(timeout=STUCK)
            assert shard.returncode == 0, output[-8000:]
    finally:
        for shard in shards:
            shard.kill()


def test_cpp() -> None:
    if not has_googletest():
        pytest.skip("GoogleTest is missing (Debian: libgtest-dev)")
    for tool in ("cmake", "ninja"):
        if (
            shutil.which(tool) is None
            and shutil.which(tool, path=sysconfig.get_path("scripts")) is None
        ):
            pytest.skip(f"{tool} is missing (pip install '.[test]')")
    kept_directory = runpy.run_path(str(ROOT / "scripts" / "build_directory.py"))["kept_directory"]
    headers = sysconfig.get_path("purelib")  # of nlohmann-json, where it came from PyPI
    with kept_directory() as directory:
        program = build(directory, headers)
        run_tests(program)
        # Linked from the sources that the fuzz targets have; the tests have run its inputs.
        run(str(program.parents[1] / "fuzz" / "ttsrt_fuzz_replay"), "--gtest_brief=1")
