"""Importing the package is quick and imports no large package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ttsrt_rt as rt

LIMIT_SECONDS = 0.150


def run_python(code: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_import_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import ttsrt_rt; print(time.perf_counter() - t)"
    best = min(float(run_python(code)) for _ in range(5))
    assert best < LIMIT_SECONDS


def test_import_imports_no_large_package() -> None:
    heavy = "('numpy', 'yaml', 'tqdm', 'torch')"
    code = f"import sys, ttsrt_rt; print([name for name in {heavy} if name in sys.modules])"
    assert run_python(code) == "[]"


def test_convert_and_build_stay_functions() -> None:
    """Modules of the same names would replace them when they are imported."""
    code = (
        "import ttsrt_rt.convert.registry, ttsrt_rt.build, ttsrt_rt as rt; "
        "print(callable(rt.convert), callable(rt.build))"
    )
    assert run_python(code) == "True True"


@pytest.mark.parametrize("name", rt.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(rt, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = rt.no_such_thing


def test_paths_of_the_cpp_library() -> None:
    assert (Path(rt.get_include()) / "ttsrt" / "ttsrt.h").is_file()
    assert (Path(rt.get_cmake_dir()) / "ttsrtConfig.cmake").is_file()


def test_errors_are_also_builtin_ones() -> None:
    assert issubclass(rt.ConfigError, ValueError) and issubclass(rt.FormatError, ValueError)
    for kind in (rt.CapacityError, rt.ClosedError, rt.DeviceError, rt.InternalError):
        assert issubclass(kind, RuntimeError)
