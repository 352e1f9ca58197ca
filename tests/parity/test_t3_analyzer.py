"""The alignment of T3 and its analyzer: the decisions of the original, the attention of NumPy, and
the same result whatever else runs.

The tiny golden model stands for a multilingual one. It has no heads that follow the text, so its
alignments are as good as random; what is made of them is what counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE
from tests.parity.alignment_analyzer import Analyzer, Floats, Rows
from tests.parity.block_checkpoint import read_tensors
from tests.parity.test_t3_tiny import DATA, Golden, convert_case

GOLDENS = Path(__file__).parents[1] / "cpp" / "rules" / "analyzer_goldens.json"
HEADS = ([0, 0], [0, 2], [0, 3])  # of the layer that NumPy computes below
OTHER_HEADS = ([2, 1], [0, 3], [1, 0], [1, 2])
# A greedy run that draws the same token in steps 19 and 20, and one that doesn't repeat any.
REPEATS, PLAIN = "cfg1.0_greedy", "cfg0.5_greedy"
TWICE = 21  # tokens up to the second of the two


def engine_with(folder: Path, heads: Any, **changes: Any) -> Path:
    """Builds the tiny model with an analyzer. `changes` are of the model, or of its "defaults"."""
    checkpoint = convert_case("tiny", folder / "checkpoint")
    config = json.loads((checkpoint / "config.json").read_text())
    config["model"]["analyzer"] = None if heads is None else {"heads": heads}
    config["defaults"] |= changes.pop("defaults", {})
    config["model"] |= changes
    (checkpoint / "config.json").write_text(json.dumps(config))
    rt.build(checkpoint, folder / "engine", dtype="float32", max_seq_len=160)
    return folder / "engine"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engine_with(tmp_path_factory.mktemp("analyzer"), HEADS)


@pytest.fixture(scope="module")
def other_engine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return engine_with(tmp_path_factory.mktemp("other"), OTHER_HEADS)


@pytest.fixture(scope="module", params=DEVICES)
def executor(request: pytest.FixtureRequest, engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device=request.param, trace=True) as made:
        yield made


def asked(run: str, **fields: Any) -> rt.Request:
    return replace(Golden("tiny").request(run), **fields)


def test_the_plain_analyzer_decides_as_the_original() -> None:
    for golden in json.loads(GOLDENS.read_text()):
        analyzer = Analyzer(golden["text_len"])
        rows = Rows(golden["kind"], golden["text_len"], golden["seed"], golden["vocab"])
        tokens: list[int] = []
        decisions = ""
        for _ in golden["decisions"]:
            decisions += analyzer.step(rows.next(), tokens)
            tokens.append(rows.token())
        assert decisions == golden["decisions"], golden


def turned(x: Floats, rope: dict[str, Any]) -> Floats:
    """Rope with Llama 3's frequencies, of heads [rows, heads, dims]."""
    dims = x.shape[-1]
    frequencies = rope["rope_theta"] ** -(np.arange(0, dims, 2) / dims)
    wave = 2 * np.pi / frequencies
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turns = rope["original_max_position_embeddings"] / wave
    smooth = np.clip((turns - low) / (high - low), 0, 1)
    frequencies = (1 - smooth) * frequencies / rope["factor"] + smooth * frequencies
    angles = np.arange(len(x))[:, None, None] * frequencies
    a, b = np.split(x, 2, axis=-1)
    cos, sin = np.cos(angles), np.sin(angles)
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def expected_alignment(golden: Golden, tokens: list[int]) -> Floats:
    """The mean attention of HEADS to the text, of the row behind which each token was drawn."""
    source = read_tensors(DATA / "tiny")
    behind = source["speech_emb.weight"][tokens[:-1]]
    behind = behind + source["speech_pos_emb.emb.weight"][1 : len(tokens)]
    x = np.concatenate([golden.prefill["inputs_embeds"][0], behind]).astype(np.float64)
    x /= np.sqrt((x**2).mean(axis=-1, keepdims=True) + 1e-5)
    x *= source["tfmr.layers.0.input_layernorm.weight"]
    rope = golden.case["backbone"]["rope_scaling"]
    query, key = (
        turned(
            (x @ source[f"tfmr.layers.0.self_attn.{part}_proj.weight"].T).reshape(-1, 4, 16), rope
        )
        for part in "qk"
    )
    stored = golden.prefill["k0"][0].transpose(1, 0, 2)
    assert np.abs(key[: len(stored)] - stored).max() < 1e-4 * np.abs(stored).max()
    text = slice(len(golden.prefix), len(golden.prefix) + len(golden.text_ids))
    first = len(golden.prefill["inputs_embeds"][0]) - 1
    rows = []
    for row in range(first, len(x)):
        scores = np.einsum("hd,nhd->hn", query[row], key[: row + 1]) / 4
        shares = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        rows.append(shares[[head for _, head in HEADS], text].mean(axis=0))
    return np.array(rows, np.float32)


@pytest.mark.parametrize("run", [REPEATS, PLAIN, "cfg0.0_greedy"])
def test_the_alignment_is_the_attention_to_the_text(executor: rt.Executor, run: str) -> None:
    golden = Golden("tiny")
    result = executor.generate(asked(run, return_alignment=True))
    assert result.codes[:, 0].tolist() == golden.tokens(run)  # nothing acts unasked
    assert result.alignment is not None
    wanted = expected_alignment(golden, golden.tokens(run))
    assert result.alignment.shape == wanted.shape == (30, 20)
    assert np.abs(result.alignment - wanted).max() < 1e-6


def test_equal_tokens_force_the_end(executor: rt.Executor) -> None:
    result = executor.generate(asked(REPEATS, analyze_alignment=True))
    assert result.codes[:, 0].tolist() == Golden("tiny").tokens(REPEATS)[:TWICE]
    assert result.finish_reason == "stop"
    assert result.alignment is None


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_drawn_follows_from_the_alignment(device: str, tmp_path: Path) -> None:
    """The end is a token that a greedy request draws early; the analyzer forbids that."""
    golden = Golden("tiny")
    end = golden.tokens(PLAIN)[5]
    folder = engine_with(tmp_path, HEADS, eos=end, defaults={"analyzer": True})
    with rt.Executor(folder, device=device, trace=True) as executor:
        free = executor.generate(asked(PLAIN, analyze_alignment=False))
        result = executor.generate(asked(PLAIN, return_alignment=True))  # by default
    assert free.codes[:, 0].tolist() == golden.tokens(PLAIN)[:5] and free.finish_reason == "stop"
    codes = result.codes[:, 0].tolist()
    assert len(codes) > 5 and result.alignment is not None
    analyzer = Analyzer(len(golden.text_ids))
    guided = [entry.values[0] for entry in result.trace if entry.name == "logits_guided"]
    decisions = ""
    for step, (row, logits) in enumerate(zip(result.alignment, guided, strict=True)):
        decisions += analyzer.step(row, codes[:step])
        if decisions[-1] == "n":
            logits[end] = -(2.0**15)
        drawn = end if decisions[-1] == "F" else int(logits.argmax())
        assert drawn == (codes[step] if step < len(codes) else end)
    assert decisions[5] == "n"


def mixed_requests(count: int) -> list[rt.Request]:
    """Requests of several lengths, texts of 5 tokens and fewer among them."""
    random = np.random.default_rng(11)
    golden = Golden("tiny")
    requests = []
    for seed in range(count):
        request = golden.request((REPEATS, PLAIN, "cfg0.0_greedy")[seed % 3], 8 + seed % 17)
        if seed % 4:
            length = 1 + seed % 9
            request = replace(request, text_ids=random.integers(0, 700, length).tolist())
        if seed % 5:
            request = replace(request, temperature=0.8, top_k=3, seed=seed)
        acts = (True, None, True, False)[seed % 4]
        asks = bool(random.integers(2))
        requests.append(replace(request, analyze_alignment=acts, return_alignment=asks))
    return requests


def same(one: rt.Result, other: rt.Result) -> bool:
    if one.finish_reason != other.finish_reason or not np.array_equal(one.codes, other.codes):
        return False
    if one.alignment is None or other.alignment is None:
        return one.alignment is other.alignment
    return np.array_equal(one.alignment, other.alignment)


@pytest.mark.parametrize("device", DEVICES)
def test_alone_as_in_a_crowd(device: str, other_engine: Path) -> None:
    requests = mixed_requests(12 if device == "reference" else 36)
    with rt.Executor(other_engine, device=device, max_batch_size=4) as executor:
        alone = [executor.generate(request) for request in requests]
        together = executor.generate(requests)
        again = executor.generate(requests[::-1])[::-1]
    for one, two, three in zip(alone, together, again, strict=True):
        assert one.error is None
        assert same(one, two) and same(one, three)


@pytest.mark.parametrize("device", sorted({"cpu", NATIVE}))
def test_the_backends_agree(device: str, other_engine: Path) -> None:
    requests = [replace(each, return_alignment=True) for each in mixed_requests(12)]
    results = []
    for opened in ("reference", device):
        with rt.Executor(other_engine, device=opened) as executor:
            results.append(executor.generate(requests))
    for expected, got in zip(*results, strict=True):
        assert got.codes.tolist() == expected.codes.tolist()
        assert got.finish_reason == expected.finish_reason
        assert got.alignment is not None and expected.alignment is not None
        assert np.abs(got.alignment - expected.alignment).max() < 1e-6


def test_requests_without_it_keep_every_bit(other_engine: Path, tmp_path: Path) -> None:
    """As in an engine that has no analyzer, beside requests that have one."""
    request = asked(PLAIN)
    with rt.Executor(engine_with(tmp_path, None), device=NATIVE, trace=True) as executor:
        expected = executor.generate(request)
    with rt.Executor(other_engine, device=NATIVE, trace=True) as executor:
        first, *_ = executor.generate([request, *mixed_requests(6)])
    taps = [
        [entry.values for entry in result.trace if entry.name == "logits"]
        for result in (expected, first)
    ]
    assert len(taps[0]) == len(taps[1]) == 30
    assert all(np.array_equal(one, two) for one, two in zip(*taps, strict=True))


def test_a_slot_remembers_nothing(other_engine: Path) -> None:
    """The state is each request's own: the hundredth is like the first."""
    with rt.Executor(other_engine, device=NATIVE, max_batch_size=1) as executor:
        request = asked(REPEATS, analyze_alignment=True, return_alignment=True, max_frames=24)
        first = executor.generate(request)
        for number in range(100):
            executor.generate(mixed_requests(8)[number % 8], max_frames=4)
            if number % 20 == 19:
                assert same(executor.generate(request), first)
        streamed = [event.codes for event in executor.stream(request)]
    assert np.array_equal(np.concatenate(streamed), first.codes)


@pytest.mark.parametrize("device", DEVICES)
def test_texts_of_five_tokens_and_fewer(device: str, other_engine: Path) -> None:
    """The original raises an error where such a text is complete."""
    requests = [
        asked(PLAIN, text_ids=[7] * length, analyze_alignment=True, return_alignment=True)
        for length in range(1, 6)
    ]
    with rt.Executor(other_engine, device=device) as executor:
        for request, result in zip(requests, executor.generate(requests), strict=True):
            assert result.error is None and result.alignment is not None
            text_len = len(request.text_ids)  # type: ignore[arg-type]
            analyzer = Analyzer(text_len)
            codes = result.codes[:, 0].tolist()
            decisions = [
                analyzer.step(row, codes[:step]) for step, row in enumerate(result.alignment)
            ]
            assert "n" not in decisions
            assert ("F" in decisions) == (result.finish_reason == "stop")
            assert result.alignment.shape[1] == text_len


def test_what_has_no_alignment_refuses_it(engine: Path, tmp_path: Path) -> None:
    prompt = Golden("tiny").prefill["inputs_embeds"]
    nothing: dict[str, Any] = {"text_ids": None, "context_embeddings": None}
    for field in ("analyze_alignment", "return_alignment"):
        request = asked("cfg0.0_greedy", **{field: True})
        with (
            rt.Executor(engine, device=NATIVE) as executor,
            pytest.raises(rt.ConfigError, match=f"{field}: expected none with prompt_embeddings"),
        ):
            executor.generate(request, prompt_embeddings=prompt[0], **nothing)
        with (
            rt.Executor(engine_with(tmp_path / field, None), device=NATIVE) as executor,
            pytest.raises(rt.ConfigError, match=f"{field}: expected .*, as this model has no"),
        ):
            executor.generate(request)


def test_a_checkpoint_with_wrong_heads_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rt.FormatError, match=r"analyzer.heads\[0\]: expected a layer in \[0, 2\]"):
        engine_with(tmp_path / "layer", [[3, 0]])
    with pytest.raises(rt.FormatError, match=r"defaults\.analyzer: expected false"):
        engine_with(tmp_path / "default", None, defaults={"analyzer": True})


def test_enough_equal_tokens_stop(executor: rt.Executor) -> None:
    tokens = Golden("tiny").tokens(REPEATS)
    result = executor.generate(asked(REPEATS, stop_after_equal=2))
    assert result.codes[:, 0].tolist() == tokens[:TWICE] and result.finish_reason == "stop"
    for fields in ({"stop_after_equal": 3}, {"stop_after_equal": 2, "min_frames": 25}):
        result = executor.generate(asked(REPEATS, **fields))
        assert result.codes[:, 0].tolist() == tokens and result.finish_reason == "length"


def test_only_speech_is_drawn_with_mask_invalid(executor: rt.Executor) -> None:
    """The model draws ids behind the end of speech, which no published one should."""
    free = executor.generate(asked(REPEATS)).codes[:, 0]
    masked = executor.generate(asked(REPEATS, mask_invalid=True)).codes[:, 0]
    first = int((free > 6562).argmax())
    assert free[first] > 6562 and (masked[:first] == free[:first]).all()
    assert (masked < 6561).all() and len(masked) == len(free)
