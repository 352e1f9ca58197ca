"""What a language model draws: penalties, biases, bans, masks and filters in their order, against
the same rules in NumPy, and the logarithms of probabilities.

A Phi whose weights are zeros has the bias of its head as its logits, so that one step is a draw
from given numbers.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE
from tests.python.convert.llm_models import PHI, arrays_of, write_config, write_llm, write_model
from ttsrt_rt.llm import Generator

Floats = NDArray[np.float32]
VOCAB = 96
PROMPT = [3, 9, 9, 20]
SETTINGS: list[dict[str, Any]] = [
    {"temperature": 0.7},
    {"temperature": 1.0, "top_k": 5},
    {"temperature": 1.0, "top_p": 0.8},
    {"temperature": 1.0, "min_p": 0.1},
    {"temperature": 1.0, "repetition_penalty": 1.3},
    {"repetition_penalty": 1.2, "temperature": 0.8, "top_k": 40, "top_p": 0.9},
    {"temperature": 1.5, "top_k": 20, "top_p": 0.7, "min_p": 0.05},
    {"temperature": 1.0, "top_p": 1e-4},
    {"temperature": 1.0, "top_k": 1},
    {"repetition_penalty": 0.8, "temperature": 1.0, "top_p": 0.5},
    {"temperature": 0.9, "logit_bias": {9: 3.0, 40: -2.0, 95: 1.5}, "bad_ids": [3, 50]},
    {"temperature": 0.9, "bad_ids": list(range(60)), "top_k": 7},
]


def processed(logits: Floats, seen: list[int], setting: dict[str, Any]) -> Floats:
    """The scores of a first step in the order of transformers' processors: -inf where an id is
    dropped.
    """
    scores = logits.astype(np.float32).copy()
    for each in sorted(set(seen)):
        penalty = np.float32(setting.get("repetition_penalty", 1.0))
        scores[each] = scores[each] * penalty if scores[each] < 0 else scores[each] / penalty
    for each, bias in setting.get("logit_bias", {}).items():
        scores[each] += np.float32(bias)
    scores[setting.get("bad_ids", [])] = -np.inf
    scores = scores / np.float32(setting.get("temperature", 1.0))
    if top_k := setting.get("top_k", 0):
        scores[scores < np.sort(scores)[-top_k]] = -np.inf
    if (top_p := setting.get("top_p", 1.0)) < 1.0:
        order = np.argsort(scores, kind="stable")
        sums = np.cumsum(softmax(scores[order]))
        dropped = sums <= 1 - top_p
        dropped[-1] = False
        scores[order[dropped]] = -np.inf
    if min_p := setting.get("min_p", 0.0):
        share = softmax(scores)
        scores[share < min_p * share.max()] = -np.inf
    return scores


def softmax(scores: Floats) -> Floats:
    powers = np.exp(scores - scores.max())
    return powers / powers.sum()


def write_biases(folder: Path, logits: Floats) -> Path:
    """An engine that has these logits in every step; its last ids pad the table."""
    write_config(folder / "source", PHI, vocab_size=len(logits), num_hidden_layers=1)
    arrays = {name: np.zeros_like(value) for name, value in arrays_of(folder / "source").items()}
    arrays["lm_head.bias"] = logits
    write_model(folder / "source", arrays)
    rt.convert(folder / "source", folder / "checkpoint", progress=False)
    rt.build(folder / "checkpoint", folder / "engine", max_seq_len=48, progress=False)
    return folder / "engine"


@pytest.fixture(scope="module")
def logits() -> Floats:
    random = np.random.default_rng(5)
    rows = random.normal(size=(2, VOCAB)).astype(np.float32) * 3
    rows[1] = np.round(rows[1])  # with ties
    return rows


EngineOf = Callable[[int], Path]


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory, logits: Floats) -> EngineOf:
    made: dict[int, Path] = {}

    def engine(row: int) -> Path:
        if row not in made:
            made[row] = write_biases(tmp_path_factory.mktemp("biases"), logits[row])
        return made[row]

    return engine


@pytest.fixture(scope="module", params=DEVICES)
def generators(request: pytest.FixtureRequest, engine_of: EngineOf) -> Iterator[list[Generator]]:
    made = [Generator(engine_of(row), device=request.param) for row in range(2)]
    yield made
    for each in made:
        each.close()


def drawn(generator: Generator, prompt: list[int], setting: dict[str, Any], count: int) -> Any:
    requests = []
    fields = {"top_k": 0, **setting}
    for seed in range(count):
        run = generator.generate(prompt, max_tokens=1, ignore_eos=True, seed=seed, **fields)
        requests.append(run.ids[0])
    return np.asarray(requests)


def check_draws(found: Any, expected: Floats, logits: Floats) -> None:
    """Draws are of kept ids, as often as their probabilities say; at the border of top-p, which of
    equal ids are kept is free.
    """
    kept = np.isfinite(expected)
    values = {float(each) for each in logits[kept]}
    assert all(kept[each] or float(logits[each]) in values for each in found)
    shares = np.bincount(found, minlength=len(logits)) / len(found)
    by_value = dict.fromkeys(values, 0.0)
    for each, share in zip(softmax(expected)[kept], logits[kept], strict=True):
        by_value[float(share)] += float(each)
    for value, share in by_value.items():
        share = min(share, 1.0)
        got = shares[logits == np.float32(value)].sum()
        assert abs(got - share) <= 5 * np.sqrt(share * (1 - share) / len(found)) + 0.01


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_draws_are_of_the_ids_that_the_filters_keep(
    setting: dict[str, Any], generators: list[Generator], logits: Floats
) -> None:
    for generator, row in zip(generators, logits, strict=True):
        expected = processed(row, PROMPT, setting)
        check_draws(drawn(generator, PROMPT, setting, 150), expected, row)


def test_penalties_count_what_was_generated(generators: list[Generator], logits: Floats) -> None:
    """Greedy: each step takes the largest score behind all penalties, ties to the lowest id."""
    setting = {"repetition_penalty": 1.2, "presence_penalty": 0.5, "frequency_penalty": 0.25}
    for scope in ("all", "generated"):
        counts, expected = np.zeros(VOCAB, np.int64), []
        for _ in range(30):
            seen = set(np.flatnonzero(counts)) | (set(PROMPT) if scope == "all" else set())
            scores = processed(logits[0], sorted(seen), {"repetition_penalty": 1.2})
            scores -= counts.astype(np.float32) * np.float32(0.25)
            scores -= np.where(counts > 0, np.float32(0.5), np.float32(0))
            expected.append(int(scores.argmax()))
            counts[expected[-1]] += 1
        made = generators[0].generate(
            PROMPT, max_tokens=30, temperature=0, ignore_eos=True, repetition_scope=scope, **setting
        )
        assert list(made.ids) == expected
        assert len(set(expected)) > 3


def test_padding_ids_are_never_drawn(tmp_path: Path) -> None:
    """A table of 40 ids of which a tokenizer has 20."""
    write_llm(tmp_path / "source", PHI)
    arrays = {name: np.zeros_like(value) for name, value in arrays_of(tmp_path / "source").items()}
    arrays["lm_head.bias"] = np.arange(40, dtype=np.float32)
    write_model(tmp_path / "source", arrays)
    vocab = {f"w{number}": number for number in range(20)}
    text = {"model": {"type": "WordLevel", "vocab": vocab, "unk_token": "w0"}, "added_tokens": []}
    (tmp_path / "source" / "tokenizer.json").write_text(json.dumps(text), "utf-8")
    checkpoint = rt.convert(tmp_path / "source", tmp_path / "checkpoint", progress=False)
    assert json.loads((checkpoint / "config.json").read_text())["model"]["tokens"] == 20
    rt.build(checkpoint, tmp_path / "engine", progress=False)
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        fields: dict[str, Any] = {"text_ids": [1], "max_frames": 2, "temperature": 0.0}
        masked = executor.generate(**fields, tokens=rt.TokenOptions())
        assert masked.codes[:, 0].tolist() == [19, 19]
        open_ = executor.generate(**fields, tokens=rt.TokenOptions(mask_padding_ids=False))
        assert open_.codes[:, 0].tolist() == [39, 39]
        # Without options, as transformers draws.
        assert executor.generate(**fields).codes[:, 0].tolist() == [39, 39]


def test_ends(generators: list[Generator], logits: Floats) -> None:
    generator = generators[0]
    bias = {"logit_bias": {2: 100.0, 7: 90.0}, "temperature": 0.0}
    made = generator.generate(PROMPT, max_tokens=5, **bias)
    assert (made.ids, made.finish_reason, made.stop_reason) == ((2,), "stop", 2)
    made = generator.generate(PROMPT, max_tokens=5, ignore_eos=True, **bias)
    assert (made.ids, made.finish_reason) == ((2,) * 5, "length")
    made = generator.generate(PROMPT, max_tokens=5, min_tokens=2, stop_ids=[7], **bias)
    largest = int(np.where(np.isin(np.arange(VOCAB), [2, 7]), -np.inf, logits[0]).argmax())
    assert (made.ids, made.stop_reason) == ((largest, largest, 2), 2)
    made = generator.generate(PROMPT, max_tokens=5, stop_ids=[7], bad_ids=[2], **bias)
    assert (made.ids, made.stop_reason) == ((7,), 7)
    made = generator.generate(PROMPT, max_tokens=5, ignore_eos=True, stop_ids=[2], **bias)
    assert (made.ids, made.stop_reason) == ((2,), 2)


@pytest.mark.parametrize("asked", [0, 3, 20])
def test_logprobs_are_of_the_scores_as_they_are(
    asked: int, generators: list[Generator], logits: Floats
) -> None:
    fields: dict[str, Any] = {
        "temperature": 0.5,
        "logit_bias": {11: 50.0},
        "bad_ids": [5],
        "logprobs": asked,
        "max_tokens": 4,
        "seed": 3,
    }
    exact = logits[0].astype(np.float64)
    exact -= np.log(np.exp(exact - exact.max()).sum()) + exact.max()
    order = np.argsort(-exact, kind="stable")[:asked]
    whole = generators[0].generate(PROMPT, **fields)
    assert whole.logprobs is not None
    assert len(whole.logprobs) == len(whole.ids)
    for number, each in zip(whole.ids, whole.logprobs, strict=True):
        assert each.id == number
        assert abs(each.logprob - exact[number]) <= 2e-6 * abs(exact).max()
        assert [found for found, _ in each.top] == order.tolist()
        assert np.allclose([value for _, value in each.top], exact[order], rtol=0, atol=2e-5)
    pieces = list(generators[0].stream(PROMPT, **fields))
    assert sum((piece.logprobs or () for piece in pieces), ()) == whole.logprobs
    ended = generators[0].generate(PROMPT, **{**fields, "logit_bias": {2: 100.0}})
    assert ended.logprobs is not None
    assert [each.id for each in ended.logprobs] == [2]
    assert generators[0].generate(PROMPT, max_tokens=1).logprobs is None


def test_nothing_left_to_draw_is_an_error(generators: list[Generator]) -> None:
    with pytest.raises(rt.InternalError, match="masks that forbid every id"):
        generators[0].generate(PROMPT, max_tokens=1, bad_ids=list(range(VOCAB)))


def test_company_changes_nothing(generators: list[Generator]) -> None:
    fields: dict[str, Any] = {
        "max_tokens": 12,
        "temperature": 1.1,
        "repetition_penalty": 1.3,
        "frequency_penalty": 0.2,
        "logprobs": 2,
        "seed": 9,
        "ignore_eos": True,
    }
    prompts = [[each, each + 1] for each in range(10)]
    together = generators[0].generate_batch(prompts, **fields)
    for prompt, made in zip(prompts, together, strict=True):
        alone = generators[0].generate(prompt, **fields)
        assert (alone.ids, alone.logprobs) == (made.ids, made.logprobs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"logprobs": 21}, r"logprobs: expected an integer in \[0, 20\], got 21"),
        ({"presence_penalty": 101.0}, "presence_penalty: expected a number"),
        ({"frequency_penalty": float("nan")}, "frequency_penalty: expected a number"),
        ({"repetition_scope": "some"}, "repetition_scope: expected"),
        ({"logit_bias": {VOCAB: 1.0}}, "logit_bias: expected ids"),
        ({"logit_bias": {1: float("inf")}}, "logit_bias: expected a number"),
        ({"logit_bias": [1]}, "logit_bias: expected a dict"),
        ({"bad_ids": [-1]}, "bad_ids: expected ids"),
        ({"ignore_eos": 1}, "ignore_eos: expected true or false"),
    ],
)
def test_wrong_options_are_named(
    fields: dict[str, Any], message: str, generators: list[Generator]
) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        generators[0].generate(PROMPT, max_tokens=1, **fields)


@pytest.mark.skipif("TTSRT_GOLDEN" not in os.environ, reason="needs TTSRT_GOLDEN: golden draws")
def test_the_golden_filters(tmp_path: Path) -> None:
    """transformers' own processors kept what the rules above keep, and what the engine draws."""
    folder = Path(os.environ["TTSRT_GOLDEN"]) / "llm"
    golden = np.load(folder / "sampling.npz")
    settings = json.loads((folder / "sampling.json").read_text("utf-8"))
    for row in range(3):
        logits, ids = golden["logits"][row], golden["ids"][row].tolist()
        engine = write_biases(tmp_path / str(row), logits)
        with Generator(engine, device=NATIVE) as generator:
            for number, setting in enumerate(settings):
                expected = golden[f"out_{number}"][row]
                ours = processed(logits, ids, setting)
                assert np.allclose(
                    np.sort(ours[np.isfinite(ours)]),
                    np.sort(expected[np.isfinite(expected)]),
                    rtol=0,
                    atol=1e-5,
                )
                found = drawn(generator, ids, {"temperature": 1.0, **setting}, 120)
                check_draws(found, expected, logits)
