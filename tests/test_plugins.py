"""The TensorRT plugins beside their C++ tests (tests/cpp/plugins): how CMake finds headers, and the
plugins in a true TensorRT library.

The latter needs a build directory that was configured with TTSRT_BUILD_PLUGIN_TESTS and with the
headers of that version, and the library; it needs no GPU. Without them it is skipped by name, and
fails with TTSRT_REQUIRE=tensorrt:

    TTSRT_PLUGIN_BUILD=build/cuda TTSRT_TENSORRT_LIBRARIES=libnvinfer.so.8:libnvinfer_lean.so.11 \
        python -m pytest tests/test_plugins.py
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from .house import ROOT

LIBRARIES = [path for path in os.environ.get("TTSRT_TENSORRT_LIBRARIES", "").split(":") if path]
BUILD = os.environ.get("TTSRT_PLUGIN_BUILD", "")


def kinds() -> set[str]:
    """The plugins, as the sources name them."""
    sources = (ROOT / "plugins" / "common").glob("*.h")
    texts = [path.read_text("utf-8") for path in sources]
    found = {name for text in texts for name in re.findall(r'kName = "(\w+)"', text)}
    assert len(found) > 10
    return found


def write_headers(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "NvInferRuntime.h").touch()
    (folder / "NvInferVersion.h").write_text(text, "utf-8")
    return folder


def digits(major: int, minor: int, patch: int) -> str:
    """How versions up to 10.12 say which they are."""
    parts = {"MAJOR": major, "MINOR": minor, "PATCH": patch}
    lines = [f"#define NV_TENSORRT_{name} {value} //!< a part" for name, value in parts.items()]
    return "\n".join([*lines, "#define NV_TENSORRT_SONAME_MAJOR 99"])


def indirect(major: int, minor: int, patch: int) -> str:
    """How later versions say it."""
    parts = {"MAJOR": major, "MINOR": minor, "PATCH": patch}
    lines = [f"#define TRT_{name}_ENTERPRISE {value}" for name, value in parts.items()]
    lines += [f"#define NV_TENSORRT_{name} TRT_{name}_ENTERPRISE //!< a part" for name in parts]
    return "\n".join(lines)


def find(folder: Path, roots: list[Path], environment: dict[str, str] | None = None) -> str:
    """What FindTensorRT.cmake says of these roots."""
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is missing")
    module = ROOT / "cpp" / "cmake"
    folder.mkdir()
    (folder / "CMakeLists.txt").write_text(
        f"""cmake_minimum_required(VERSION 3.26)
project(find LANGUAGES NONE)
list(APPEND CMAKE_MODULE_PATH "{module}")
find_package(TensorRT)
set(numbers "versions: ${{TensorRT_VERSIONS}} majors: ${{TensorRT_MAJORS}}")
message(STATUS "found: ${{TensorRT_FOUND}} ${{numbers}}")
foreach(major IN LISTS TensorRT_MAJORS)
    get_target_property(folder TensorRT::headers${{major}} INTERFACE_INCLUDE_DIRECTORIES)
    message(STATUS "headers ${{major}}: ${{folder}}")
endforeach()
""",
        "utf-8",
    )
    given = [f"-DTensorRT_ROOT={';'.join(map(str, roots))}"] if roots else []
    done = subprocess.run(
        [cmake, "-S", folder, "-B", folder / "build", *given],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **(environment or {})},
    )
    return done.stdout


def test_cmake_finds_headers_of_several_versions_and_their_numbers(tmp_path: Path) -> None:
    new = write_headers(tmp_path / "new", indirect(11, 1, 0))
    old = write_headers(tmp_path / "old" / "include", digits(8, 6, 0))
    twice = write_headers(tmp_path / "twice", digits(11, 0, 0))
    said = find(tmp_path / "project", [new, old.parent, twice])
    assert "found: TRUE versions: 8.6.0;11.1.0 majors: 8;11" in said
    assert f"headers 8: {old}\n" in said
    assert f"headers 11: {new}\n" in said


def test_cmake_takes_roots_from_the_environment(tmp_path: Path) -> None:
    ten = write_headers(tmp_path / "ten", digits(10, 3, 0))
    said = find(tmp_path / "project", [], {"TRT_ROOT": f"{tmp_path / 'absent'}:{ten}"})
    assert "found: TRUE versions: 10.3.0 majors: 10" in said


def test_cmake_finds_nothing_where_the_version_is_unreadable(tmp_path: Path) -> None:
    odd = write_headers(tmp_path / "odd", "#define NV_TENSORRT_MAJOR SOMEWHERE_ELSE\n")
    said = find(tmp_path / "project", [odd, tmp_path / "absent"])
    assert "found: FALSE versions:" in said
    assert "set TensorRT_ROOT" in said


@pytest.mark.parametrize("library", LIBRARIES or [""])
def test_a_true_library_registers_and_makes_every_plugin(library: str) -> None:
    missing = [
        f"{name} names no {what}"
        for name, given, what in (
            ("TTSRT_TENSORRT_LIBRARIES", library, "library of TensorRT"),
            ("TTSRT_PLUGIN_BUILD", BUILD, "build directory with the plugins"),
        )
        if not given
    ]
    if missing:
        assert "tensorrt" not in os.environ.get("TTSRT_REQUIRE", "").split(","), missing
        pytest.skip(", and ".join(missing))
    found = re.search(r"\.so\.(\d+)", library)
    assert found is not None, f"{library}: expected a name with its version, as libnvinfer.so.8"
    major = found.group(1)
    program = Path(BUILD, "tests", "cpp", "plugins", f"ttsrt_plugin_registry_{major}")
    plugins = Path(BUILD, "plugins", f"ttsrt_rt_trt{major}.so")
    done = subprocess.run(
        [program, library, plugins], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("deregistered\n")
    made = re.findall(r"^(\w+), \w+: made, stored, made from what is stored$", done.stdout, re.M)
    assert set(made) == kinds()


def test_the_page_describes_every_plugin_and_leads_to_files() -> None:
    page = ROOT / "plugins" / "README.md"
    text = page.read_text("utf-8")
    assert set(re.findall(r"^\| `([A-Z]\w+)` \|", text, re.M)) == kinds()
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert (page.parent / target).exists(), target
