"""The notebook of examples/llm runs from top to bottom with a miniature, and is stored without
outputs. Its cells run here as IPython runs them, one after the other in one namespace.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.house import ROOT
from tests.needs_llm import jinja2, tokenizers

assert jinja2 is not None
assert tokenizers is not None

NOTEBOOK = ROOT / "examples" / "llm" / "llm_optimization_demo.ipynb"
MODEL = ROOT / "tests" / "data" / "llm" / "tiny_llama"
MAX_SECONDS = 90.0


def cells(kind: str) -> list[str]:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    assert notebook["nbformat"] == 4
    return ["".join(each["source"]) for each in notebook["cells"] if each["cell_type"] == kind]


def test_outputs_are_stripped() -> None:
    notebook = json.loads(NOTEBOOK.read_text("utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None


def test_every_section_is_there() -> None:
    titles = [line for text in cells("markdown") for line in text.splitlines() if line[:3] == "## "]
    numbers = [int(title.split()[1].removesuffix(".")) for title in titles]
    assert numbers == list(range(1, 15))


def test_the_notebook_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.setenv("LLM_MODEL", str(MODEL))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    begin = time.perf_counter()
    for number, source in enumerate(cells("code"), 1):
        exec(compile(source, f"cell {number}", "exec"), names)
    seconds = time.perf_counter() - begin
    import matplotlib.pyplot as plt

    assert len(plt.get_fignums()) == 3
    plt.close("all")
    assert names["together"] == names["alone"]
    assert [each.quantization for each in names["found"]] == ["bfloat16", "w8a16", "w4a16"]
    assert "Tokens/Second" in capsys.readouterr().out
    assert seconds < MAX_SECONDS
