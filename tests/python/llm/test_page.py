"""The Python of docs/llm.md runs as it stands there, with a miniature in the model's place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.house import ROOT
from tests.needs_llm import jinja2, tokenizers

assert jinja2 is not None
assert tokenizers is not None


def test_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (ROOT / "docs" / "llm.md").read_text("utf-8")
    programs = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    rt.convert(ROOT / "tests" / "data" / "llm" / "tiny_llama", tmp_path / "ckpt", progress=False)
    rt.build(tmp_path / "ckpt", tmp_path / "llm-engine", max_input_len=200, progress=False)
    for name in ("llama-2-7b-engine", "tinyllama-engine"):
        (tmp_path / name).symlink_to(tmp_path / "llm-engine")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for program in programs:
        exec(program, names)
    assert capsys.readouterr().out
    answers = names["answers"]
    assert isinstance(answers, list)
    assert len(answers) == 3
