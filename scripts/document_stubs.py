"""Copies the docstrings of the installed module ttsrt_rt._core into its stub.

    python scripts/document_stubs.py && ruff format python/ttsrt_rt/_core.pyi

Types in the stub are kept by hand. What the stub declares must exist in the module and have a
docstring there.
"""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from types import ModuleType

STUB = Path(__file__).parents[1] / "python" / "ttsrt_rt" / "_core.pyi"
WIDTH = 100


def documented(stub: str, module: ModuleType) -> str:
    """The text of the stub with the docstrings of the module."""
    tree = ast.parse(stub)
    tree.body = _with_docs(tree.body, module, 0)
    lines = ast.unparse(ast.fix_missing_locations(tree)).split("\n")
    return "\n".join(_unescaped(line) for line in lines) + "\n"


def _unescaped(line: str) -> str:
    """A docstring of an attribute as one of a class: unparse writes it with escapes."""
    text = line.strip()
    if text[:1] not in ("'", '"') or text.startswith('"""'):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return f'{indent}"""{ast.literal_eval(text)}"""'


def _with_docs(body: list[ast.stmt], owner: object, depth: int) -> list[ast.stmt]:
    """The statements of a module or class; string statements but the module's own are replaced."""
    made: list[ast.stmt] = []
    for number, node in enumerate(body):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            if number == 0 and depth == 0:
                made.append(node)
            continue
        made.append(node)
        if isinstance(node, ast.ClassDef):
            kind = getattr(owner, node.name)
            node.body = [_doc(kind, node.name, depth + 1), *_with_docs(node.body, kind, depth + 1)]
        elif isinstance(node, ast.FunctionDef):
            node.body = [_doc(getattr(owner, node.name), _place(owner, node.name), depth + 1)]
        elif isinstance(node, ast.AnnAssign) and depth > 0:
            assert isinstance(node.target, ast.Name)
            name = node.target.id
            made.append(_doc(getattr(owner, name), _place(owner, name), depth))
    return made


def _place(owner: object, name: str) -> str:
    return f"{owner.__name__}.{name}" if isinstance(owner, type) else name


def _doc(value: object, name: str, depth: int) -> ast.Expr:
    text = " ".join((value.__doc__ or "").split())
    if not text:
        raise SystemExit(f"{name}: the binding has no docstring")
    indent = "    " * depth
    lines = textwrap.wrap(text, WIDTH - len(indent) - len('"""' * 2))
    return ast.Expr(ast.Constant(f"\n{indent}".join(lines)))


def main() -> None:
    """Rewrites the stub."""
    from ttsrt_rt import _core

    STUB.write_text(documented(STUB.read_text("utf-8"), _core), encoding="utf-8")


if __name__ == "__main__":
    main()
