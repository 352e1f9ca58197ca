"""The comparison of T3's shape with its peers, with a tiny model. No time is asserted."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from bench.peers import command as frame
from bench.peers.contest import IK_LLAMA, LLAMA, TORCH, Entry
from bench.peers.llama_cpp import GGUF_TYPES, IkLlamaCpp, LlamaCpp
from bench.peers.results import fastest
from bench.peers.weights import draw
from bench.t3_peers import __main__ as command
from bench.t3_peers.contest import TABLES
from bench.t3_peers.ours import Ours, build_engine, check_threads, prompt_of
from bench.t3_peers.results import make_tables
from bench.t3_peers.shape import OWN, SIZES, tensor_shapes
from bench.walls import turns
from bench.walls.limits import Bandwidth
from bench.walls.turns import Contestant, take_turns
from tests.bench.peer_programs import write_programs
from ttsrt_rt.bench.ops import Peaks

TINY = SIZES["tiny"]
TOLD = {"threads": 1, "prompt": 40, "steps": 400}
RUN = ["--size", "tiny", "--turns", "1", "--prompt", "40", "--steps", "400", "--rows", "64"]
HAS_TORCH = find_spec("torch") is not None and find_spec("transformers") is not None


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose limits need not be measured."""
    monkeypatch.setattr(turns, "measure_bandwidth", lambda again: Bandwidth(10.0, 10.0))
    peaks = Peaks("any", 1, 10.0, 40.0, 100.0, 90.0, 400.0)
    monkeypatch.setattr(frame, "measure_peaks", lambda **_: peaks)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with every file that the run without peers needs."""
    folder = tmp_path_factory.mktemp("models")
    assert command.main([*RUN, "--folder", str(folder), "--no_torch", "--only_files"]) == 0
    return folder


def test_the_true_size_is_that_of_the_original() -> None:
    counted = sum(
        math.prod(shape)
        for name, shape in tensor_shapes(SIZES["true"])
        if len(shape) == 2 and not name.startswith("model.embed") and name not in OWN
    )
    assert SIZES["true"].layer_weights + SIZES["true"].head_weights == counted == 511_707_136


def test_weights_depend_on_the_name_alone() -> None:
    words = draw("lm_head.weight", (64, 32))
    np.testing.assert_array_equal(words, draw("lm_head.weight", (64, 32)))
    assert (words != draw("model.embed_tokens.weight", (64, 32))).any()
    values = (words.astype(np.uint32) << 16).view(np.float32)
    assert 0.015 < values.std() < 0.025
    np.testing.assert_array_equal(draw("any", (3,)), [0x3F80] * 3)


def test_prompts_have_voices_of_their_own() -> None:
    first, second = prompt_of(TINY, 64, 1), prompt_of(TINY, 64, 2)
    assert len(first["context_embeddings"]) + len(first["text_ids"]) + 1 == 64
    assert (first["context_embeddings"] != second["context_embeddings"]).any()
    assert first["text_ids"].max() < TINY.text_vocab


def test_programs_are_read(tmp_path: Path) -> None:
    folder, model = write_programs(tmp_path / "bin"), tmp_path / "model.gguf"
    with pytest.raises(rt.ConfigError, match=r"model\.gguf: expected a file"):
        LlamaCpp(folder, model, **TOLD)
    model.write_bytes(b"GGUF")
    other = IkLlamaCpp(write_programs(tmp_path / "ik", is_ik=True), model, **TOLD)
    for peer in (LlamaCpp(folder, model, **TOLD), other):
        assert peer.step_ms() == pytest.approx(3.0)
        assert peer.crowd_ms(8) == pytest.approx(3.0)
        assert peer.prompt_ms(64) == pytest.approx(192.0)
        assert peer.prompt_ms(512) == pytest.approx(1536.0)


@pytest.mark.parametrize("kind", [LlamaCpp, IkLlamaCpp])
def test_programs_that_fail(tmp_path: Path, kind: type[LlamaCpp]) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    peer = kind(write_programs(tmp_path / "bin", fails="no such model"), model, **TOLD)
    with pytest.raises(rt.InternalError, match=r"exit status 1.*no such model"):
        peer.step_ms()
    for name in ("llama-bench", "llama-batched-bench"):
        (tmp_path / "bin" / name).write_text("#!/bin/sh\necho done\n")
    with pytest.raises(rt.InternalError, match=r"expected .*, got 'done"):
        peer.prompt_ms(64)
    with pytest.raises(rt.InternalError, match=r"expected (lines that begin|a list of JSON)"):
        peer.crowd_ms(8)


def test_no_turn_begins_that_would_end_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(turns.time, "monotonic", lambda: clock[0])

    def measure() -> float:
        clock[0] += 10.0
        return 1.0

    # 10 s to warm up and 10 s a turn: the third ends at 40 s.
    for seconds, expected in ((0.0, 1), (39.0, 2), (40.0, 3), (1000.0, 5)):
        clock[0] = 0.0
        one = Contestant("one", measure)
        assert take_turns([one], 5, lambda name: None, seconds) == expected
        assert len(one.samples) == expected


def test_a_run_without_peers(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    flags = ["--folder", str(models), "--no_torch", "--threads", "1", "--json", str(out)]
    assert command.main([*RUN, *flags]) == 0
    printed = capsys.readouterr().out
    assert f"Without {LLAMA}: --llama" in printed and f"Without {TORCH}: --no_torch" in printed
    (size,) = json.loads(out.read_text())["sizes"]
    tables = {table["table"]: table for table in size["tables"]}
    assert set(tables) == set(TABLES)
    for name, table in tables.items():
        assert len(table["cases"]) == 5, name
        for case in table["cases"]:
            assert all(math.isfinite(ms) and ms > 0 for ms in case["ms"]), (name, case["case"])


def test_a_run_beside_llama(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind in GGUF_TYPES.values():
        (models / f"t3-tiny.{kind}.gguf").touch()
    programs = write_programs(tmp_path / "bin")
    flags = ["--folder", str(models), "--no_torch", "--threads", "1", "--llama", str(programs)]
    assert command.main([*RUN, *flags, "one", "eight"]) == 0
    printed = capsys.readouterr().out
    assert f"Without {LLAMA}" not in printed
    assert (
        printed.count("llama.cpp q4_0 |") == 2
        and "| llama.cpp: " in printed
        and ">= 1.2x" in printed
    )
    programs = tmp_path / "absent"
    flags[-1] = str(programs)
    assert command.main([*RUN, *flags]) == 2
    assert "llama-bench: expected a file" in capsys.readouterr().out


@pytest.mark.skipif(not HAS_TORCH, reason="needs torch and transformers")
def test_a_run_beside_transformers(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--folder", str(models), "--threads", "1"]
    assert command.main([*RUN, *flags, "one", "prefill"]) == 0
    printed = capsys.readouterr().out
    assert f"{TORCH} bfloat16 |" in printed and f"equal to those of {TORCH}" in printed


def test_tokens_that_depend_on_threads_are_refused(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = models / "t3-tiny.w8a8.engine"
    tokens = check_threads(engine, TINY, 2, 40, 16)
    assert len(tokens) == 16 and TINY.eos not in tokens
    made: list[int] = []

    def differ(self: Ours, steps: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        made.append(steps)
        return np.full(steps, len(made), np.int32)

    monkeypatch.setattr(Ours, "tokens", differ)
    with pytest.raises(rt.InternalError, match="tokens differ between 1 and 2 threads"):
        check_threads(engine, TINY, 2, 40, 16)


def test_a_crowd_that_never_meets_is_an_error(models: Path, tmp_path: Path) -> None:
    engine = tmp_path / "engine"
    build_engine(models / "t3-tiny.checkpoint", engine, "bfloat16")
    ours = Ours(engine, TINY, threads=1, prompt=40, steps=1)
    with ours, pytest.raises(rt.InternalError, match="never decoded together"):
        ours.crowd_ms(8)


def entry(table: str, program: str, kind: str, rows: int, samples: list[float]) -> Entry:
    around = [Bandwidth(10.0, 10.0)] * len(samples)
    contestant = Contestant(kind, lambda: 0.0, samples=samples, around=around)
    return Entry(table, program, kind, rows, 1e8, contestant)


ENTRIES = [
    entry("one", "ttsrt_rt", "w8a16", 1, [20.0, 25.0]),
    entry("one", "ttsrt_rt", "w8a8", 1, [20.0, 16.0]),
    entry("guided", "ttsrt_rt", "w8a16", 1, [21.0, 26.0]),
    entry("guided", "ttsrt_rt", "w8a8", 1, [30.0, 24.0]),
    entry("prefill", "ttsrt_rt", "bfloat16", 128, [100.0, 100.0]),
    entry("prefill", "ttsrt_rt", "bfloat16", 512, [800.0, 800.0]),
    entry("one", LLAMA, "q8_0", 1, [30.0, 24.0]),
    entry("prefill", LLAMA, "bf16", 128, [150.0, 110.0]),
    entry("prefill", LLAMA, "bf16", 512, [400.0, 400.0]),
    entry("prefill", TORCH, "bfloat16", 512, [200.0, 200.0]),
    entry("one", IK_LLAMA, "q8_0", 1, [10.0, 28.0]),
    entry("one", "ttsrt_rt", "bfloat16", 1, [10.0, 10.0]),
    entry("guided", "ttsrt_rt", "bfloat16", 1, [10.0, 10.0]),
    entry("one", TORCH, "bfloat16", 1, [40.0, 40.0]),
]


def test_the_faster_precision_of_a_class_competes() -> None:
    best = fastest(ENTRIES)
    assert best["one", "int8", 1].kind == "w8a8"
    assert best["prefill", "bfloat16", 512].rows == 512
    one, guided, prefill = make_tables(ENTRIES, 2)
    figures = {case.name: case.figures for case in one.cases}
    assert figures["ttsrt_rt w8a8"][f"over {LLAMA}"] == pytest.approx([1.5, 1.5])
    assert figures["ttsrt_rt w8a8"]["share"] == pytest.approx([0.5, 0.625])
    assert figures["ttsrt_rt w8a8"][f"over {IK_LLAMA}"] == pytest.approx([0.5, 1.75])
    assert figures["ttsrt_rt w8a8"]["better"] == IK_LLAMA  # 19 ms against 27
    assert "target" not in figures["ttsrt_rt w8a16"]
    assert "ik_llama.cpp: 1.12, >= 1.2x: missed by 6 %" in one.markdown()
    assert [case.cells[-1] for case in guided.cases] == [
        "<= 1.1x: met",
        "<= 1.1x: missed by 36 %",
        "<= 1.1x: met",
    ]
    assert guided.cases[-1].figures["unguided_ms"] == [10.0, 10.0]
    assert prefill.columns[-3:] == (f"over {LLAMA}", f"over {TORCH}", "better peer, target")
    short, long = (case for case in prefill.cases if case.name.startswith("ttsrt_rt"))
    assert short.cells[-1] == "llama.cpp: 1.30, >= 1x: met" and short.cells[-2] == ""
    assert long.cells[-1] == "transformers: 0.25, >= 1x: missed by 75 %"
    assert long.cells[-2] == "0.25 (0.25 to 0.25) of bfloat16"


@pytest.mark.skipif(find_spec("gguf") is None, reason="needs gguf")
def test_a_gguf_file_has_the_weights(tmp_path: Path) -> None:
    import gguf

    from bench.peers.gguf_model import write_llama

    listed = [each for each in tensor_shapes(TINY) if each[0] not in OWN]
    for kind in GGUF_TYPES.values():
        write_llama(TINY, listed, tmp_path / f"{kind}.gguf", kind)
    tensors = {t.name: t for t in gguf.GGUFReader(tmp_path / "bf16.gguf").tensors}
    assert len(tensors) == 3 + 9 * TINY.layers
    dim = TINY.dim
    words = draw("model.layers.1.self_attn.q_proj.weight", (dim, dim))
    found = tensors["blk.1.attn_q.weight"].data.view(np.uint16).reshape(dim, dim)
    half = TINY.head_dim // 2
    np.testing.assert_array_equal(found[:4], words[[0, half, 1, 1 + half]])
    up = tensors["blk.0.ffn_up.weight"].data.view(np.uint16).reshape(TINY.ffn_dim, dim)
    expected = draw("model.layers.0.mlp.up_proj.weight", (TINY.ffn_dim, dim))
    np.testing.assert_array_equal(up, expected)


@pytest.mark.parametrize(
    "flags", [["other"], ["--turns", "0"], ["--prompt", "39"], ["--rows", "513"]]
)
def test_wrong_flags(flags: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        command.main(flags)
    assert stopped.value.code == 2
