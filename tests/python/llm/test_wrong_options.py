"""Every option of a generation with values of wrong kinds: a ConfigError, or an answer."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.cli import main
from ttsrt_rt.llm import Generator
from ttsrt_rt.llm.options import GenerationFields

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
WRONG: list[Any] = [
    *("", "a", "\ud800", b"a", 5, -1, 1 << 70, 0.5, float("nan"), float("inf"), True),
    *([], [None], [-1], ["a"], [[1]], {}, {"a": 1}, {1: "a"}, {"mode": 5}, {1: None}, object()),
]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("llm")
    rt.convert(DATA / "tiny_llama", folder / "ckpt", progress=False)
    limits: dict[str, Any] = {"max_seq_len": 120, "max_input_len": 80, "max_batch_size": 3}
    rt.build(folder / "ckpt", folder / "engine", progress=False, **limits)
    return folder / "engine"


@pytest.fixture(scope="module")
def generator(engine: Path) -> Iterator[Generator]:
    with Generator(engine, device="cpu", num_threads=1) as opened:
        yield opened


@pytest.mark.parametrize("name", sorted(GenerationFields.__annotations__))
def test_values_of_wrong_kinds(name: str, generator: Generator) -> None:
    expected = generator.generate([5, 6], max_tokens=2).ids
    refused = 0
    for value in WRONG:
        options: dict[str, Any] = {"max_tokens": 2, name: value}
        if name == "max_new_tokens":
            del options["max_tokens"]
        try:
            generator.generate([5, 6], **options)
        except rt.ConfigError as error:
            refused += 1
            assert name.replace("max_new", "max") in str(error).replace("Spec", "spec")
    assert refused >= len(WRONG) // 2
    options = {"max_tokens": 2, name: None}
    assert generator.generate([5, 6], **options).ids[:2] == expected


@pytest.mark.parametrize("prompt", [None, 5, b"a", [[1]], ["a"], [1.5], {"a": 1}, object(), []])
def test_prompts_of_wrong_kinds(prompt: Any, generator: Generator) -> None:
    with pytest.raises(rt.ConfigError, match="prompt"):
        generator.generate(prompt, max_tokens=1)
    with pytest.raises(rt.ConfigError, match="prompt"):
        generator.generate_batch([prompt], max_tokens=1)


@pytest.mark.parametrize("prompts", [None, 5, "a", b"a", object(), {"a": 1}])
def test_lists_of_prompts_of_wrong_kinds(prompts: Any, generator: Generator) -> None:
    with pytest.raises(rt.ConfigError, match="prompts: expected a list of prompts"):
        generator.generate_batch(prompts, max_tokens=1)


@pytest.mark.parametrize("variables", [{"messages": 1}, {"add_generation_prompt": 1}, {1: 2}, 5])
def test_variables_of_wrong_kinds(variables: Any, generator: Generator) -> None:
    with pytest.raises(rt.ConfigError, match="variables: expected"):
        generator.chat_prompt([{"role": "user", "content": "a"}], variables=variables)


@pytest.mark.parametrize("name", ["template", "tools", "tokenizer", "continue_final_message"])
def test_variables_may_have_any_other_name(name: str, generator: Generator) -> None:
    ids = generator.chat_prompt(
        [{"role": "user", "content": "a"}],
        template=f"{{{{ {name} }}}}{{{{ messages[0].content }}}}",
        variables={name: "x"},
    )
    assert ids == generator.tokenizer.encode("xa", add_special_tokens=False)


def test_a_prompt_that_never_fits_is_that_prompts_result(engine: Path) -> None:
    prompts = [[5] * 10, [5] * 60, [5] * 10, [5] * 60]
    with Generator(engine, device="cpu", max_tokens_in_paged_kv_cache=64) as generator:
        made = generator.generate_batch(prompts, max_tokens=40, ignore_eos=True)
        with pytest.raises(rt.CapacityError) as raised:
            generator.generate([5] * 60, max_tokens=40)
        results = generator.executor.generate(
            [rt.Request(text_ids=each, max_frames=40, prior=None) for each in prompts]
        )
    assert [each.finish_reason for each in made] == ["length", "error", "length", "error"]
    assert made[0].ids == made[2].ids
    assert len(made[0].ids) == 40
    assert made[1].error is not None
    assert "may need 7 cache blocks, there are 4" in made[1].error
    assert raised.value.is_final
    assert [each.finish_reason == "error" for each in results] == [False, True, False, True]


def test_a_wrong_option_of_a_line_stays_its_own(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = sorted(GenerationFields.__annotations__)
    wrong = [{"ids": [5, 6], name: {"a": 1}} for name in names]
    lines = [{"ids": [5, 6], "stop": 5}, *wrong, {"ids": [5, 6], "max_tokens": 2, "id": "last"}]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(each) for each in lines), "utf-8")
    assert (
        main(["run", "--engine_dir", str(engine), "--device", "cpu", "--prompts", str(path)]) == 1
    )
    told = capsys.readouterr()
    found = [json.loads(each) for each in told.out.splitlines()]
    assert [each["line"] for each in found] == list(range(1, len(lines) + 1))
    assert all(each["finish_reason"] == "error" for each in found[:-1])
    assert "stop: expected a text or a list of texts, got 5" in found[0]["error"]
    assert (found[-1]["id"], len(found[-1]["ids"])) == ("last", 2)
    assert "Traceback" not in told.err


@pytest.mark.parametrize("name", ["NaN", "Infinity", "[NaN]", '{"a": 1}', "true", "1.5"])
def test_names_of_lines_can_be_written(
    name: str, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(f'{{"ids": [5], "id": {name}}}', "utf-8")
    assert (
        main(["run", "--engine_dir", str(engine), "--device", "cpu", "--prompts", str(path)]) == 2
    )
    assert "line 1: " in capsys.readouterr().err


def test_a_conversation_that_is_full_goes_on(
    engine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"Hi\n{'long ' * 40}\n\nHi\n"))
    assert main(["run", str(engine), "--device", "cpu", "--chat", "--max_tokens", "2"]) == 0
    told = capsys.readouterr()
    first, second = told.out.splitlines()
    assert first == second
    assert "max_input_len 80" in told.err
    assert "an empty line begins a new conversation" in told.err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{'long ' * 40}\n"))
    assert main(["run", str(engine), "--device", "cpu", "--chat"]) == 2
