"""Prompts of ten megabytes, and a tokenizer whose pattern finds no end: cheap refusals."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.cli import main
from ttsrt_rt.llm import Generator
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
LARGE = "The river is wide. " * (10 * (1 << 20) // 19 + 1)


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    rt.convert(DATA / "tiny_llama", folder / "ckpt", progress=False)
    limits: dict[str, Any] = {"max_seq_len": 100, "max_input_len": 80, "max_batch_size": 2}
    rt.build(folder / "ckpt", folder / "engine", progress=False, **limits)
    return folder / "engine"


@pytest.fixture(scope="module")
def generator(engine: Path) -> Iterator[Generator]:
    with Generator(engine, device="cpu") as made:
        yield made


def test_prompts_of_ten_megabytes_are_refused(generator: Generator) -> None:
    begin = time.monotonic()
    for ask in (generator.generate, generator.score, generator.stream):
        with pytest.raises(
            rt.ConfigError, match=r"text: expected at most 8388608 bytes, got 10\d+"
        ):
            ask(LARGE)
    with pytest.raises(rt.ConfigError, match="text: expected at most 8388608 bytes"):
        generator.generate_batch(["short", LARGE])
    for content in (LARGE, "\n" * len(LARGE)):
        with pytest.raises(rt.Error, match=r"chat_template: .*1048576|expected at most"):
            generator.chat([{"role": "user", "content": content}])
    assert time.monotonic() - begin < 60
    assert len(generator.generate("The river", max_tokens=3, ignore_eos=True).ids) == 3


def test_ids_of_ten_megabytes_are_refused(generator: Generator) -> None:
    ids = [5] * (10 << 20)
    with pytest.raises(rt.ConfigError, match="expected at most max_input_len 80 ids, got 10485760"):
        generator.generate(ids)
    with pytest.raises(rt.ConfigError, match="expected 2 to 101 ids to score, got 10485760"):
        generator.score(ids)
    made = generator.generate(ids, truncate="left", max_tokens=1)
    assert made.prompt_ids == (5,) * 80


def test_commands_with_ten_megabytes(
    engine: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each line fails alone, and a line beside it is served."""
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps({"prompt": each}) for each in (LARGE, "a")), "utf-8")
    command = ["run", str(engine), "--device", "cpu", "--max_tokens", "2"]
    assert main([*command, "--prompts", str(path)]) == 1
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert "expected at most 8388608 bytes" in first["error"]
    assert second["finish_reason"] in ("length", "stop")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LARGE}\n"))
    assert main([*command, "--chat"]) == 2
    assert "Traceback" not in capsys.readouterr().err


def changed(**fields: Any) -> dict[str, bytes]:
    files = {path.name: path.read_bytes() for path in (DATA / "tiny_phi").glob("*.json")}
    described = {**json.loads(files["tokenizer.json"]), **fields}
    return {**files, "tokenizer.json": json.dumps(described).encode()}


def test_usual_replacements_stay() -> None:
    mark = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    chain = {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u2581"}, mark]}
    assert LlmTokenizer(changed(normalizer=chain), "here").encode("a b")


def test_a_pattern_without_end_is_an_error() -> None:
    """It backtracks through 2^40 ways; the package gives up and panics."""
    split = {"type": "Split", "behavior": "Isolated", "invert": False}
    files = changed(pre_tokenizer={**split, "pattern": {"Regex": "(a+)+$"}})
    tokenizer = LlmTokenizer(files, "here")
    with pytest.raises(
        rt.FormatError, match=r"here/tokenizer\.json: expected a tokenizer that encodes"
    ):
        tokenizer.encode("a" * 40 + "b")
    assert tokenizer.encode("b")
