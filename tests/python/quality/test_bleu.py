"""BLEU: the golden corpora where they are, and its corners."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.needs_extras import needed
from ttsrt_rt.quality.bleu import corpus_bleu


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    with pytest.raises(rt.ConfigError, match=r"pip install sacrebleu$"):
        corpus_bleu(["a"], ["a"])


def test_numbers_of_texts() -> None:
    for texts, references in (([], []), (["a"], ["a", "b"])):
        with pytest.raises(rt.ConfigError, match="as many texts as references"):
            corpus_bleu(texts, references)


def test_corners() -> None:
    needed("sacrebleu", "quality")
    text = "the cat sat on the mat and looked at the door"
    assert corpus_bleu([text], [text]) == pytest.approx(1.0, abs=1e-12)
    assert corpus_bleu([""], [text]) == 0.0
    assert corpus_bleu(["", ""], ["", ""]) == 1.0
    assert 0 < corpus_bleu([text[:20]], [text]) < corpus_bleu([text[:30]], [text]) < 1
    # Of the corpus: a short equal text alone scores 0, as it has no four words in a row.
    assert corpus_bleu(["two words"], ["two words"]) == 0.0
    both = corpus_bleu([text, "a"], [text, "a"])
    assert both == pytest.approx(1.0, abs=1e-12)


def test_golden() -> None:
    needed("sacrebleu", "quality")
    path = Path(os.environ.get("TTSRT_GOLDEN", "")) / "llm" / "bleu.json"
    if not path.is_file():
        pytest.skip("needs TTSRT_GOLDEN, the folder of the golden data")
    cases = json.loads(path.read_text("utf-8"))
    assert cases
    for case in cases:
        found = corpus_bleu(case["hypotheses"], case["references"])
        assert found == pytest.approx(case["bleu"], abs=1e-9)
