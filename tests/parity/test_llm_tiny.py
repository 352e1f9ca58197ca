"""Language models against `transformers`: equal greedy tokens, alone and in a crowd, and logits.

Miniatures: Llama in two shards with grouped queries, Llama with tied tables, a configuration of
transformers 5 and heads whose width is not dim / heads, Phi with parallel branches, biases and half
of each head rotated, and Llama packed by AutoAWQ, whose reference is computed from the floats that
the codes stand for. The goldens ignore end ids; none of them draws one. `transformers` rounds the
sines of its rotation to the model's dtype, and ours are float32.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import DEVICES, NATIVE
from tests.parity.block_checkpoint import engines_of
from ttsrt_rt.convert import open_weights
from ttsrt_rt.inspection import inspect_folder

DATA = Path(__file__).resolve().parents[1] / "data" / "llm"
CASES = ["tiny_llama", "tiny_llama_tied", "tiny_phi", "tiny_llama_awq"]
PROMPTS = 3
TOLERANCE = 2e-5  # of the largest magnitude

EngineOf = Callable[[str], Path]


def convert_case(case: str, folder: Path) -> Path:
    return rt.convert(DATA / case, folder, progress=False)


@pytest.fixture(scope="module")
def engine_of(tmp_path_factory: pytest.TempPathFactory) -> EngineOf:
    return engines_of(tmp_path_factory, convert_case, max_seq_len=128)


def prompts_of(case: str) -> list[tuple[list[int], list[int]]]:
    golden = np.load(DATA / case / "ref.npz")
    return [(golden[f"ids_{n}"].tolist(), golden[f"greedy_{n}"].tolist()) for n in range(PROMPTS)]


def request_of(ids: list[int], max_frames: int) -> rt.Request:
    return rt.Request(text_ids=ids, max_frames=max_frames, prior=None)


def test_a_checkpoint_is_described(tmp_path: Path) -> None:
    contents = inspect_folder(convert_case(CASES[0], tmp_path / "checkpoint"), verify=True)
    assert (contents.kind, contents.description["family"]) == ("checkpoint", "llm")
    assert {"embedding", "head"} <= {tensor.name for tensor in contents.tensors}
    assert contents.voice_files == ()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens(case: str, device: str, engine_of: EngineOf) -> None:
    with rt.Executor(engine_of(case), device=device) as executor:
        for ids, expected in prompts_of(case):
            result = executor.generate(request_of(ids, len(expected)))
            assert result.codes[:, 0].tolist() == expected
            assert result.finish_reason == "length"


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_greedy_tokens_in_a_crowd(case: str, device: str, engine_of: EngineOf) -> None:
    """Prompts of mixed lengths that start and end at different steps."""
    prompts = prompts_of(case)
    wanted = [(ids, expected[: 32 - 5 * i]) for i in range(4) for ids, expected in prompts]
    requests = [request_of(ids, len(expected)) for ids, expected in wanted]
    with rt.Executor(engine_of(case), device=device, max_batch_size=5) as executor:
        for (_, expected), result in zip(wanted, executor.generate(requests), strict=True):
            assert result.codes[:, 0].tolist() == expected


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES[:3])
def test_logits_of_each_step(case: str, device: str, engine_of: EngineOf) -> None:
    golden = np.load(DATA / case / "ref.npz")
    expected = golden["step_logits_0"]
    forced = golden["greedy_0"][:, None]
    with rt.Executor(engine_of(case), device=device, trace=True) as executor:
        result = executor.generate(text_ids=golden["ids_0"], forced_codes=forced, prior=None)
    logits = np.concatenate([each.values for each in result.trace if each.name == "logits"])
    assert np.abs(logits - expected).max() <= TOLERANCE * np.abs(expected).max()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_company_changes_no_probability(case: str, device: str, engine_of: EngineOf) -> None:
    """Probabilities of ids that are generated and that are scored, alone and in a crowd, to the
    bit."""
    prompts = [ids[: max(2, len(ids) - cut)] for ids, _ in prompts_of(case) for cut in (0, 2, 3)]
    tokens = rt.TokenOptions(ignore_eos=True, logprobs=3)
    sampling = {"temperature": 0.9, "seed": 4, "prior": None, "tokens": tokens}
    requests = [rt.Request(text_ids=ids, max_frames=9, **sampling) for ids in prompts]
    scored = [rt.Request(text_ids=ids, score=True, prior=None) for ids in prompts]
    with rt.Executor(engine_of(case), device=device, max_batch_size=5) as executor:
        together = executor.generate([*requests, *scored])
        for request, crowd in zip([*requests, *scored], together, strict=True):
            alone = executor.generate(request)
            assert np.array_equal(alone.codes, crowd.codes)
            for name in ("logprobs", "top_logprobs", "nll"):
                ours, theirs = getattr(alone, name), getattr(crowd, name)
                assert (ours is None) == (theirs is None)
                assert ours is None or np.array_equal(ours, theirs), name


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("case", CASES)
def test_hidden_states(case: str, device: str, engine_of: EngineOf) -> None:
    """What each block gives for the last id of a prompt, and the final norm of the last one's."""
    golden = np.load(DATA / case / "ref.npz")
    with rt.Executor(engine_of(case), device=device, trace=True) as executor:
        result = executor.generate(text_ids=golden["ids_0"], max_frames=1, prior=None)
    found = {each.name: each.values[0] for each in result.trace}
    blocks = golden["hidden_0"][1:]  # the first row is the embedding
    expected = {f"decoder.layers.{layer}": row for layer, row in enumerate(blocks)}
    for name, row in {**expected, "dec_hidden": golden["normed_0"]}.items():
        assert np.abs(found[name] - row).max() <= TOLERANCE * np.abs(row).max(), name


def test_awq_becomes_the_floats_that_its_codes_stand_for(tmp_path: Path) -> None:
    folder = convert_case("tiny_llama_awq", tmp_path / "checkpoint")
    with open_weights(folder / "model.safetensors") as weights:
        rows = weights["decoder.layers.0.self_qkv"].read()
    expected = np.load(DATA / "tiny_llama_awq" / "ref.npz")
    expected = expected["weight_model.layers.0.self_attn.q_proj"]
    assert np.array_equal(rows[: len(expected)], expected)


def test_bad_requests_are_refused(engine_of: EngineOf) -> None:
    with rt.Executor(engine_of("tiny_llama"), device=NATIVE) as executor:
        with pytest.raises(rt.ConfigError, match="text_ids"):
            executor.generate(request_of([320], 4))
        with pytest.raises(rt.ConfigError, match="cfg_scale"):
            executor.generate(rt.Request(text_ids=[1], cfg_scale=2.0, prior=None))
        with pytest.raises(rt.ConfigError, match="max_frames"):
            executor.generate(request_of([1] * 100, 30))
        with pytest.raises(rt.ConfigError, match="voice"):
            executor.generate(rt.Request(text_ids=[1], voice=0, prior=None))
