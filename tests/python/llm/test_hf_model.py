"""The baseline: the same models by transformers, with our tokenizer and our ends of texts."""

from __future__ import annotations

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.needs_hf import transformers
from ttsrt_rt.cli import main
from ttsrt_rt.llm.hf_model import HfGenerator
from ttsrt_rt.text.text_stream import TextStream

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore"),  # of transformers
]

assert transformers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
TOKENS = 16


@pytest.fixture(scope="module")
def model() -> HfGenerator:
    return HfGenerator(DATA / "tiny_llama", dtype="float32")


def test_greedy_ids_are_the_golden_ones(model: HfGenerator) -> None:
    golden = np.load(DATA / "tiny_llama" / "ref.npz")
    for n in range(3):
        expected = golden[f"greedy_{n}"].tolist()[:TOKENS]
        made = model.generate(
            golden[f"ids_{n}"].tolist(), max_tokens=TOKENS, min_tokens=TOKENS, temperature=0
        )
        assert list(made.ids) == expected
        stream = TextStream(model.tokenizer)
        assert made.text == stream.feed(expected) + stream.finish()
        assert 0 < made.metrics.first_frame_seconds <= made.metrics.total_seconds


def test_logits_are_the_golden_ones(model: HfGenerator) -> None:
    golden = np.load(DATA / "tiny_llama" / "ref.npz")
    ids, greedy = golden["ids_0"].tolist(), golden["greedy_0"].tolist()
    expected = golden["step_logits_0"]
    found = model.logits([*ids, *greedy[:-1]])[len(ids) - 1 :]
    assert np.abs(found - expected).max() < 2e-5 * np.abs(expected).max()


def test_a_stream_is_the_whole_and_stops(model: HfGenerator) -> None:
    whole = model.generate("The river", max_tokens=TOKENS, temperature=0)
    pieces = list(model.stream("The river", max_tokens=TOKENS, temperature=0))
    assert "".join(piece.text for piece in pieces) == whole.text
    assert [piece.is_last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    stop = whole.text[4:6]
    made = model.generate("The river", max_tokens=TOKENS, temperature=0, stop=stop)
    assert made.text == whole.text[: whole.text.index(stop)]
    assert (made.finish_reason, made.stop_reason) == ("stop", stop)
    drawn = [model.generate("The river", max_tokens=8, temperature=1.0, seed=3) for _ in range(2)]
    assert drawn[0].ids == drawn[1].ids


def test_a_padded_batch_tells_when_tokens_come(model: HfGenerator) -> None:
    golden = np.load(DATA / "tiny_llama" / "ref.npz")
    prompts = [golden[f"ids_{n}"].tolist() for n in range(3)]
    made = model.times(prompts, 8)
    assert [len(ids) for ids in made.ids] == [8, 8, 8]
    assert made.ids[0] == golden["greedy_0"].tolist()[:8]
    assert len(made.steps) == 8
    assert all(a < b for a, b in itertools.pairwise([made.submitted, *made.steps]))


def test_a_conversation(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = str(DATA / "tiny_llama")
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello\n"))
    run = ["run", "--backend", "hf", "--model_dir", model, "--chat", "--temperature", "0"]
    assert main([*run, "--max_tokens", "4"]) == 0
    with HfGenerator(model) as generator:
        messages = [{"role": "user", "content": "Hello"}]
        made = generator.chat(messages, max_tokens=4, temperature=0)
        assert made.prompt_ids == tuple(generator.chat_prompt(messages))
    assert len(made.ids) == 4
    assert capsys.readouterr().out == f"{made.text}\n"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rt.ConfigError, match=r"expected the folder of a model with config\.json"):
        HfGenerator(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "unheard"}', "utf-8")
    with pytest.raises(rt.ConfigError, match=r"expected a model of transformers, got"):
        HfGenerator(tmp_path)


def test_commands_with_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = str(DATA / "tiny_llama")
    run = ["run", "--backend", "hf", "--model_dir", model, "--prompt", "The river"]
    assert main([*run, "--max_tokens", "6", "--temperature", "0"]) == 0
    expected = HfGenerator(model).generate("The river", max_tokens=6, temperature=0).text
    assert capsys.readouterr().out == f"{expected}\n"
    rt.convert(model, tmp_path / "ckpt", progress=False)
    limits = {"max_seq_len": 120, "max_input_len": 80}
    rt.build(tmp_path / "ckpt", tmp_path / "e", dtype="float32", progress=False, **limits)
    bench = ["bench", "llm", "--engine_dirs", str(tmp_path / "e"), "--baseline", f"hf:{model}"]
    bench += ["--iterations", "1", "--warmup", "0", "--output_len", "4", "--batch_sizes", "1", "2"]
    assert main([*bench, "--output_dir", str(tmp_path), "--no_plots"]) == 0
    capsys.readouterr()
    found = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    assert found["engines"][0]["name"] == "transformers tiny_llama"
    assert found["figures"][1]["over_the_first"]["request_tokens_per_s"]["value"] > 0
    quality = ["quality", "--engine_dirs", str(tmp_path / "e"), "--reference", f"hf:{model}"]
    quality += ["--num_prompts", "6", "--max_tokens", "24", "--device", "cpu", "--json"]
    assert main(quality) == 0
    (ours,) = json.loads(capsys.readouterr().out)["engines"]
    assert ours["prefix_mean"] == 1.0 and ours["forced"]["logits"] < 2e-5
    assert ours["bleu"] is None or ours["bleu"] == pytest.approx(1.0, abs=1e-12)


def test_options_have_an_effect_or_are_refused(model: HfGenerator) -> None:
    prompt = [5, 6, 7, 8]
    whole = model.generate(prompt, max_tokens=TOKENS, temperature=0)
    first = whole.ids[0]
    for fields in ({"bad_ids": [first]}, {"logit_bias": {first: -100.0}}):
        made = model.generate(prompt, max_tokens=TOKENS, temperature=0, **fields)  # type: ignore[arg-type]
        assert first not in made.ids
    ended = model.generate(prompt, max_tokens=TOKENS, temperature=0, stop_ids=[first])
    assert ended.ids == (first,)
    later = model.generate(prompt, max_tokens=TOKENS, temperature=0, stop_ids=[first], min_tokens=3)
    assert len(later.ids) > 3 and first not in later.ids[:3]
    penalised = model.generate(prompt, max_tokens=TOKENS, temperature=0, repetition_penalty=20.0)
    assert len(set(penalised.ids)) == TOKENS
    with pytest.raises(rt.ConfigError, match="logprobs: expected none with the backend hf"):
        model.generate(prompt, logprobs=2)


def test_clean_text_is_that_of_transformers(model: HfGenerator) -> None:
    text = "it is , as he 's said : do n't ! why ? ' quoted ' we 've , they 're . i 'm"
    tokenizer = transformers.AutoTokenizer.from_pretrained(str(DATA / "tiny_phi"))
    ids = model.tokenizer.encode(text, add_special_tokens=False)
    plain = model.tokenizer.decode(ids)
    cleaned = tokenizer.clean_up_tokenization(plain)
    assert model.tokenizer.decode(ids, cleanup=True) == cleaned != plain
