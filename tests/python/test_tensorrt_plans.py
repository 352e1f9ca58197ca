"""Finding libraries of an installation and of TensorRT, and what is refused without a GPU."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.devices import why_no_gpu
from ttsrt_rt import tensorrt
from ttsrt_rt.cli import main
from ttsrt_rt.errors import ConfigError, DeviceError, NotFoundError


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tensorrt, "_folder", lambda: tmp_path)
    return tmp_path


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_majors_are_those_of_the_libraries(folder: Path) -> None:
    assert tensorrt.plugin_majors() == []
    add(folder, "ttsrt_rt_trt10.so", "ttsrt_rt_trt8.so", "libttsrt.so.0.1", "ttsrt_rt_trtx.so")
    assert tensorrt.plugin_majors() == [8, 10]


@pytest.mark.parametrize("major", [8, 10, 11])
def test_the_path_is_that_of_the_major(folder: Path, major: int) -> None:
    add(folder, *(f"ttsrt_rt_trt{each}.so" for each in (8, 10, 11)))
    assert tensorrt.plugin_path(major) == str(folder / f"ttsrt_rt_trt{major}.so")


def test_the_library_for_10_stands_for_11_and_not_the_reverse(folder: Path) -> None:
    add(folder, "ttsrt_rt_trt10.so")
    assert tensorrt.plugin_path(11) == str(folder / "ttsrt_rt_trt10.so")
    (folder / "ttsrt_rt_trt10.so").rename(folder / "ttsrt_rt_trt11.so")
    with pytest.raises(NotFoundError, match=r"TensorRT 10: .*has \(11\); build it with"):
        tensorrt.plugin_path(10)


def test_what_was_not_built_is_named(folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"TensorRT 8: .*\(none\).*TTSRT_PLUGINS=ON"):
        tensorrt.plugin_path(8)


@pytest.mark.parametrize("major", [0, 7, 9, 12, True, "10", None])
def test_other_versions_are_refused(major: object) -> None:
    with pytest.raises(ConfigError, match="expected 8, 10 or 11, got"):
        tensorrt.plugin_path(major)  # type: ignore[arg-type]


def test_majors_of_drivers_are_told_apart_from_those_of_plugins(folder: Path) -> None:
    add(folder, "ttsrt_rt_trt10.so", "ttsrt_rt_trt8.so", "ttsrt_rt_trt8_driver.so")
    assert tensorrt.plugin_majors() == [8, 10]
    assert tensorrt.driver_majors() == [8]


def test_the_library_of_a_package_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TTSRT_TENSORRT_LIBRARY", raising=False)
    package = tmp_path / "tensorrt_libs"
    package.mkdir()
    add(package, "__init__.py", "libnvinfer.so.10")
    monkeypatch.syspath_prepend(tmp_path)
    loaded: list[str] = []
    monkeypatch.setattr(tensorrt.ctypes, "CDLL", lambda path, mode: loaded.append(path))
    tensorrt.load_library(8)
    assert loaded == []
    tensorrt.load_library()
    assert loaded == [str(package / "libnvinfer.so.10")]
    monkeypatch.setenv("TTSRT_TENSORRT_LIBRARY", "elsewhere")
    tensorrt.load_library(10)
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"products": "sums"}, 'products: expected "matrix" or "convolution", got "sums"'),
        ({"builder_opt": 9}, "builder_opt: expected 0 to 5, got 9"),
        ({"bulder_opt": 3}, "bulder_opt"),
        ({"tensorrt": 9}, "tensorrt: expected the major version 8, 10 or 11, or 0, got 9"),
        ({"tensorrt": "8"}, "tensorrt"),
    ],
)
def test_options_of_plans_are_checked(options: dict[str, object], error: str, engine: Path) -> None:
    """Before a GPU is looked for."""
    with pytest.raises(ConfigError, match=re.escape(error)):
        tensorrt.build_plans(engine, progress=False, **options)  # type: ignore[arg-type]


@pytest.mark.skipif(not why_no_gpu(), reason="needs a machine without a GPU")
def test_without_a_gpu_the_device_is_refused_with_the_reason(engine: Path) -> None:
    with pytest.raises(DeviceError, match="device tensorrt"):
        rt.Executor(engine, device="tensorrt:0")
    with pytest.raises(DeviceError, match="device tensorrt"):
        tensorrt.build_plans(engine, progress=False)


def test_flags_of_plans_need_the_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "--engine_dir", "engine"]) != 0
    assert "--engine_dir: expected --backend tensorrt beside it" in capsys.readouterr().err
    both = ["--engine_dir", "engine", "--output_dir", "other"]
    assert main(["build", "--backend", "tensorrt", *both]) != 0
    assert "--engine_dir: expected none beside" in capsys.readouterr().err
