"""Text to text with the miniatures: what ends a text, batches, streams, scores, and refusals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.llm import Generator, TensorRTLLMInference
from ttsrt_rt.text.text_stream import TextStream

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
PROMPT = "The river"
TOKENS = 24

Opened = Callable[[str], Generator]


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def engine(case: str) -> Path:
        if case not in made:
            folder = tmp_path_factory.mktemp(case)
            rt.convert(DATA / case, folder / "checkpoint", progress=False)
            rt.build(
                folder / "checkpoint",
                folder / "engine",
                max_seq_len=120,
                max_input_len=60,
                max_batch_size=3,
                progress=False,
            )
            made[case] = folder / "engine"
        return made[case]

    return engine


@pytest.fixture(scope="module")
def opened(engine_of: Callable[[str], Path]) -> Iterator[Opened]:
    made: dict[str, Generator] = {}

    def generator(case: str) -> Generator:
        if case not in made:
            made[case] = Generator(engine_of(case), device=NATIVE)
        return made[case]

    yield generator
    for each in made.values():
        each.close()


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_llama_tied", "tiny_phi"])
def test_a_text_is_what_the_tokenizer_makes_of_the_ids(case: str, opened: Opened) -> None:
    generator = opened(case)
    made = generator.generate(PROMPT, max_tokens=TOKENS, min_tokens=TOKENS)
    assert made.prompt_ids == tuple(generator.tokenizer.encode(PROMPT))
    assert (len(made.ids), made.finish_reason, made.stop_reason) == (TOKENS, "length", None)
    stream = TextStream(generator.tokenizer)
    assert made.text == stream.feed(made.ids) + stream.finish()
    if case == "tiny_phi":  # the others mark a whole run of bytes where a part of it is no text
        assert made.text == generator.tokenizer.decode(made.ids)
    assert made.metrics.total_seconds > 0


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_phi"])
def test_a_stream_is_the_whole(case: str, opened: Opened) -> None:
    generator = opened(case)
    whole = generator.generate(PROMPT, max_tokens=TOKENS)
    pieces = list(generator.stream(PROMPT, max_tokens=TOKENS))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert tuple(number for piece in pieces for number in piece.ids) == whole.ids
    assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert pieces[-1].finish_reason == whole.finish_reason


def test_a_stop_string_cuts_text_and_stream_alike(opened: Opened) -> None:
    generator = opened("tiny_llama_tied")
    whole = generator.generate(PROMPT, max_tokens=TOKENS)
    stop = whole.text[5:7]
    at = whole.text.index(stop)
    made = generator.generate(PROMPT, max_tokens=TOKENS, stop=[stop, "never"])
    assert made.text == whole.text[:at]
    assert (made.finish_reason, made.stop_reason) == ("stop", stop)
    assert made.ids == whole.ids[: len(made.ids)]
    assert len(made.ids) < len(whole.ids)
    pieces = list(generator.stream(PROMPT, max_tokens=TOKENS, stop=stop))
    assert "".join(piece.text for piece in pieces) == made.text
    assert pieces[-1].stop_reason == stop
    kept = generator.generate(PROMPT, max_tokens=TOKENS, stop=stop, include_stop=True)
    assert kept.text == whole.text[: at + len(stop)]


def test_ids_that_end_a_text(opened: Opened) -> None:
    generator = opened("tiny_llama_tied")
    whole = generator.generate(PROMPT, max_tokens=TOKENS)
    number = whole.ids[6]
    first = whole.ids.index(number)
    made = generator.generate(PROMPT, max_tokens=TOKENS, stop_ids=[number])
    assert made.ids == whole.ids[: first + 1]
    assert (made.finish_reason, made.stop_reason) == ("stop", number)
    assert whole.text.startswith(made.text)
    later = generator.generate(PROMPT, max_tokens=TOKENS, stop_ids=[number], min_tokens=first + 1)
    assert len(later.ids) > first + 1


def test_min_tokens_delays_a_stop_string_and_does_not_lose_it(opened: Opened) -> None:
    generator = opened("tiny_llama_tied")
    whole = generator.generate(PROMPT, max_tokens=TOKENS)
    stop = whole.text[2:8]  # of several ids, so that min_tokens falls before, inside and behind it
    soon = generator.generate(PROMPT, max_tokens=TOKENS, stop=stop)
    for least in range(TOKENS + 2):
        made = generator.generate(PROMPT, max_tokens=TOKENS, min_tokens=least, stop=stop)
        assert made.text == soon.text
        assert len(made.ids) == min(max(least, len(soon.ids)), TOKENS)
        assert (made.finish_reason, made.stop_reason) == ("stop", stop)
        pieces = list(generator.stream(PROMPT, max_tokens=TOKENS, min_tokens=least, stop=stop))
        assert "".join(piece.text for piece in pieces) == soon.text


@pytest.mark.parametrize("ignore_eos", [False, True])
def test_more_stop_ids_than_can_be_forbidden(opened: Opened, ignore_eos: bool) -> None:
    generator = opened("tiny_llama_tied")
    many = list(range(100, 140))
    with pytest.raises(rt.ConfigError, match="ids that end a text beside min_tokens"):
        generator.generate(PROMPT, stop_ids=many, min_tokens=2, ignore_eos=ignore_eos)


def test_two_leading_bos_are_told(opened: Opened) -> None:
    generator = opened("tiny_llama")
    bos = generator.tokenizer.token_id("<s>")
    assert bos is not None
    assert generator.generate([bos, 5], max_tokens=1).warnings == ()
    (warning,) = generator.generate([bos, bos, 5], max_tokens=1).warnings
    assert "begins with two bos" in warning


def test_the_end_id_of_the_model_is_the_last_of_the_ids(tmp_path: Path) -> None:
    golden = np.load(DATA / "tiny_llama" / "ref.npz")
    expected = golden["greedy_0"].tolist()
    checkpoint = rt.convert(DATA / "tiny_llama", tmp_path / "checkpoint", progress=False)
    config = json.loads((checkpoint / "config.json").read_text("utf-8"))
    config["model"]["eos"] = expected[3]
    (checkpoint / "config.json").write_text(json.dumps(config), "utf-8")
    rt.build(checkpoint, tmp_path / "engine", progress=False)
    with Generator(tmp_path / "engine", device=NATIVE) as generator:
        made = generator.generate(golden["ids_0"], max_tokens=10)
        assert list(made.ids) == expected[:4]
        assert (made.finish_reason, made.stop_reason) == ("stop", expected[3])
        stream = TextStream(generator.tokenizer)
        assert made.text == stream.feed(expected[:3]) + stream.finish()


def test_a_batch_gives_what_each_prompt_gives_alone(opened: Opened) -> None:
    generator = opened("tiny_llama")
    golden = np.load(DATA / "tiny_llama" / "ref.npz")
    prompts: list[Any] = [golden[f"ids_{n % 3}"] for n in range(7)] + [PROMPT, [5]]
    fields: dict[str, Any] = {"max_new_tokens": TOKENS, "temperature": 0.8, "seed": 3}
    made = generator.generate_batch(prompts, **fields)
    alone = [generator.generate(prompt, **fields) for prompt in prompts]
    assert [each.ids for each in made] == [each.ids for each in alone]
    assert [each.text for each in made] == [each.text for each in alone]
    assert generator.generate_batch([]) == []
    greedy = generator.generate_batch(prompts[:3], max_tokens=32)
    assert [list(each.ids) for each in greedy] == [golden[f"greedy_{n}"].tolist() for n in range(3)]


def test_a_batch_larger_than_the_queue(engine_of: Callable[[str], Path]) -> None:
    with Generator(engine_of("tiny_phi"), device=NATIVE, max_queue_size=1) as generator:
        made = generator.generate_batch([[number] for number in range(12)], max_tokens=5)
        assert [each.prompt_ids for each in made] == [(number,) for number in range(12)]
        assert made[3].ids == generator.generate([3], max_tokens=5).ids


@pytest.mark.parametrize("case", ["tiny_llama", "tiny_llama_tied", "tiny_phi"])
def test_scores_are_those_of_transformers(case: str, opened: Opened) -> None:
    golden = np.load(DATA / case / "ref.npz")
    for number in range(3):
        expected = golden[f"nll_{number}"]
        made = opened(case).score(golden[f"ids_{number}"])
        assert made.dtype == np.float32
        assert np.abs(made - expected).max() <= 2e-5 * np.abs(expected).max()


def test_a_text_is_scored_beyond_the_longest_prompt(opened: Opened) -> None:
    generator = opened("tiny_llama")
    ids = np.random.default_rng(1).integers(3, 320, 121)
    whole = generator.score(ids)
    assert whole.shape == (120,)
    assert np.allclose(whole[:40], generator.score(ids[:41]), atol=1e-4)
    with pytest.raises(rt.ConfigError, match="expected 2 to 121 ids to score, got 122"):
        generator.score([5] * 122)
    with pytest.raises(rt.ConfigError, match="expected 2 to 121 ids to score, got 1"):
        generator.score([5])


def test_several_results_of_a_prompt(opened: Opened) -> None:
    """More results than requests fit at once; each is that of its seed alone."""
    generator = opened("tiny_llama")
    options: dict[str, Any] = {"max_tokens": 8, "temperature": 1.5, "ignore_eos": True}
    made = generator.generate_n(PROMPT, 5, seed=40, **options)
    alone = [generator.generate(PROMPT, seed=40 + at, **options) for at in range(5)]
    assert [each.ids for each in made] == [each.ids for each in alone]
    assert len({each.ids for each in made}) > 1
    assert {each.text for each in generator.generate_n(PROMPT, 2, max_tokens=4, temperature=0)} == {
        generator.generate(PROMPT, max_tokens=4, temperature=0).text
    }
    for wrong in (0, 1025, True, "2"):
        with pytest.raises(rt.ConfigError, match=r"n: expected an integer of 1\.\.1024"):
            generator.generate_n(PROMPT, wrong)  # type: ignore[arg-type]
    with pytest.raises(rt.ConfigError, match="seed"):
        generator.generate_n(PROMPT, 2, seed=(1 << 64) - 1)
    with pytest.raises(rt.ConfigError, match="num_beams"):
        generator.generate(PROMPT, num_beams=4)  # type: ignore[call-arg]


def test_what_prompts_begin_with_is_computed_once(engine_of: Callable[[str], Path]) -> None:
    """Of n results, and of prompts that say so; texts, scores and streams are those without."""
    ids = [1, *np.random.default_rng(2).integers(3, 320, 46).tolist()]
    options: dict[str, Any] = {"max_tokens": 5, "temperature": 1.0, "ignore_eos": True}

    def used(of: Generator) -> tuple[int, int]:
        stats = of.executor.stats()
        rows = sum(each.inflight_batching_stats.num_ctx_tokens for each in stats.iterations)
        return rows, stats.kv_cache_stats.reused_blocks

    def opened_engine() -> Generator:
        return Generator(engine_of("tiny_llama"), device=NATIVE, iter_stats_max_iterations=10000)

    with opened_engine() as generator:
        alone = [generator.generate(ids, seed=at, logprobs=1, **options) for at in range(7)]
        assert used(generator) == (7 * 46, 0)
    with opened_engine() as generator:
        made = generator.generate_n(ids, 7, seed=0, logprobs=1, **options)
        assert used(generator) == (32 + 7 * (46 - 32), 7 * 2)
        assert [each.ids for each in made] == [each.ids for each in alone]
        assert [each.logprobs for each in made] == [each.logprobs for each in alone]
        other = [*ids[:20], *ids[:9]]
        expected = generator.generate(other, **options)
        for _ in range(2):
            again = generator.generate(other, shared_prefix=20, **options)
            assert (again.ids, again.text) == (expected.ids, expected.text)
        pieces = generator.stream(other, shared_prefix=1 << 20, **options)
        assert "".join(piece.text for piece in pieces) == expected.text
    with pytest.raises(rt.ConfigError, match="shared_prefix: expected an integer from 0"):
        generator.generate(ids, shared_prefix=-1)


def test_a_conversation(opened: Opened) -> None:
    generator = opened("tiny_llama")
    messages = [{"role": "user", "content": "Which road leads to the river?"}]
    made = generator.chat(messages, max_tokens=8)
    assert list(made.prompt_ids) == generator.chat_prompt(messages)
    assert made.prompt_ids[0] != 1
    once = generator.chat(messages, max_tokens=8, add_bos="once")
    assert once.prompt_ids == (1, *made.prompt_ids)
    pieces = list(generator.chat_stream(messages, max_tokens=8))
    assert "".join(piece.text for piece in pieces) == made.text
    with pytest.raises(rt.ConfigError, match="chat template"):
        opened("tiny_phi").chat(messages)


def test_a_long_prompt_is_an_error_unless_it_may_be_cut(opened: Opened) -> None:
    generator = opened("tiny_llama")
    ids = list(range(3, 100))
    with pytest.raises(rt.ConfigError, match="expected at most max_input_len 60 ids, got 97"):
        generator.generate(ids)
    assert generator.generate(ids, truncate="left", max_tokens=1).prompt_ids == tuple(ids[-60:])
    assert generator.generate(ids, truncate="right", max_tokens=1).prompt_ids == tuple(ids[:60])
    assert len(generator.generate(ids[:60], max_tokens=1000, min_tokens=1000).ids) == 61


def test_leaving_a_stream_cancels_its_request(opened: Opened) -> None:
    generator = opened("tiny_llama")
    stream = generator.stream(PROMPT, max_tokens=60, min_tokens=60)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert generator.generate(PROMPT, max_tokens=2).finish_reason == "length"


@pytest.mark.parametrize(
    ("prompt", "fields", "message"),
    [
        ([], {}, "prompt: expected at least one id"),
        ([320], {}, r"prompt: expected ids 0\.\.319, got 320"),
        ([-1], {}, r"prompt: expected ids 0\.\.319, got -1"),
        ([1.5], {}, "prompt: expected a text or a list of ids"),
        ([[1]], {}, "prompt: expected a text or a list of ids"),
        (None, {}, "prompt: expected a text or a list of ids"),
        ([1], {"max_tokens": 0}, "max_tokens: expected an integer from 1, got 0"),
        ([1], {"max_tokens": True}, "max_tokens: expected an integer"),
        ([1], {"max_tokens": 1, "max_new_tokens": 1}, "max_new_tokens: expected none beside"),
        ([1], {"min_tokens": -1}, "min_tokens: expected an integer from 0"),
        ([1], {"stop": [""]}, "stop: expected texts of 1 to 256 bytes"),
        ([1], {"stop_ids": "ab"}, "stop_ids: expected a list of ids"),
        ([1], {"stop_ids": [-1]}, "stop_ids: expected an integer from 0"),
        ([1], {"truncate": "middle"}, "truncate: expected one of error, left, right"),
        ([1], {"skip_special": 1}, "skip_special: expected true or false"),
        ([1], {"temperature": -1.0}, "temperature"),
        ([1], {"top_p": 2.0}, "top_p"),
        ([1], {"num_beams": 2}, "num_beams"),
        ("a", {"special": "maybe"}, "special: expected one of template, never"),
    ],
)
def test_wrong_arguments_are_refused(
    prompt: Any, fields: dict[str, Any], message: str, opened: Opened
) -> None:
    generator = opened("tiny_llama")
    with pytest.raises(rt.ConfigError, match=message):
        generator.generate(prompt, **fields)
    with pytest.raises(rt.ConfigError, match=message):
        generator.stream(prompt, **fields)
    with pytest.raises(rt.ConfigError, match=message):
        generator.generate_batch([[1], prompt], **fields)


def test_a_batch_is_no_text(opened: Opened) -> None:
    with pytest.raises(rt.ConfigError, match="prompts: expected a list of prompts"):
        opened("tiny_llama").generate_batch("abc")


def test_an_engine_without_a_tokenizer(tmp_path: Path) -> None:
    rt.convert(DATA / "tiny_llama_awq", tmp_path / "checkpoint", progress=False)
    rt.build(tmp_path / "checkpoint", tmp_path / "engine", progress=False)
    golden = np.load(DATA / "tiny_llama_awq" / "ref.npz")
    with TensorRTLLMInference(tmp_path / "engine", device=NATIVE) as generator:
        made = generator.generate(golden["ids_0"], max_tokens=32)
        assert (list(made.ids), made.text) == (golden["greedy_0"].tolist(), "")
        for call in (
            lambda: generator.generate("a"),
            lambda: generator.generate([1], stop="a"),
            lambda: generator.tokenizer,
        ):
            with pytest.raises(rt.ConfigError, match="expected an engine with a tokenizer"):
                call()
