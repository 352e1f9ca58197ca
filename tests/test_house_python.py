"""Checks the rules of the Python package: allowed imports, and what its code must not do."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from .house import ROOT, files, name_of

# What each part of the Python package may import of the others.
PYTHON_IMPORTS = {
    "errors": set(),
    "convert": {
        *("_core", "errors", "convert", "foreign_file", "json_text", "options", "progress"),
        *("quoting", "regular_file", "tokenizer_json", "voice_file", "writing"),
    },
    "export": {
        *("_core", "build", "convert", "decoding_options", "errors", "executor", "export"),
        *("handle", "json_text"),
        *("native_request", "options", "progress", "quoting", "regular_file", "result"),
        *("stored_voices", "voice_file", "writing"),
    },
    "foreign_file": {"quoting"},
    "json_text": {"errors", "foreign_file", "quoting", "regular_file"},
    "array_file": {"convert", "errors", "foreign_file", "quoting"},
    "progress": {"errors"},
    "quoting": set(),
    "regular_file": {"errors"},
    "synth": {"errors", "convert", "synth", "writing"},
    "decoding_options": {"_core", "errors", "options"},
    "text_options": {"errors", "options", "quoting", "text"},
    "request": {"_core", "decoding_options", "errors", "options", "quoting", "text_options"},
    "spm_model": {"errors", "quoting"},
    "spoken": set(),
    "result": {"_core", "quoting", "spoken", "text"},
    "arrays": {"_core", "errors", "quoting", "request"},
    "code_voice": {"convert", "errors", "foreign_file", "quoting"},
    "text": {
        *("_core", "cache_folder", "errors", "json_text", "options", "quoting", "regular_file"),
        *("spoken", "text", "text_options", "tokenizer_json"),
    },
    "stored_voices": {"code_voice", "convert", "errors", "voice_file"},
    "tokenizer_json": {"errors", "json_text", "quoting", "spm_model"},
    "voice_file": {"convert", "errors", "foreign_file", "quoting"},
    "writing": {"errors"},
}
RUN_TIME_PACKAGES = {"numpy", "yaml", "tqdm", "ttsrt_rt"}
FOREIGN_PACKAGES = {
    "bench": {"matplotlib"},
    "text": {"tokenizers"},
    "llm": {"jinja2", "torch", "transformers"},
    "quality": {"sacrebleu"},
}
# Packages that the benchmarks outside the package may also import.
BENCH_PACKAGES = {"bench", "gguf", "matplotlib", "torch", "transformers"}


def python_modules() -> list[Path]:
    package = ROOT / "python" / "ttsrt_rt"
    return [path for path in files(".py") if package in path.parents]


def bench_modules() -> list[Path]:
    return [path for path in files(".py") if ROOT / "bench" in path.parents]


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
    """Returns the part of the package that a module belongs to: its folder or its own name."""
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
            if part == "cli" and part_of(path) not in ("cli", "__main__"):
                wrong.append(f"{name_of(path)} imports {module}: only the command line may")
            if allowed is not None and part not in allowed:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong, wrong


def module_name(path: Path) -> str:
    """Returns `ttsrt_rt.cli.run` for ttsrt_rt/cli/run.py, and the package for __init__.py."""
    parts = path.relative_to(ROOT / "python").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_within_the_package() -> dict[str, set[str]]:
    """Returns, for each module, the modules of the package that it imports, also in functions and
    for type checkers. `from package import name` imports the module `package.name` if it exists.
    """
    trees = {module_name(path): ast.parse(path.read_text("utf-8")) for path in python_modules()}
    found: dict[str, set[str]] = {}
    for module, tree in trees.items():
        names = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                inner = {f"{node.module}.{alias.name}" for alias in node.names}
                names |= inner if inner <= trees.keys() else {node.module, *inner}
        found[module] = names & trees.keys()
    return found


def test_no_import_cycles() -> None:
    """No module imports itself, directly or through other modules."""
    imports = imports_within_the_package()
    # Everything is below the package itself, which imports names for its users.
    del imports["ttsrt_rt"]
    cycles = []
    for module in imports:
        seen: set[str] = set()
        waiting = [module]
        while waiting:
            new = imports.get(waiting.pop(), set()) - seen
            seen |= new
            waiting += new
        if module in seen:
            cycles.append(module)
    assert not cycles, cycles


def _without_type_checking(tree: ast.Module) -> ast.Module:
    """The module without imports of typing_extensions for type checkers, which bring it."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [each for each in node.body if "typing_extensions" not in ast.unparse(each)]
    return tree


def test_python_needs_only_what_it_says() -> None:
    wrong = []
    known_to = {
        **{path: FOREIGN_PACKAGES.get(part_of(path), set()) for path in python_modules()},
        **dict.fromkeys(bench_modules(), BENCH_PACKAGES),
    }
    for path, more in known_to.items():
        known = RUN_TIME_PACKAGES | more
        for module, _ in imported(_without_type_checking(ast.parse(path.read_text("utf-8")))):
            first = module.split(".")[0]
            if first not in known and first not in sys.stdlib_module_names:
                wrong.append(f"{name_of(path)} imports {module}")
    assert not wrong, wrong


def test_no_code_in_data() -> None:
    """The package neither imports nor calls anything that could execute the contents of a file."""
    modules = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
    calls = {"eval", "exec", "compile", "__import__"}
    wrong = []
    for path in [*python_modules(), *bench_modules()]:
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
        if part_of(path) != "cli"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not wrong, wrong
