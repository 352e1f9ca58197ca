"""Speculation through Python: equal texts with and without, stops in a round, counts, refusals."""

from __future__ import annotations

import base64
import json
import shutil
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.devices import NEEDS_GPU
from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.llm import Generator
from ttsrt_rt.memory import plan_memory

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
PROMPTS = ["The river", "river river river river", "One two three one two three one two"]
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.0},
    {"temperature": 0.3, "top_k": 5, "seed": 3},
    {"temperature": 0.9, "top_p": 0.8, "seed": 4},
    {"temperature": 0.6, "min_p": 0.1, "seed": 5},
]
ON = {"mode": "ngram", "num_draft_tokens": 6}
TOKENS = 60


@pytest.fixture(scope="module", params=["tiny_llama", "tiny_phi"])
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    rt.convert(DATA / request.param, folder / "checkpoint", progress=False)
    rt.build(
        folder / "checkpoint",
        folder / "engine",
        max_seq_len=120,
        max_input_len=50,
        max_batch_size=3,
        progress=False,
    )
    return folder / "engine"


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=NEEDS_GPU)])
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def generator(engine: Path, device: str) -> Iterator[Generator]:
    with Generator(engine, device=device) as opened:
        yield opened


@pytest.mark.parametrize("settings", SETTINGS)
def test_texts_are_equal(generator: Generator, settings: dict[str, Any]) -> None:
    drafted = 0
    plain = generator.generate_batch(PROMPTS, max_tokens=TOKENS, **settings)
    made = generator.generate_batch(PROMPTS, max_tokens=TOKENS, speculation=ON, **settings)
    for prompt, expected, got in zip(PROMPTS, plain, made, strict=True):
        assert expected.metrics.speculation.rounds == 0
        alone = generator.generate(prompt, max_tokens=TOKENS, speculation=ON, **settings)
        for each in (got, alone):
            assert each.ids == expected.ids
            assert each.text == expected.text
            assert each.finish_reason == expected.finish_reason
        counts = alone.metrics.speculation
        assert counts.tokens == counts.rounds + counts.accepted == alone.metrics.steps
        assert sum(counts.drafted_at) == counts.drafted >= counts.accepted
        drafted += counts.drafted
    assert drafted > 0


def test_guesses_that_come_true_save_rounds(generator: Generator) -> None:
    made = [
        generator.generate(prompt, max_tokens=TOKENS, speculation=ON).metrics.speculation
        for prompt in PROMPTS
    ]
    best = max(made, key=lambda each: each.tokens_per_round)
    assert best.accepted > 0
    assert best.rounds == best.tokens - best.accepted < TOKENS


def test_stops_inside_a_round(generator: Generator) -> None:
    plain = generator.generate(PROMPTS[1], max_tokens=TOKENS)
    for at in range(1, len(plain.ids) - 1):
        stop_ids = [plain.ids[at]]
        expected = generator.generate(PROMPTS[1], max_tokens=TOKENS, stop_ids=stop_ids)
        got = generator.generate(PROMPTS[1], max_tokens=TOKENS, stop_ids=stop_ids, speculation=ON)
        assert (got.ids, got.text, got.stop_reason) == (
            expected.ids,
            expected.text,
            expected.stop_reason,
        )
    for begin in range(0, max(len(plain.text) - 3, 0), 3):
        stop = plain.text[begin : begin + 3]
        expected = generator.generate(PROMPTS[1], max_tokens=TOKENS, stop=stop)
        got = generator.generate(PROMPTS[1], max_tokens=TOKENS, stop=stop, speculation=ON)
        assert (got.ids, got.text, got.stop_reason) == (expected.ids, expected.text, stop)
    for most in range(1, 20):
        got = generator.generate(PROMPTS[1], max_tokens=most, speculation=ON)
        assert got.ids == plain.ids[:most]


def test_streams_are_the_whole(generator: Generator) -> None:
    expected = generator.generate(PROMPTS[2], max_tokens=TOKENS)
    pieces = list(generator.stream(PROMPTS[2], max_tokens=TOKENS, speculation=ON))
    assert "".join(piece.text for piece in pieces) == expected.text
    assert tuple(number for piece in pieces for number in piece.ids) == expected.ids


def test_executors_decide_for_requests_that_do_not(engine: Path, device: str) -> None:
    with Generator(engine, device=device, speculation=rt.Speculation(mode="ngram")) as generator:
        on = generator.generate(PROMPTS[1], max_tokens=TOKENS)
        assert on.metrics.speculation.rounds > 0
        off = generator.generate(PROMPTS[1], max_tokens=TOKENS, speculation={"mode": "none"})
        assert off.metrics.speculation.rounds == 0
        assert off.ids == on.ids
        stats = generator.executor.stats().speculation
        assert stats.rounds == on.metrics.speculation.rounds
        assert stats.tokens_per_round == on.metrics.speculation.tokens_per_round
        assert stats.to_dict()["accepted"] == on.metrics.speculation.accepted
    below = {"mode": "ngram", "speculate_below": 1}
    with Generator(engine, device=device, speculation=below) as generator:
        made = generator.generate(PROMPTS[1], max_tokens=TOKENS)
        assert made.ids == on.ids
        assert made.metrics.speculation.drafted == 0


RULES: list[dict[str, Any]] = [
    {"logprobs": 2},
    {"repetition_penalty": 1.3, "logprobs": 0},
    {"presence_penalty": 0.4, "frequency_penalty": 0.2, "temperature": 0.7, "seed": 2},
    {"logit_bias": {5: 2.0, 9: -3.0}, "bad_ids": list(range(20, 60)), "logprobs": 3},
]


@pytest.mark.parametrize("rules", RULES)
def test_rules_that_count_ids_change_nothing(generator: Generator, rules: dict[str, Any]) -> None:
    drafted = 0
    for prompt in PROMPTS:
        expected = generator.generate(prompt, max_tokens=TOKENS, **rules)
        got = generator.generate(prompt, max_tokens=TOKENS, speculation=ON, **rules)
        assert got.ids == expected.ids
        assert got.logprobs == expected.logprobs
        drafted += got.metrics.speculation.drafted
    assert drafted > 0


def test_draft_engines_change_nothing(
    engine: Path, device: str, generator: Generator, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settings = [*SETTINGS, *RULES]
    rounded = tmp_path_factory.mktemp("draft") / "engine"
    rt.build(engine.parent / "checkpoint", rounded, quantization="w4a16", progress=False)
    for draft in (engine, rounded):
        with Generator(
            engine, device=device, draft_engine=draft, speculation={"min_confidence": 0.0}
        ) as drafting:
            for each in settings:
                plain = generator.generate_batch(PROMPTS, max_tokens=TOKENS, **each)
                together = drafting.generate_batch(PROMPTS, max_tokens=TOKENS, **each)
                for prompt, expected, got in zip(PROMPTS, plain, together, strict=True):
                    alone = drafting.generate(prompt, max_tokens=TOKENS, **each)
                    assert alone.ids == got.ids == expected.ids
                    assert alone.text == expected.text
                    assert alone.logprobs == got.logprobs == expected.logprobs
            counts = drafting.executor.stats().speculation
            assert counts.drafted > 0
            assert counts.faults == 0
            assert draft != engine or counts.accepted == counts.drafted
            assert draft != engine or counts.tokens_per_round > 3.0


def test_draft_engines_have_the_same_words(engine: Path, tmp_path: Path) -> None:
    with pytest.raises(rt.ConfigError, match="without draft_engine"):
        Generator(engine, device="cpu", speculation={"mode": "draft"})
    with pytest.raises(rt.Error):
        Generator(engine, device="cpu", draft_engine=tmp_path / "nothing")
    description = json.loads((engine / "engine.json").read_text("utf-8"))
    files = description["front_end"]["files"]
    tokenizer = json.loads(zlib.decompress(base64.b64decode(files["tokenizer.json"])))
    vocab = tokenizer["model"]["vocab"]
    first, second = sorted(vocab, key=vocab.__getitem__)[20:22]
    vocab[first], vocab[second] = vocab[second], vocab[first]
    packed = zlib.compress(json.dumps(tokenizer).encode())
    for name, changed in (
        ("swapped", {"tokenizer.json": base64.b64encode(packed).decode()}),
        ("none", {}),
    ):
        other = tmp_path / name
        shutil.copytree(engine, other)
        description["front_end"]["files"] = changed
        (other / "engine.json").write_text(json.dumps(description), "utf-8")
        what = "no tokenizer" if name == "none" else r"another one: id 2\d is"
        with pytest.raises(rt.ConfigError, match=f"draft_engine: .*{name}: expected .*{what}"):
            Generator(engine, device="cpu", draft_engine=other)
        with pytest.raises(rt.ConfigError, match="draft_engine"):
            Generator(other, device="cpu", draft_engine=engine)


def test_memory_of_draft_engines_is_planned(engine: Path) -> None:
    asked: dict[str, Any] = {"draft_engine": engine, "speculation": {"num_draft_tokens": 6}}
    (plan,) = plan_memory(engine, batch_sizes=[3], device="cpu", num_threads=1, **asked)
    with rt.Executor(engine, device="cpu", num_threads=1, **asked) as executor:
        info = executor.info
    assert plan.weights == info.weight_bytes == 2 * executor.engine.info.weight_bytes
    assert plan.state == info.state_bytes
    assert plan.activations == info.activation_bytes
    assert plan.scratch == info.scratch_bytes


def test_wrong_options_are_named(engine: Path, generator: Generator) -> None:
    def refuses(given: Any, what: str) -> None:
        with pytest.raises(rt.ConfigError, match=what):
            generator.generate(PROMPTS[0], speculation=given)

    refuses({"mode": "draft"}, "speculation.mode: expected .* has no draft_engine")
    refuses({"mode": "guess"}, 'speculation.mode: expected "none", "ngram" or "draft"')
    refuses({"min_confidence": 2.0}, "speculation.min_confidence: expected 0 to 1")
    refuses({"mode": 3}, "speculation.mode: expected a string")
    refuses({"ngrams": 3}, "ngrams")
    refuses("ngram", "speculation: expected a Speculation or a mapping, got 'ngram'")
    refuses({"num_draft_tokens": 0}, "speculation.num_draft_tokens: expected 1 to 8")
    refuses({"max_ngram": True}, "speculation.max_ngram")
    with pytest.raises(rt.ConfigError, match=r"speculation\.match"):
        Generator(engine, device="cpu", speculation={"match": "middle"})
    with pytest.raises(rt.ConfigError, match="as trace keeps the values"):
        Generator(engine, device="cpu", speculation={"mode": "ngram"}, trace=True)
