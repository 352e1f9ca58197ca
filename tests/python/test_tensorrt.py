"""Finding the plugin libraries of an installation."""

from __future__ import annotations

from pathlib import Path

import pytest

from ttsrt_rt import tensorrt
from ttsrt_rt.errors import ConfigError, NotFoundError


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
