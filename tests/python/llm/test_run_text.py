"""`ttsrt run` with language models: one prompt, many, a stream, a conversation, and mistakes."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.cli import main
from ttsrt_rt.llm import Generation, Generator

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
PROMPT = "The river"
TOKENS = 12


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("text")
    rt.convert(DATA / "tiny_llama", folder / "ckpt", progress=False)
    limits: dict[str, Any] = {"max_seq_len": 200, "max_input_len": 150, "max_batch_size": 3}
    rt.build(folder / "ckpt", folder / "engine", progress=False, **limits)
    return folder / "engine"


def whole(engine: Path, **options: Any) -> Generation:
    with Generator(engine, device="cpu") as generator:
        return generator.generate(PROMPT, max_tokens=TOKENS, **options)


def run(engine: Path, *flags: str) -> int:
    return main(["run", "--engine_dir", str(engine), "--device", "cpu", *flags])


def test_a_prompt_is_continued(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = whole(engine).text
    assert run(engine, "--prompt", PROMPT, "--max_tokens", str(TOKENS)) == 0
    told = capsys.readouterr()
    assert told.out == f"{expected}\n"
    assert f"{TOKENS} generated" in told.err
    assert main(["run", str(engine), "--prompt", PROMPT, "--max_new_tokens", str(TOKENS)]) == 0
    assert capsys.readouterr().out == f"{expected}\n"
    assert run(engine, "--prompt", PROMPT, "--max_tokens", str(TOKENS), "--stream") == 0
    assert capsys.readouterr().out == f"{expected}\n"


def test_options_reach_the_request(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    expected = whole(engine)
    stop = expected.text[4:6]
    flags = ["--prompt", PROMPT, "--max_tokens", str(TOKENS), "--stop", stop, "--include_stop"]
    assert run(engine, *flags) == 0
    assert capsys.readouterr().out == f"{expected.text[: expected.text.index(stop) + len(stop)]}\n"
    drawn = whole(engine, temperature=0.9, top_k=20, seed=5).text
    sampling = ["--temperature", "0.9", "--top_k", "20", "--seed", "5"]
    assert run(engine, "--prompt", PROMPT, "--max_tokens", str(TOKENS), *sampling) == 0
    assert capsys.readouterr().out == f"{drawn}\n"


def test_logprobs_and_biases_are_in_lines_of_results(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = whole(engine, logprobs=2)
    assert expected.logprobs is not None
    lines = [{"prompt": PROMPT}, {"prompt": PROMPT, "logit_bias": {str(expected.ids[0]): -100}}]
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in lines), "utf-8")
    assert run(engine, "--prompts", str(path), "--max_tokens", str(TOKENS), "--logprobs", "2") == 0
    plain, biased = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert [each["logprob"] for each in plain["logprobs"]] == [
        each.logprob for each in expected.logprobs
    ]
    assert [len(each["top"]) for each in plain["logprobs"]] == [2] * TOKENS
    assert biased["ids"][0] != expected.ids[0]


def test_flags_of_requests_reach_texts(engine: Path, tmp_path: Path) -> None:
    expected = whole(engine)
    flags = ["--prompt", PROMPT, "--max_tokens", str(TOKENS), "--output", str(tmp_path / "a.json")]

    def made(*more: str) -> dict[str, Any]:
        assert run(engine, *flags, *more) == 0
        found: dict[str, Any] = json.loads((tmp_path / "a.json").read_text("utf-8"))
        return found

    assert "speculation" not in made()
    for more in (["--speculation", '{"mode": "ngram"}'], ["--speculation_mode", "ngram"]):
        found = made(*more)
        assert found["speculation"]["rounds"] > 0 and found["ids"] == list(expected.ids)
    assert len(made("--tokens_logprobs", "2")["logprobs"]) == TOKENS
    stopped = made("--tokens_stop_ids", str(expected.ids[3]))
    assert (stopped["stop_reason"], stopped["finish_reason"]) == (expected.ids[3], "stop")


def test_a_draft_engine_changes_no_text(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--prompt", PROMPT, "--max_tokens", str(TOKENS)]
    assert run(engine, *flags) == 0
    expected = capsys.readouterr().out
    assert run(engine, *flags, "--draft_engine", str(engine)) == 0
    assert capsys.readouterr().out == expected
    assert run(engine, *flags, "--draft_engine", str(tmp_path)) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_results_go_to_a_file(engine: Path, tmp_path: Path) -> None:
    expected = whole(engine)
    for name in ("a.txt", "a.json"):
        flags = ["--prompt", PROMPT, "--max_tokens", str(TOKENS)]
        assert run(engine, *flags, "--output", str(tmp_path / name)) == 0
    assert (tmp_path / "a.txt").read_text("utf-8") == f"{expected.text}\n"
    found = json.loads((tmp_path / "a.json").read_text("utf-8"))
    assert (found["ids"], found["text"]) == (list(expected.ids), expected.text)
    assert found["prompt_ids"] == list(expected.prompt_ids)


def test_many_prompts_give_what_each_gives_alone(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [
        {"prompt": PROMPT, "id": "a"},
        {"ids": [5, 6, 7], "max_tokens": 3},
        {"messages": [{"role": "user", "content": "Hi"}]},
        {"prompt": "x" * 400},
        {"prompt": "x" * 400, "truncate": "left"},
    ]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    code = run(engine, "--prompts", str(path), "--max_tokens", str(TOKENS))
    told = capsys.readouterr()
    found = [json.loads(line) for line in told.out.splitlines()]
    assert code == 1
    assert "5 prompts, 1 failed" in told.err
    assert [each["line"] for each in found] == [1, 2, 3, 4, 5]
    assert (found[0]["id"], found[0]["text"]) == ("a", whole(engine).text)
    assert len(found[1]["ids"]) == 3
    assert found[2]["finish_reason"] != "error"
    assert "max_input_len" in found[3]["error"]
    assert len(found[4]["prompt_ids"]) == 150
    plain = tmp_path / "prompts.txt"
    plain.write_text(f"{PROMPT}\n\nfirst\\nsecond\n", "utf-8")
    output = tmp_path / "out.jsonl"
    flags = ["--max_tokens", str(TOKENS), "--batch_size", "1", "--output", str(output)]
    assert run(engine, "--prompts", str(plain), *flags) == 0
    texts = [json.loads(line) for line in output.read_text("utf-8").splitlines()]
    assert texts[0]["text"] == whole(engine).text
    with Generator(engine, device="cpu") as generator:
        assert texts[1]["prompt_ids"] == generator.tokenizer.encode("first\nsecond")


def test_several_results_of_each_prompt(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = ["--max_tokens", "6", "--temperature", "1.5", "--ignore_eos"]
    assert run(engine, "--prompt", PROMPT, "--n", "3", "--seed", "7", *drawn) == 0
    told = capsys.readouterr()
    found = [json.loads(line) for line in told.out.splitlines()]
    assert [(each["line"], each["seed"]) for each in found] == [(1, 7), (1, 8), (1, 9)]
    assert "3 results, 0 failed; 18 tokens" in told.err
    with Generator(engine, device="cpu") as generator:
        made = generator.generate_n(
            PROMPT, 3, seed=7, max_tokens=6, temperature=1.5, ignore_eos=True
        )
    assert [each["ids"] for each in found] == [list(each.ids) for each in made]
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "a", "id": "x"}\n{"prompt": "b", "seed": 4}\n')
    assert run(engine, "--prompts", str(path), "--n", "2", *drawn) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["line"], each.get("id"), each["seed"]) for each in found] == [
        *((1, "x", 0), (1, "x", 1)),
        *((2, None, 4), (2, None, 5)),
    ]
    path.write_text('{"prompt": "a", "seed": "b"}\n')
    assert run(engine, "--prompts", str(path), "--n", "2") == 2
    assert "seed: expected an integer, got 'b'" in capsys.readouterr().err


def test_special_tokens_of_messages_are_text_where_they_should_be(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prompts.jsonl"
    line = {"messages": [{"role": "user", "content": "a</s>b"}], "max_tokens": 1}
    path.write_text(json.dumps(line), "utf-8")
    found = []
    for flags in ([], ["--safe"]):
        assert run(engine, "--prompts", str(path), *flags) == 0
        found.append(json.loads(capsys.readouterr().out)["prompt_ids"])
    assert found[1].count(2) == found[0].count(2) - 1


def test_a_profile_tells_where_the_time_went(
    engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, "--prompt", PROMPT, "--max_tokens", str(TOKENS), "--profile") == 0
    told = capsys.readouterr()
    assert told.out == f"{whole(engine).text}\n"
    (steps,) = re.findall(r"decoding: (\d+) steps", told.err)
    assert TOKENS - 1 <= int(steps) <= TOKENS + 1  # a step may run beyond the last token
    assert "cores in use" in told.err and "of all" in told.err


def test_levels_of_the_log(
    engine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TTSRT_LOG", "loud")
    assert run(engine, "--prompt", PROMPT, "--max_tokens", "1") == 2
    assert "TTSRT_LOG: expected one of debug, info" in capsys.readouterr().err
    monkeypatch.setenv("TTSRT_LOG", "Info")
    assert run(engine, "--prompt", PROMPT, "--max_tokens", "1") == 0


def test_a_conversation(
    engine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\nMore\n\nHello\n"))
    assert run(engine, "--chat", "--max_tokens", "4") == 0
    out = capsys.readouterr().out
    first = [{"role": "user", "content": "Hello"}]
    with Generator(engine, device="cpu") as generator:
        answer = generator.chat(first, max_tokens=4).text
        second = [*first, {"role": "assistant", "content": answer}]
        next_one = generator.chat([*second, {"role": "user", "content": "More"}], max_tokens=4).text
    assert out == f"{answer}\n{next_one}\n{answer}\n"


def test_a_configuration_gives_engine_and_generation(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(
        f"output: {{engine_dir: {engine}}}\ngeneration: {{max_tokens: {TOKENS}, temperature: 0}}\n"
        "quantization: {kv_cache: int8}\nengine: {max_batch_size: 3}\n",
        "utf-8",
    )
    assert main(["run", "--config", str(config), "--prompt", PROMPT]) == 0
    with Generator(engine, kv_cache_dtype="int8") as generator:
        expected = generator.generate(PROMPT, max_tokens=TOKENS).text
    assert capsys.readouterr().out == f"{expected}\n"
    assert main(["run", "--config", str(config), "--prompt", PROMPT, "--max_tokens", "1"]) == 0
    assert len(capsys.readouterr().out) < len(expected)


MISTAKES = [
    (["--prompt", "a", "--text", "b"], "--text: expected none beside --prompt"),
    (["--prompt", "a", "--max_tokens", "0"], "--max_tokens: expected an integer from 1, got 0"),
    (["--prompt", "a", "--voice", "0"], "--voice: expected none beside --prompt"),
    (["--prompt", "a", "--cfg_scale", "2"], "--cfg_scale: expected none beside --prompt"),
    (["--prompt", "a", "--language", "en"], "--language: expected none beside --prompt"),
    (["--prompt", "a", "--chunk_frames", "7"], "--chunk_frames: expected none beside --prompt"),
    (["--prompt", "a", "--prior_lookahead", "7"], "--prior: expected none beside --prompt"),
    (["--prompt", "a", "--tokens", "garbage"], "--tokens: expected options as JSON"),
    (["--prompt", "a", "--tokens_stop_ids", "2", "--stop_ids", "3"], "got --stop_ids too"),
    (["--prompt", "a", "--speculation", '{"mode": "bogus"}'], "--speculation: mode: expected"),
    (["--prompt", "a", "--max_tokens", "2", "--max_new_tokens", "2"], "--max_new_tokens"),
    (["--prompt", "a", "--output", "a.wav"], "--output: expected a name that ends in .txt"),
    (["--prompt", "a", "--system", "b"], "--system: expected --chat"),
    (["--prompt", "a", "--model_dir", "b"], "--model_dir: expected --backend hf"),
    (["--prompt", "a" * 300], "max_input_len 150"),
    (["--prompt", "a" * 30, "--max_input_len", "4"], "--max_input_len 4 ids, got 31"),
    (["--prompts", "none.txt"], "none.txt: no such file"),
    (["--prompts", "."], "expected a file, got a folder"),
    (["--chat", "--output", "a.txt"], "--output: expected none beside --chat"),
    (["--stream", "--max_frames", "3"], "--stream: expected --prompt"),
    (["--prompt", "a", "--batch_size", "2", "--max_batch_size", "3"], "got both"),
    (["--prompt", "a", "--backend", "hf"], "--model_dir: expected the folder"),
    (["--prompt", "a", "--stream", "--output", "a.json"], "--output: expected a .txt file or -"),
    (["--prompt", "a", "--n", "0"], "--n: expected 1 to 1024, got 0"),
    (["--prompt", "a", "--n", "2", "--stream"], "--n: expected 1 beside --chat and --stream"),
    (["--prompt", "a", "--n", "2", "--output", "a.txt"], "a name that ends in .jsonl"),
]


@pytest.mark.parametrize(("flags", "told"), MISTAKES, ids=[told[:24] for _, told in MISTAKES])
def test_mistakes_are_told(
    flags: list[str], told: str, engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(engine, *flags) == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 1: expected JSON"),
        ("[1]", "line 1: expected an object"),
        ('{"prompt": 3}', "prompt: expected a text, got 3"),
        ('{"ids": [1.5]}', "ids: expected a list of integers"),
        ('{"promt": "a"}', "got 'promt'"),
        ('{"prompt": "a", "ids": [1]}', "expected one of prompt, messages and ids"),
        ("", "expected at least one prompt"),
    ],
)
def test_lines_are_checked_before_anything_runs(
    line: str, told: str, engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text(line, "utf-8")
    assert run(engine, "--prompts", str(path)) == 2
    assert told in capsys.readouterr().err


def test_engine_names(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(engine), "--engine_dir", str(engine), "--prompt", "a"]) == 2
    assert "got both" in capsys.readouterr().err
    assert main(["run", "--prompt", "a"]) == 2
    assert "expected an engine, --engine_dir or --config" in capsys.readouterr().err
