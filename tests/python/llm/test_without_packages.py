"""Without the packages of the extra `llm`, ids work, and the error says what to install."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.llm import Generator
from ttsrt_rt.llm.template_sandbox import render
from ttsrt_rt.text import LlmTokenizer

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"


def test_the_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(rt.ConfigError, match=r"pip install tokenizers$"):
        LlmTokenizer.open(DATA / "tiny_llama")
    with pytest.raises(rt.ConfigError, match=r"pip install jinja2$"):
        render("a", {}, "here")


def test_ids_need_no_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    rt.convert(DATA / "tiny_phi", tmp_path / "ckpt", progress=False)
    rt.build(tmp_path / "ckpt", tmp_path / "engine", progress=False)
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    golden = np.load(DATA / "tiny_phi" / "ref.npz")
    with Generator(tmp_path / "engine", device=NATIVE) as generator:
        made = generator.generate(golden["ids_1"], max_tokens=32, mask_padding_ids=False)
        assert (list(made.ids), made.text) == (golden["greedy_1"].tolist(), "")
        with pytest.raises(rt.ConfigError, match=r"pip install tokenizers$"):
            generator.generate("The river")
