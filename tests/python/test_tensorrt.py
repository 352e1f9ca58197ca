"""Finding TensorRT and the plugin libraries of an installation."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ttsrt_rt import tensorrt, tensorrt_libraries
from ttsrt_rt.cli import main
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


# A library as TensorRT's: it says a version. 8.6.0 is 8600, 10.3.0 is 100300.
TENSORRT = "int getInferLibVersion(void) {{ return {version}; }}"
PLUGINS = "int {entry}(void) {{ return 0; }}"


@pytest.fixture
def compile_library(tmp_path: Path) -> Callable[[str, str], Path]:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")

    def make(path: str, text: str) -> Path:
        source = tmp_path / "source.c"
        source.write_text(text)
        library = tmp_path / path
        library.parent.mkdir(exist_ok=True)
        subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True)
        return library

    return make


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without TensorRT."""
    monkeypatch.delenv(tensorrt_libraries.LIBRARY_VARIABLE, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "")
    monkeypatch.setattr(tensorrt_libraries, "_SYSTEM", ())
    monkeypatch.setattr(tensorrt_libraries, "_PACKAGES", ())


@pytest.mark.usefixtures("nowhere")
def test_libraries_are_found_with_their_versions(
    tmp_path: Path,
    compile_library: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert tensorrt.find_libraries() == []
    path = compile_library("a/libnvinfer.so.8", TENSORRT.format(version=8600))
    compile_library("b/libnvinfer_lean.so.11", TENSORRT.format(version=110400))
    (tmp_path / "b" / "libnvinfer.so.10").write_bytes(b"no library")
    (tmp_path / "b" / "libnvinfer_plugin.so.10").touch()
    monkeypatch.setenv(tensorrt_libraries.LIBRARY_VARIABLE, str(path))
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path / 'b'}:{tmp_path / 'a'}:")
    found = tensorrt.find_libraries()
    assert [(each.kind, each.major, each.version, each.found_by) for each in found] == [
        ("full", 8, "8.6.0", tensorrt_libraries.LIBRARY_VARIABLE),
        ("full", 10, "", "LD_LIBRARY_PATH"),
        ("lean", 11, "11.4.0", "LD_LIBRARY_PATH"),
    ]
    assert [bool(each.reason) for each in found] == [False, True, False]


@pytest.mark.usefixtures("nowhere")
def test_packages_are_looked_into_without_being_imported(
    tmp_path: Path,
    compile_library: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compile_library("tensorrt_libs/libnvinfer.so.10", TENSORRT.format(version=100300))
    (tmp_path / "tensorrt_libs" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(tensorrt_libraries, "_PACKAGES", ("tensorrt_libs", "no_such_package"))
    (found,) = tensorrt.find_libraries()
    assert (found.version, found.found_by) == ("10.3.0", "package tensorrt_libs")


@pytest.mark.usefixtures("nowhere")
def test_the_newest_that_fits_is_found(
    tmp_path: Path,
    compile_library: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(NotFoundError, match=r"found none; install the Python package tensorrt"):
        tensorrt.find_library()
    compile_library("a/libnvinfer_lean.so.11", TENSORRT.format(version=110400))
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "a"))
    with pytest.raises(NotFoundError, match=r"TensorRT 11: .*found lean 11\.4\.0"):
        tensorrt.find_library(11)
    compile_library("a/libnvinfer.so.8", TENSORRT.format(version=8600))
    compile_library("a/libnvinfer.so.10", TENSORRT.format(version=100300))
    assert tensorrt.find_library(8).version == "8.6.0"
    assert tensorrt.find_library().version == "10.3.0"


@pytest.mark.usefixtures("nowhere")
def test_a_library_of_another_version_is_refused(
    tmp_path: Path,
    compile_library: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "a"))
    compile_library("a/libnvinfer.so.10", TENSORRT.format(version=8600))
    with pytest.raises(ConfigError, match=r"expected TensorRT 10, got 8\.6\.0"):
        tensorrt.find_library()
    (tmp_path / "a" / "libnvinfer.so.10").write_bytes(b"no library")
    with pytest.raises(ConfigError, match="expected a library that opens, got: "):
        tensorrt.find_library()


def test_plugins_for_another_version_are_refused(
    compile_library: Callable[[str, str], Path], tmp_path: Path
) -> None:
    for entry, right, wrong in (("getPluginCreators", 8, 10), ("getCreators", 10, 8)):
        path = str(compile_library(f"{entry}.so", PLUGINS.format(entry=entry)))
        tensorrt.check_plugin_library(path, right)
        with pytest.raises(ConfigError, match=rf"plugins for TensorRT {wrong}.*got {entry}; use"):
            tensorrt.check_plugin_library(path, wrong)
    other = str(compile_library("other.so", "int nothing(void) { return 0; }"))
    with pytest.raises(ConfigError, match="got no such function"):
        tensorrt.check_plugin_library(other, 11)
    with pytest.raises(ConfigError, match="expected a library that opens"):
        tensorrt.check_plugin_library(str(tmp_path / "absent.so"), 11)
    with pytest.raises(ConfigError, match="expected 8, 10 or 11, got 9"):
        tensorrt.check_plugin_library(other, 9)


@pytest.mark.usefixtures("nowhere")
def test_the_doctor_tells_what_is_missing(
    folder: Path,
    compile_library: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert "TensorRT: none" in told and "TensorRT plugins: none" in told
    assert "TensorRT: no library of TensorRT that builds and runs plans: pip install" in told
    path = compile_library("a/libnvinfer.so.8", TENSORRT.format(version=8600))
    monkeypatch.setenv(tensorrt_libraries.LIBRARY_VARIABLE, str(path))
    found = tensorrt.examine()
    assert found.plugins == {}
    assert [problem.split(":")[0] for problem in found.problems] == ["TensorRT 8.6.0"]
    plugins = compile_library("p.so", PLUGINS.format(entry="getPluginCreators"))
    plugins.rename(folder / "ttsrt_rt_trt8.so")
    (problem,) = tensorrt.examine().problems
    assert 'device "tensorrt" needs ttsrt_rt_trt8_driver.so' in problem
    add(folder, "ttsrt_rt_trt8_driver.so", "other_driver.so")
    assert tensorrt.examine().problems == ()
    assert tensorrt.examine().drivers == {8: str(folder / "ttsrt_rt_trt8_driver.so")}
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["tensorrt"]
    assert told["libraries"][0]["version"] == "8.6.0"
    assert told["plugins"] == {"8": str(folder / "ttsrt_rt_trt8.so")}
    compile_library("p.so", PLUGINS.format(entry="getCreators")).rename(folder / "ttsrt_rt_trt8.so")
    (problem,) = tensorrt.examine().problems
    assert "expected plugins for TensorRT 8" in problem
