"""The stub of the library has the docstrings of the bindings, all of them."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.house import ROOT
from ttsrt_rt import _core

STUB = ROOT / "python" / "ttsrt_rt" / "_core.pyi"


def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "document_stubs", ROOT / "scripts" / "document_stubs.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def docstrings(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        if isinstance(node.value.value, str):
            yield " ".join(node.value.value.split())


def test_the_stub_is_up_to_date() -> None:
    text = STUB.read_text("utf-8")
    made = script().documented(text, _core)
    assert list(docstrings(ast.parse(made))) == list(docstrings(ast.parse(text))), (
        "run scripts/document_stubs.py"
    )


def test_a_class_without_a_docstring_is_refused() -> None:
    module = ModuleType("bare")
    module.Bare = type("Bare", (), {})  # type: ignore[attr-defined]
    with pytest.raises(SystemExit, match="Bare: the binding has no docstring"):
        script().documented("class Bare: ...\n", module)


def test_everything_public_is_declared() -> None:
    tree = ast.parse(STUB.read_text("utf-8"))
    declared = {
        node.name for node in tree.body if isinstance(node, (ast.ClassDef, ast.FunctionDef))
    }
    assert declared == {name for name in vars(_core) if not name.startswith("_")}
