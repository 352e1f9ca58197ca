"""The rules of the house: who may include whom, how long things may be, what must not stand.

A failure names the file and the rule. An exception needs its reason here.
"""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Folder (the longest prefix counts) -> what its files may include with quotes.
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
    "cpp/src/ops": ["ttsrt/", "core/", "rules/", "step/", "ops/"],
    "cpp/src/rules": ["rules/"],
    "cpp/src/step": ["ttsrt/", "core/", "step/", "rules/"],
    "cpp/src/cpu": ["ttsrt/", "core/", "rules/", "step/", "ops/", "cpu/"],
    "cpp/src/cuda": ["ttsrt/", "core/", "rules/", "step/", "ops/", "cuda/"],
    "cpp/src/model": ["ttsrt/", "core/", "rules/", "step/", "ops/", "model/"],
    "cpp/src/decode": ["ttsrt/", "core/", "step/", "rules/", "decode/"],
    "cpp/src/executor": [
        "ttsrt/",
        "core/",
        "step/",
        "decode/",
        "executor/",
        "model/network.h",
        "backends.h",
    ],
    "cpp/src/bench": [
        "ttsrt/",
        "core/",
        "step/",
        "ops/",
        "bench/",
        "model/pack.h",
        "model/quantize.h",
        "backends.h",
    ],
    "python/bindings": ["ttsrt/", "bindings.h"],
    "examples": [],
}
REFERENCE_USERS = ("cpp/src/ops/reference/", "cpp/src/backends.cpp")

FOLDERS = {
    ".": {".ci", "cpp", "docs", "examples", "plugins", "python", "scripts", "tests"},
    "cpp": {"cmake", "include", "src"},
    "cpp/src": set("bench core cpu cuda decode executor model ops rules step tensorrt".split()),
    "python": {"bindings", "ttsrt_rt"},
    "python/ttsrt_rt": {"bench", "cli", "convert", "synth"},
}
NOT_OURS = {"build", "dist", "carry", "out", "shared", "__pycache__"}

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

# What each part of the Python package may import of the others.
PYTHON_IMPORTS = {
    "errors": set(),
    "convert": {"errors", "convert"},
    "synth": {"errors", "convert", "synth"},
    "request": {"_core"},
    "result": {"_core"},
    "arrays": {"errors", "request"},
}
RUN_TIME_PACKAGES = {"numpy", "yaml", "tqdm", "ttsrt_rt"}
FOREIGN_PACKAGES = {"bench": {"matplotlib", "torch"}}


def is_ours(folder: str) -> bool:
    return folder not in NOT_OURS and (folder == ".ci" or not folder.startswith("."))


def files(*suffixes: str) -> Iterator[Path]:
    for path in sorted(ROOT.rglob("*")):
        parts = path.relative_to(ROOT).parts
        if path.suffix in suffixes and path.is_file() and all(is_ours(part) for part in parts[:-1]):
            yield path


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def quoted_includes(path: Path) -> list[str]:
    return re.findall(r'^\s*#\s*include\s+"([^"]+)"', path.read_text("utf-8"), re.MULTILINE)


def cpp_files() -> list[Path]:
    return list(files(".h", ".cpp", ".inl", ".cu", ".cuh"))


def python_modules() -> list[Path]:
    package = ROOT / "python" / "ttsrt_rt"
    return [path for path in files(".py") if package in path.parents]


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
    """The same lines, with what could hold a stray brace blanked out."""

    def blank(match: re.Match[str]) -> str:
        return re.sub(r"[^\n]", " ", match.group())

    pattern = r'//[^\n]*|/\*.*?\*/|R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\''
    return re.sub(pattern, blank, text, flags=re.DOTALL)


def cpp_function_lines(path: Path) -> Iterator[tuple[str, int]]:
    """Outermost braces that follow a parameter list: functions, near enough."""
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


def imported(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "ttsrt_rt":
                for alias in node.names:
                    yield f"ttsrt_rt.{alias.name}", node
            else:
                yield node.module, node


def part_of(path: Path) -> str:
    """The part of the package a module belongs to: its folder or its own name."""
    return path.relative_to(ROOT / "python" / "ttsrt_rt").with_suffix("").parts[0]


def test_python_imports_follow_the_layers() -> None:
    wrong = []
    for path in python_modules():
        allowed = PYTHON_IMPORTS.get(part_of(path))
        for module, _ in imported(ast.parse(path.read_text("utf-8"))):
            first, _, rest = module.partition(".")
            if first != "ttsrt_rt" or not rest:
                continue
            part = rest.split(".")[0]
            if part == "cli" and part_of(path) != "cli":
                wrong.append(f"{name_of(path)} imports {module}: only the command line may")
            if allowed is not None and part not in allowed:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong, wrong


def test_python_needs_only_what_it_says() -> None:
    wrong = []
    for path in python_modules():
        known = RUN_TIME_PACKAGES | FOREIGN_PACKAGES.get(part_of(path), set())
        for module, _ in imported(ast.parse(path.read_text("utf-8"))):
            first = module.split(".")[0]
            if first not in known and first not in sys.stdlib_module_names:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong, wrong


def test_no_code_in_data() -> None:
    """Nothing that could execute what a file says is even imported or called."""
    modules = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    calls = {"eval", "exec", "compile", "__import__"}
    wrong = []
    for path in python_modules():
        tree = ast.parse(path.read_text("utf-8"))
        wrong += [
            f"{name_of(path)} imports {m}" for m, _ in imported(tree) if m.split(".")[0] in modules
        ]
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in calls
            ):
                wrong.append(f"{name_of(path)}:{node.lineno} calls {node.func.id}")
    assert not wrong, wrong


def test_library_code_does_not_print() -> None:
    wrong = [
        f"{name_of(path)}:{node.lineno}"
        for path in python_modules()
        if part_of(path) not in ("cli", "bench")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
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
