"""`ttsrt bench llm`, `memory` and `quality` on a miniature."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from bench.llm_peers.models import write_original
from bench.llm_peers.shape import LlmShape
from tests.needs_llm import jinja2, tokenizers
from ttsrt_rt.bench.llm_contestants import OurContestant, Task
from ttsrt_rt.bench.llm_prompts import builtin_prompts, prompts_of
from ttsrt_rt.cli import main
from ttsrt_rt.inspection import inspect_folder
from ttsrt_rt.llm import Generator
from ttsrt_rt.llm.memory_use import block_use, largest_batch, measure_memory
from ttsrt_rt.llm.prompts import PromptLine
from ttsrt_rt.memory import MemoryPlan, plan_memory
from ttsrt_rt.quality.sources import EngineSource

assert jinja2 is not None
assert tokenizers is not None

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"
LIMITS: dict[str, Any] = {"max_seq_len": 120, "max_input_len": 80, "max_batch_size": 4}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("tools")
    rt.convert(DATA / "tiny_llama", made / "ckpt", progress=False)
    for name, kind in (("float", "none"), ("int8", "w8a16"), ("int4", "w4a16")):
        rt.build(
            made / "ckpt",
            made / name,
            dtype="float32",
            quantization=kind,
            zero_points=kind == "w4a16",
            group_size=32 if kind == "w4a16" else None,
            wide_heads=True,
            progress=False,
            **LIMITS,
        )
    return made


def test_engines_side_by_side(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "llm", "--engine_dirs", str(folder / "float"), str(folder / "int8")]
    command += ["--iterations", "2", "--warmup", "1", "--output_len", "6"]
    command += ["--batch_sizes", "1", "3", "--output_dir", str(tmp_path)]
    assert main(command) == 0
    told = capsys.readouterr().out
    assert "Tokens/Second" in told and "tokens/s of all" in told
    found = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    assert [each["name"] for each in found["engines"]] == ["float", "int8"]
    requests = found["requests"]
    assert len(requests) == 2 * 2 * (1 + 3)
    assert all(each["error"] == "" and len(each["ids"]) == 6 for each in requests)
    assert found["options"]["ignore_eos"] is True
    # Both engines get the same prompts in the same iteration.
    for name in ("float", "int8"):
        own = [(r["iteration"], r["prompt"]) for r in requests if r["engine"] == name]
        assert own == [(r["iteration"], r["prompt"]) for r in requests if r["engine"] == "float"]
    sizes = {each.name: each.num_bytes for each in inspect_folder(folder / "int8").tensors}
    assert found["engines"][1]["step_bytes"] == sum(sizes.values()) - sizes["embedding"]
    figures = found["figures"][0]["figures"]
    assert figures["ttft_ms"]["n"] == 2 and figures["itl_ms"]["n"] == 2 * 5
    assert 0 < figures["ttft_ms"]["p50"] <= figures["latency_ms"]["p50"]
    with (tmp_path / "benchmark.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(requests)
    assert float(rows[0]["ttft_ms"]) > 0 and rows[0]["tokens"] == "6"
    page = (tmp_path / "benchmark.md").read_text("utf-8")
    assert "| Quantization | Tokens/Second | Memory (GB) | Quality (BLEU) | Speedup |" in page
    if (tmp_path / "benchmark.png").exists():
        assert (tmp_path / "benchmark.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("load", [["--concurrency", "2"], ["--request_rate", "200"]])
def test_requests_over_time(
    load: list[str], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "llm", "--engine_dirs", str(folder / "float"), "--iterations", "1"]
    command += ["--warmup", "0", "--requests", "5", "--prompts", "random:8:4", "--no_plots"]
    assert main([*command, *load, "--output_dir", str(tmp_path)]) == 0
    found = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    assert [len(each["ids"]) for each in found["requests"]] == [4] * 5
    assert {each["prompt_tokens"] for each in found["requests"]} == {8}
    if "--request_rate" in load:
        times = [each["submitted"] for each in found["requests"]]
        assert times == sorted(times) and times[-1] > times[0]


def test_ids_that_end_a_text_are_ordinary_ones(folder: Path, tmp_path: Path) -> None:
    """The model of this test ends at the second id that it likes best; a run goes on behind it."""
    with Generator(folder / "float", device="cpu") as generator:
        plain = generator.generate([5, 9, 11], max_tokens=6, temperature=0, ignore_eos=True).ids
    shutil.copytree(DATA / "tiny_llama", tmp_path / "hf")
    (tmp_path / "hf" / "generation_config.json").write_text(json.dumps({"eos_token_id": plain[1]}))
    rt.convert(tmp_path / "hf", tmp_path / "ckpt", progress=False)
    rt.build(tmp_path / "ckpt", tmp_path / "engine", dtype="float32", progress=False, **LIMITS)
    contestant = OurContestant(tmp_path / "engine", device="cpu")
    with closing(contestant):
        assert len(contestant.generator.generate([5, 9, 11], max_tokens=6).ids) == 2
        line = PromptLine(name="a", ids=[5, 9, 11])
        (found,) = contestant.run([Task(line, tokens=6, iteration=0, batch=1)])
    assert list(found.ids) == list(plain) and plain[1] in plain
    assert (found.finish_reason, found.error) == ("length", "")


MISTAKES = [
    (["--engine_dirs", "none"], "none"),
    ([], "expected engines, --engine_dirs or --config"),
    (["--engine_dirs", "{0}", "--baseline", "{0}"], "--baseline: expected hf:DIR or engine:DIR"),
    (["--engine_dirs", "{0}", "{0}"], "expected different names"),
    (["--engine_dirs", "{0}", "--prompts", "random:1"], "--prompts: expected random:IN:OUT"),
    (["--engine_dirs", "{0}", "--iterations", "0"], "--iterations: expected 1..10000, got 0"),
    (["--engine_dirs", "{0}", "--batch_sizes", "0"], "--batch_sizes: expected numbers"),
    (["--engine_dirs", "{0}", "--output_len", "500"], "max_seq_len, got 500"),
]


@pytest.mark.parametrize(("flags", "told"), MISTAKES, ids=[told[:30] for _, told in MISTAKES])
def test_mistakes_of_benchmarks(
    flags: list[str],
    told: str,
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [each.format(folder / "float") for each in flags]
    assert main(["bench", "llm", *given, "--output_dir", str(tmp_path)]) == 2
    assert told in capsys.readouterr().err


def test_a_report_that_no_flag_names_stays(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["bench", "llm", "--engine_dirs", str(folder / "float"), "--iterations", "1"]
    command += ["--warmup", "0", "--output_len", "2", "--no_plots"]
    assert main(command) == 0
    before = (tmp_path / "results" / "benchmark.json").read_bytes()
    assert main(command) == 2
    assert "--output_dir: results has a report already" in capsys.readouterr().err
    assert (tmp_path / "results" / "benchmark.json").read_bytes() == before
    assert main([*command, "--output_dir", "results"]) == 0


def test_engines_of_one_name_are_told_apart(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, of in (("a", "float"), ("b", "int8")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "engine").symlink_to(folder / of)
    names = [str(tmp_path / name / "engine") for name in ("a", "b")]
    command = ["bench", "llm", "--engine_dirs", *names, "--iterations", "1", "--warmup", "0"]
    command += ["--output_len", "2", "--no_plots", "--output_dir", str(tmp_path)]
    assert main(command) == 0
    found = json.loads((tmp_path / "benchmark.json").read_text("utf-8"))
    assert [each["name"] for each in found["engines"]] == names


def test_other_engines_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rt.convert(DATA.parent / "magpie" / "tinyhf.nemo", tmp_path / "ckpt", progress=False)
    rt.build(tmp_path / "ckpt", tmp_path / "speech", progress=False)
    engine = str(tmp_path / "speech")
    for command in (
        ["memory", engine],
        ["run", engine, "--prompt", "a"],
        ["bench", "llm", "--engine_dirs", engine, "--output_dir", str(tmp_path)],
        ["quality", "--engine_dirs", engine, "--reference", f"engine:{engine}"],
    ):
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "magpie" in error and "Traceback" not in error


def test_built_in_prompts() -> None:
    lines = builtin_prompts()
    kinds = [line.kind for line in lines]
    assert len(lines) == 24
    assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(
        ("chat", "code", "copy", "long"), 6
    )
    assert len({line.text for line in lines}) == 24
    random, tokens = prompts_of("random:5:7", 100, seed=3)
    assert tokens == 7
    assert all(len(line.ids or ()) == 5 and max(line.ids or ()) < 100 for line in random)
    assert random == prompts_of("random:5:7", 100, seed=3)[0]
    assert random != prompts_of("random:5:7", 100, seed=4)[0]


def plan_of(total: int) -> MemoryPlan:
    return MemoryPlan(1, 1, "int8", 0, 1, 1, total, 0, 0, 0, 0, 0, True, ())


@pytest.mark.parametrize("most", [0, 1, 2, 3, 7, 8, 9, 63, 64, 100])
def test_the_largest_batch_that_fits(most: int) -> None:
    asked = []

    def plan(batch: int) -> MemoryPlan:
        asked.append(batch)
        return plan_of(100 * batch)

    batch, found = largest_batch(plan, 100 * most + 50, most=64)
    assert batch == min(most, 64)
    assert (found is None) == (most == 0)
    assert len(asked) <= 14 and max(asked) <= 64


def test_blocks_waste_less_than_a_contiguous_cache() -> None:
    """Worked by hand: 20 and 33 positions take 2 and 3 blocks of 16, or twice 48 positions."""
    use = block_use([20, 33], 10)
    assert (use.used, use.in_blocks, use.contiguous) == (530, 800, 960)
    assert use.waste_in_blocks == pytest.approx(1 - 53 / 80)
    with pytest.raises(rt.ConfigError, match="expected positions from 1"):
        block_use([], 10)


def test_a_run_takes_what_was_planned(folder: Path, tmp_path: Path) -> None:
    """A random model of 84 MB with a cache of 34 MB, so that leaving out either would show."""
    write_original(LlmShape(4, 512, 1408, 8, 8, 8000, 1024), tmp_path / "hf")
    rt.convert(tmp_path / "hf", tmp_path / "ckpt", progress=False)
    limits: dict[str, Any] = {"max_batch_size": 4, "max_input_len": 480, "max_seq_len": 512}
    engine = tmp_path / "engine"
    rt.build(tmp_path / "ckpt", engine, dtype="float32", progress=False, **limits)
    found = measure_memory(engine, batch=4, length=512, num_threads=1)
    (plan,) = plan_memory(engine, batch_sizes=[4], device="cpu", num_threads=1)
    assert found.planned == plan.total
    assert plan.kv_cache == 4 * 512 * 2 * 4 * 512 * 4  # requests, positions, K and V, layers, row
    assert found.is_close
    assert abs(found.difference) < 12 << 20  # no part of the plan is as small
    rt.build(
        tmp_path / "ckpt",
        tmp_path / "int8",
        dtype="bfloat16",
        quantization="w8a16",
        progress=False,
        **limits,
    )
    small = measure_memory(
        tmp_path / "int8", batch=4, length=512, kv_cache_dtype="int8", num_threads=1
    )
    assert small.planned < found.planned / 2 and abs(small.difference) < 12 << 20
    assert not dataclasses.replace(found, measured=found.planned + (64 << 20)).is_close
    both = measure_memory(engine, batch=4, length=512, num_threads=1, draft_engine=engine)
    assert both.planned > found.planned + plan.kv_cache + plan.weights
    assert both.is_close
    with pytest.raises(rt.ConfigError, match="expected at most its own max_batch_size"):
        measure_memory(folder / "float", batch=5, length=100)


def test_the_memory_command(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["memory", str(folder / "float"), "--batch_sizes", "1", "4"]
    command += ["--sequence_lengths", "64", "200", "--device", "cpu"]
    assert main([*command, "--budget_gib", "0.001", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    expected = plan_memory(folder / "float", batch_sizes=[1, 4], seq_lens=[64, 200], device="cpu")
    assert [each["total"] for each in found["plans"]] == [each.total for each in expected]
    for each in found["largest_batches"]:
        assert each["bytes"] <= found["budget"]
        (beyond,) = plan_memory(
            folder / "float",
            batch_sizes=[each["requests"] + 1],
            seq_lens=[each["positions"]],
            device="cpu",
        )
        assert beyond.total > found["budget"]
    assert main([*command, "--length_mix", "20", "33"]) == 0
    told = capsys.readouterr().out
    assert [line.split()[-1] for line in told.splitlines()[2:6]] == ["yes", "yes", "no", "no"]
    assert "in blocks" in told and "requests of 64 positions" in told
    draft = ["--draft_engine", str(folder / "int4")]
    assert main([*command, *draft, "--json"]) == 0
    more = json.loads(capsys.readouterr().out)["plans"]
    for each, alone in zip(more, expected, strict=True):
        assert each["weights"] > alone.weights
        assert each["total"] > alone.total
    assert main(["memory"]) == 2
    assert "expected an engine, --engine_dir or --config" in capsys.readouterr().err
    assert main([*command, "--budget_gib", "-1"]) == 2
    assert "--budget_gib: expected a number above 0" in capsys.readouterr().err


def test_quality_of_an_engine_against_itself_and_less_bits(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("The river is wide and the road is long. " * 5, "utf-8")
    engines = [str(folder / name) for name in ("float", "int8", "int4")]
    command = ["quality", "--engine_dirs", *engines, "--reference", f"engine:{folder / 'float'}"]
    command += ["--num_prompts", "3", "--max_tokens", "8", "--text", str(text), "--device", "cpu"]
    main([*command, "--max_len", "64", "--json"])
    exact, eight, four = json.loads(capsys.readouterr().out)["engines"]
    assert exact["forced"]["kl_mean"] == 0.0 and exact["forced"]["top1"] == 1.0
    assert exact["prefix_mean"] == 1.0 and exact["perplexity_growth"] == 0.0
    assert 0 < eight["forced"]["kl_mean"] < four["forced"]["kl_mean"]
    assert 0 < eight["forced"]["logits"] < four["forced"]["logits"]
    assert eight["gate"] == 0.005 and four["gate"] is None
    with Generator(folder / "float", device="cpu") as generator:
        ids = generator.tokenizer.encode(text.read_text("utf-8"), add_special_tokens=False)
        bos = generator.tokenizer.encode("")
        scores = [generator.score([*bos, *ids[at : at + 63]]) for at in range(0, len(ids), 63)]
    assert exact["perplexity"] == pytest.approx(float(np.exp(np.concatenate(scores).mean())))


def test_random_prompts_are_of_the_whole_table(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[list[int]] = []
    original = EngineSource.greedy

    def greedy(self: EngineSource, prompts: Any, tokens: int) -> Any:
        seen.extend(prompts)
        return original(self, prompts, tokens)

    monkeypatch.setattr(EngineSource, "greedy", greedy)
    command = ["quality", "--engine_dirs", str(folder / "int8"), "--device", "cpu", "--json"]
    command += ["--reference", f"engine:{folder / 'float'}", "--prompts", "random:12:4"]
    main([*command, "--max_tokens", "4", "--num_prompts", "4"])
    assert json.loads(capsys.readouterr().out)["prompts"] == 4
    assert len({number for ids in seen for number in ids}) > 12


def test_layers_one_by_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The distances of single layers, and of all of them, which the engine of 4 bits has."""
    command = ["quality", "--engine_dirs", str(folder / "int4"), "--num_prompts", "2"]
    command += ["--reference", f"engine:{folder / 'float'}", "--max_tokens", "8"]
    command += ["--per_layer", str(folder / "ckpt"), "--group_size", "32", "--device", "cpu"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    layers = [each["kl_mean"] for each in found["layers"]]
    config = json.loads((DATA / "tiny_llama" / "config.json").read_text("utf-8"))
    assert len(layers) == config["num_hidden_layers"]
    assert layers == sorted(layers, reverse=True) and min(layers) > 0
    assert max(layers) < 2 * found["engines"][0]["forced"]["kl_mean"]
    assert not [each for each in folder.iterdir() if each.name.startswith(".ttsrt")]
