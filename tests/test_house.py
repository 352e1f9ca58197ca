"""Checks the project's rules: allowed includes, lengths of files and functions, forbidden text.

A failure names the file and the rule. Exceptions are listed here with their reasons.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .house import ROOT, files, is_ours, name_of

# Folder -> prefixes that its files may include with quotes; the longest matching folder applies.
INCLUDES = {
    "cpp/include": ["ttsrt/"],
    "cpp/src": [
        "ttsrt/",
        "core/",
        "ops/",
        "step/",
        "cpu/",
        "cuda/",
        "tensorrt/",
        "model/",
        "backends.h",
    ],
    "cpp/src/core": ["ttsrt/", "core/"],
    "cpp/src/text": ["ttsrt/", "core/", "text/"],
    "cpp/src/ops": ["ttsrt/", "core/", "rules/", "step/", "ops/"],
    "cpp/src/rules": ["rules/"],
    "cpp/src/step": ["ttsrt/", "core/", "step/", "rules/"],
    "cpp/src/cpu": ["ttsrt/", "core/", "rules/", "step/", "ops/", "cpu/"],
    "cpp/src/cuda": ["ttsrt/", "core/", "rules/", "step/", "ops/", "cuda/"],
    "cpp/src/cuda/kernels": [
        "rules/",
        "cuda/launch.h",
        "cuda/launch_rate.h",
        "cuda/launch_relative.h",
        "cuda/launch_whole.h",
        "cuda/places.h",
        "cuda/views.h",
        "cuda/device.cuh",
        "cuda/check.h",
        "cuda/kernels/",
    ],
    "cpp/src/model": [
        "ttsrt/",
        "core/",
        "rules/",
        "step/",
        "ops/",
        "decode/",
        "model/",
        "text/pack.h",
    ],
    "cpp/src/decode": ["ttsrt/", "core/", "step/", "rules/", "decode/"],
    "cpp/src/executor": [
        "ttsrt/",
        "core/",
        "step/",
        "decode/",
        "executor/",
        "model/itineraries.h",
        "model/network.h",
        "model/speculation.h",
        "backends.h",
    ],
    "cpp/src/bench": [
        "ttsrt/",
        "core/",
        "step/",
        "ops/",
        "bench/",
        "model/block.h",
        "model/pack.h",
        "model/quantize.h",
        "backends.h",
    ],
    "cpp/src/tensorrt": [
        "ttsrt/",
        "core/",
        "rules/",
        "ops/",
        "cuda/",
        "model/engine_data.h",
        "model/run_limits.h",
        "common/",
        "tensorrt/",
    ],
    "cpp/src/tensorrt/driver": [
        "common/adapt.h",
        "common/fields.h",
        "common/op.h",
        "tensorrt/driver.h",
        "tensorrt/driver/",
    ],
    "plugins/common": [
        "ttsrt/error.h",
        "core/check.h",
        "rules/",
        "cuda/cache_layout.h",
        "cuda/check.h",
        "cuda/launch.h",
        "cuda/launch_whole.h",
        "cuda/rows_layout.h",
        "cuda/views.h",
        "common/",
    ],
    "plugins/v2": ["common/adapt.h", "common/op.h", "v2/"],
    "plugins/v3": ["common/adapt.h", "common/op.h", "v3/"],
    "python/bindings": [
        "ttsrt/",
        "bindings.h",
        "dlpack.h",
        "interruptible.h",
        "owner.h",
        "progress.h",
        "values.h",
    ],
    "examples": [],
}
REFERENCE_USERS = ("cpp/src/ops/reference/", "cpp/src/backends.cpp")

FOLDERS = {
    ".": {".ci", "bench", "cpp", "docs", "examples", "plugins", "python", "scripts", "tests"},
    "cpp": {"cmake", "include", "src"},
    "cpp/src": {
        *("bench", "core", "cpu", "cuda", "decode", "executor"),
        *("model", "ops", "rules", "step", "tensorrt", "text"),
    },
    "plugins": {"common", "v2", "v3"},
    "python": {"bindings", "ttsrt_rt"},
    "python/ttsrt_rt": {
        "audio",
        "bench",
        "cli",
        "convert",
        "export",
        "f5",
        "llm",
        "quality",
        "synth",
        "text",
        "voice_from_audio",
    },
}

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
LONG_FILES: dict[str, str] = {}
LONG_FUNCTIONS = {
    f"tests/python/convert/{function}": "a table: one attack or member per entry"
    for function in (
        "builders.py:make_zip",
        "gadgets.py:opcode_gadgets",
        "test_zip_entries.py:tricks",
    )
}


def quoted_includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text("utf-8"), re.MULTILINE)


def cpp_files() -> list[Path]:
    return list(files(".h", ".cpp", ".inl", ".cu", ".cuh"))


def test_includes_follow_the_layers() -> None:
    wrong = []
    for path in cpp_files():
        name = name_of(path)
        rules = [folder for folder in INCLUDES if name.startswith(folder + "/")]
        if not rules:
            continue
        allowed = INCLUDES[max(rules, key=len)]
        wrong += [
            f"{name} includes {included}"
            for included in quoted_includes(path)
            if not any(included == entry or included.startswith(entry) for entry in allowed)
        ]
    assert not wrong, wrong


def test_only_the_reference_and_backends_know_the_reference() -> None:
    wrong = [
        name_of(path)
        for path in cpp_files()
        if name_of(path).startswith("cpp/src/") and not name_of(path).startswith(REFERENCE_USERS)
        if any(included.startswith("ops/reference/") for included in quoted_includes(path))
    ]
    assert not wrong, wrong


def test_only_backends_names_the_backends() -> None:
    homes = ("cpu/", "cuda/", "tensorrt/")
    wrong = [
        f"{name_of(path)} includes {included}"
        for path in cpp_files()
        if path.parent == ROOT / "cpp" / "src" and path.name != "backends.cpp"
        for included in quoted_includes(path)
        if included.startswith(homes)
    ]
    assert not wrong, wrong


def test_only_adapters_of_plugins_include_tensorrt() -> None:
    adapters = ("plugins/v2/", "plugins/v3/", "cpp/src/tensorrt/driver/", "tests/cpp/plugins/")
    wrong = [
        name_of(path)
        for path in cpp_files()
        if re.search(r"#\s*include\s*[<\"]NvInfer", path.read_text("utf-8"))
        and not name_of(path).startswith(adapters)
    ]
    assert not wrong, wrong


def test_only_bindings_include_pybind11() -> None:
    wrong = [
        name_of(path)
        for path in cpp_files()
        if "<pybind11/" in path.read_text("utf-8")
        and not name_of(path).startswith("python/bindings/")
    ]
    assert not wrong, wrong


def test_public_headers_know_no_build_flags() -> None:
    wrong = [
        f"{name_of(path)}: {line}"
        for path in (ROOT / "cpp" / "include").rglob("*.h")
        for line in path.read_text("utf-8").splitlines()
        if re.match(r"\s*#\s*(if|ifdef|ifndef)\b", line)
    ]
    assert not wrong, wrong


def test_no_backend_switch_above_ops() -> None:
    switch = re.compile(r"^\s*#\s*if.*(CUDA|TENSORRT|TTSRT_CPU)", re.MULTILINE)
    above = ("cpp/src/core", "cpp/src/step", "cpp/src/model", "cpp/src/decode", "cpp/src/executor")
    wrong = [
        name_of(path)
        for path in cpp_files()
        if name_of(path).startswith(above) and switch.search(path.read_text("utf-8"))
    ]
    assert not wrong, wrong


def test_only_families_name_families() -> None:
    """The code that walks itineraries and runs Programs does not depend on a family."""
    families = {path.name for path in (ROOT / "cpp" / "src" / "model").iterdir() if path.is_dir()}
    assert "magpie" in families
    name = re.compile(rf"(?<!TensorRT-)\b({'|'.join(sorted(families))})\b", re.IGNORECASE)
    rooms = tuple(f"cpp/src/{room}/" for room in ("executor", "step", "ops", "cpu", "rules"))
    wrong = [
        f"{name_of(path)}: {found.group()}"
        for path in cpp_files()
        if name_of(path).startswith(rooms)
        for found in [name.search(path.read_text("utf-8"))]
        if found
    ]
    assert not wrong, wrong


def test_only_the_folders_of_the_house() -> None:
    wrong = []
    for parent, known in FOLDERS.items():
        for path in (ROOT / parent).iterdir():
            holds_files = path.is_dir() and any(entry.is_file() for entry in path.rglob("*"))
            if holds_files and is_ours(path.name) and path.name not in known:
                wrong.append(name_of(path))
    assert not wrong, wrong


def test_files_are_short() -> None:
    wrong = {}
    for path in [*cpp_files(), *files(".py", ".cmake")]:
        lines = len(path.read_text("utf-8").splitlines())
        if lines > MAX_FILE_LINES and name_of(path) not in LONG_FILES:
            wrong[name_of(path)] = lines
    assert not wrong, wrong


def python_function_lines(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            end = node.end_lineno or node.lineno
            lines = end - node.lineno + 1
            if ast.get_docstring(node) is not None:
                text = node.body[0]
                lines -= (text.end_lineno or text.lineno) - text.lineno + 1
            yield node.name, lines


def without_comments_and_strings(text: str) -> str:
    """Returns the same lines with comments and literals, which may contain braces, blanked out."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    pattern = r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def cpp_function_lines(path: Path) -> Iterator[tuple[str, int]]:
    """Yields outermost braces that follow a parameter list, which are nearly all functions."""
    text = without_comments_and_strings(path.read_text("utf-8"))
    stack: list[tuple[str, int, str]] = []
    last = 0
    for match in re.finditer(r"[{};]", text):
        at = match.start()
        line = text.count("\n", 0, at)
        if match.group() == "{":
            head = text[last:at].strip()
            is_scope = re.match(
                r"(inline\s+)?(namespace|class|struct|enum|union|extern|template)\b", head
            )
            is_function = ")" in head and not (is_scope and "(" not in head)
            inside = any(kind == "function" for kind, _, _ in stack)
            stack.append(("function" if is_function and not inside else "other", line, head))
        elif match.group() == "}" and stack:
            kind, begin, head = stack.pop()
            if kind == "function":
                yield " ".join(head.split())[:80], line - begin + 1
        last = at + 1


def test_functions_are_short() -> None:
    wrong = {}
    for path in files(".py"):
        for function, lines in python_function_lines(path):
            wrong[f"{name_of(path)}:{function}"] = lines
    for path in cpp_files():
        for function, lines in cpp_function_lines(path):
            wrong[f"{name_of(path)}:{function}"] = lines
    wrong = {
        name: lines
        for name, lines in wrong.items()
        if lines >= MAX_FUNCTION_LINES and name not in LONG_FUNCTIONS
    }
    assert not wrong, wrong


def test_exceptions_are_still_needed() -> None:
    for name, reason in LONG_FILES.items():
        assert reason and len((ROOT / name).read_text("utf-8").splitlines()) > MAX_FILE_LINES, name


def test_nothing_reads_unfinished_or_tells_of_a_machine() -> None:
    words = "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3, "NotImplemented" + "Error"))
    machine = "|".join(f"/{folder}/" for folder in ("work", "root", "home", "Users"))
    pattern = re.compile(rf"\b({words})\b|(?<![\w.$}}/-])({machine})[\w.]")
    suffixes = (".py", ".pyi", ".md", ".txt", ".toml", ".json", ".cmake", ".yaml", ".in", "")
    wrong = [
        f"{name_of(path)}: {match.group()}"
        for path in [*cpp_files(), *files(*suffixes)]
        if not name_of(path).startswith("tests/data/")
        for match in [pattern.search(path.read_text("utf-8", errors="replace"))]
        if match
    ]
    assert not wrong, wrong


def test_public_headers_are_cpp17() -> None:
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    command = [compiler, "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-x", "c++"]
    header = ROOT / "cpp" / "include" / "ttsrt" / "ttsrt.h"
    done = subprocess.run(
        [*command, "-I", str(ROOT / "cpp" / "include"), "-"],
        input=f'#include "{header}"\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
