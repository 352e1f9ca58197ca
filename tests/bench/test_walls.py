"""Arithmetic of the walls: bytes of a step, the limit t, verdicts, tables. No time is asserted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

import ttsrt_rt as rt
from bench.walls import __main__ as command
from bench.walls import crowds, limits, phases, plot, products, steps, turns
from bench.walls.limits import Bandwidth, StepBytes
from bench.walls.tables import Case, Table, Target, spread
from ttsrt_rt.bench import step_turns
from ttsrt_rt.bench.ops import Peaks
from ttsrt_rt.bench.requests import RequestShape
from ttsrt_rt.convert.checkpoint import open_checkpoint

SHAPE = RequestShape(text_len=8, context_len=6, frames=4)
PEAKS = Peaks("any", 2, 10.0, 40.0, 100.0, 90.0, 400.0)


def test_the_limit_adds_both_levels() -> None:
    step = StepBytes(once=3_000_000, again=1_000_000, passes=16)
    assert Bandwidth(10.0, 40.0).limit_ms(step) == pytest.approx(0.3 + 0.4)
    assert Bandwidth(10.0, 40.0).limit_ms(StepBytes(5_000_000, 0, 0)) == pytest.approx(0.5)


def test_sizes_of_caches() -> None:
    assert [limits.parse_cache_size(text) for text in ("48K\n", "32M", "1G", "512")] == [
        48 << 10,
        32 << 20,
        1 << 30,
        512,
    ]
    assert limits.shared_cache_bytes() > 0


def test_bandwidth_of_what_no_cache_holds_is_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "shared_cache_bytes", lambda: 1000)
    monkeypatch.setattr(limits, "read_bandwidth", lambda size=0, seconds=0: 40.0 if size else 10.0)
    assert limits.measure_bandwidth(1000) == Bandwidth(10.0, 40.0)
    assert limits.measure_bandwidth(1001) == Bandwidth(10.0, 10.0)
    assert limits.measure_bandwidth() == Bandwidth(10.0, 10.0)


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf"])
def test_bytes_of_a_step(
    checkpoint_of: Callable[[str], Path], engine_of: Callable[[str], Path], case: str
) -> None:
    model = open_checkpoint(checkpoint_of(case)).model
    engine = engine_of(case)

    def bytes_at(rows: int, steps: int, text_len: int) -> StepBytes:
        return limits.step_bytes(engine, context_rows=rows, steps=steps, text_len=text_len)

    found = bytes_at(7, 10, 0)
    decoder, local = model.decoder, model.local_transformer
    position = 2 * decoder.layers * 2 * decoder.dim * 4  # two branches; keys and values, float32
    assert bytes_at(8, 10, 0).once - found.once == position
    assert bytes_at(7, 12, 0).once - found.once == position
    inner = decoder.cross_heads * decoder.cross_head_dim
    text = len(decoder.text_layers) * 2 * inner * 4
    assert bytes_at(7, 10, 3).once - found.once == 3 * text
    weights = found.once - position * (7 + 1 + 5) + found.again
    norm = decoder.dim if decoder.norm_out else 0
    counted = step_turns.step_weights(checkpoint_of(case))
    assert 4 * counted <= weights <= 4 * (counted + norm) * 1.2  # rows are padded to panels
    assert found.passes == (model.tables if local is not None else 0)
    assert (found.again > 0) == (local is not None)


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf"])
def test_context_rows_are_what_a_request_holds(
    checkpoint_of: Callable[[str], Path], tiny: Callable[[str], Path], tmp_path: Path, case: str
) -> None:
    checkpoint = checkpoint_of(case)
    rt.build(checkpoint, tmp_path / "engine", max_batch_size=1)
    fields = step_turns.request_fields(checkpoint)
    found = steps.context_rows(tmp_path / "engine", fields)
    weights = open_checkpoint(checkpoint).weights
    stored = weights["voices"].shape[1] if "voices" in weights else 6
    assert found == stored


def test_products_are_those_of_the_model(engine_of: Callable[[str], Path]) -> None:
    engine = engine_of("tiny2503")
    info = json.loads((engine / "engine.json").read_text())["model"]
    dim, ffn, layers = info["dim"], info["decoder"]["ffn_dim"], info["decoder"]["layers"]
    found = limits.decoder_products(engine)
    heads = info["codebooks"] * info["frame_stacking"] * info["codebook_vocab"]
    assert found[heads, dim] == 1
    assert sum(found.values()) == 6 * layers + 1
    assert found[ffn, dim] >= layers
    encoder = info["text_encoder"]
    text, context = limits.text_products(engine), limits.context_products(engine)
    assert sum(text.values()) == 4 * encoder["layers"] + layers  # keys and values of the text
    assert text[encoder["ffn_dim"], encoder["dim"] * encoder["kernel"]] >= encoder["layers"]
    assert sum(context.values()) == 6 * layers


def test_verdicts() -> None:
    most, least = Target(1.5, is_most=True), Target(0.8, is_most=False)
    assert most.verdict(1.5) == "<= 1.5: met"
    assert most.verdict(1.8) == "<= 1.5: missed by 20 %"
    assert most.verdict(3.75) == "<= 1.5: missed, 2.5 times that"
    assert most.verdict(1.501) == "<= 1.5: missed by 1 %"  # never by 0 %
    assert least.verdict(0.8, 100, " %") == ">= 80 %: met"
    assert least.verdict(0.4, 100, " %") == ">= 80 %: missed by 50 %"


def test_tables_are_markdown_and_json() -> None:
    case = Case("one", ("1", "2"), {"ratio": 3.0})
    table = Table("key", "title", ("", "a", "b"), [case], ["a note"])
    assert table.markdown().splitlines() == [
        *("**title**", "", "|  | a | b |", "| --- | ---: | ---: |", "| one | 1 | 2 |"),
        *("", "a note"),
    ]
    assert table.json()["cases"] == [{"case": "one", "ratio": 3.0}]
    assert spread([3.0, 1.0, 2.0]) == "2.0 (1.0 to 3.0)"
    assert spread([0.5], 0, 100) == "50 (50 to 50)"


def test_turns_interleave_and_calibrate(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def bandwidth(again: int) -> Bandwidth:
        order.append(f"{again}")
        return Bandwidth(float(len(order)), 1.0)

    def measure_of(name: str) -> Callable[[], float]:
        return lambda: order.append(name) or float(len(order))  # type: ignore[func-returns-value]

    monkeypatch.setattr(turns, "measure_bandwidth", bandwidth)
    both = [turns.Contestant(name, measure_of(name), again) for name, again in (("a", 1), ("b", 2))]
    both.append(turns.Contestant("c", measure_of("c"), 3, warms_up=False))
    told: list[str] = []
    turns.take_turns(both, 2, told.append)
    assert "".join(order) == "ab" + "1a12b23c3" * 2  # the first of each warms up
    assert told == ["a", "b", "c"] * 3
    assert both[0].samples == [4.0, 13.0] and both[0].median == 8.5
    assert both[0].around == [Bandwidth(4.0, 1.0), Bandwidth(13.0, 1.0)]
    assert turns.memory_note(both) == "Memory around the samples: 11.5 GB/s (4.0 to 19.0)."


def ours_of(kind: str, samples: list[float]) -> steps.Ours:
    contestant = turns.Contestant(f"ttsrt_rt {kind}", lambda: 0.0, 0)
    contestant.samples = samples
    contestant.around = [Bandwidth(10.0, 10.0)] * len(samples)
    return steps.Ours(kind, StepBytes(10_000_000, 0, 0), contestant)  # t is 1 ms


def test_the_faster_int8_is_judged() -> None:
    ours = [ours_of("float32", [1.4, 1.5]), ours_of("w8a16", [3.0]), ours_of("w8a8", [2.5])]
    cases = steps.our_cases(ours, {"float32": 1.45, "int8": 2.0})
    assert [case.figures["ratio"] for case in cases] == pytest.approx([1.45, 3.0, 2.5])
    verdicts = [case.cells[-1] for case in cases]
    assert verdicts == ["float32 <= 1.45: met", "", "int8 <= 2: missed by 25 %"]
    assert "target" not in cases[1].figures and cases[2].figures["target"] == 2.0


def test_the_peer_is_compared_turn_by_turn() -> None:
    ours = [ours_of("w8a16", [3.0, 3.0]), ours_of("w8a8", [2.0, 4.0 / 3])]
    peer = turns.Contestant("magpie-tts.cpp q8_0", lambda: 0.0)
    peer.samples = [10.0, 12.0]
    (case,) = steps.peer_cases({"q8_0": peer}, ours)
    assert case.figures["times_rival"] == pytest.approx([5.0, 9.0])
    assert case.cells[-1] == "7.0 (5.0 to 9.0)x of w8a8 >= 8x: missed by 12 %"


def test_shares_weigh_shapes_by_their_bytes() -> None:
    shares = products.Shares("float32", 1)
    shapes = {(8, 4): 1.0, (2, 2): 1.0}
    shares.add(Counter({(8, 4): 3_000_000_000, (2, 2): 1_000_000_000}), shapes, 4.0)
    assert shares.rates == [2.0] and shares.shares == [0.5]
    assert shares.by_shape == {(8, 4): [0.75], (2, 2): [0.25]}
    fast = products.Shares("w8a8", 1, [0.9], [9.0], [10.0], {(2, 2): [0.9]})
    slow = products.Shares("w8a16", 1, [0.8], [8.0], [10.0], {(2, 2): [0.8]})
    cases = products.judged([shares, slow, fast], {1: {"float32": 0.88, "int8": 0.88}})
    assert [case.cells[-1] for case in cases] == [
        "float32 >= 88 %: missed by 43 %",
        "",
        "int8 >= 88 %: met",
    ]
    assert cases[0].cells[-2] == "25 (2 x 2)"


def test_peaks_of_precisions() -> None:
    found = {kind: products.peak_of(kind, PEAKS) for kind in steps.CLASSES}
    assert found == {
        "float32": 100.0,
        "bfloat16": 100.0,
        "w8a16": 100.0,
        "w4a16": 100.0,
        "w8a8": 400.0,
        "w4a8": 400.0,
    }


def iteration(ms: float, decoding: int, rows: int, frames: int) -> SimpleNamespace:
    carried = SimpleNamespace(num_gen_requests=decoding, num_ctx_tokens=rows)
    return SimpleNamespace(iter_latency_ms=ms, num_frames=frames, inflight_batching_stats=carried)


def test_kinds_of_iterations_are_distinguished() -> None:
    found = [iteration(50, 0, 9, 0), iteration(30, 1, 9, 1), iteration(10, 2, 0, 4)]
    found += [iteration(10, 2, 0, 2), iteration(100, 1, 0, 1)]
    rate, others = crowds.split_iterations(found, 2)  # type: ignore[arg-type]
    assert rate == pytest.approx(300.0) and others == pytest.approx(0.4)
    assert crowds.split_iterations([], 2) == (0.0, 0.0)


def test_crowds_are_over_one() -> None:
    def times(kind: str, count: int, rate: float) -> crowds.CrowdTimes:
        return crowds.CrowdTimes(kind, count, [rate, 2 * rate], [rate, rate], [0.5, 0.5])

    everyone = [times("bfloat16", 1, 1.0), times("bfloat16", 8, 5.0), times("bfloat16", 32, 6.0)]
    everyone += [times("w8a16", 1, 2.0), times("w8a16", 8, 6.0)]
    cases = crowds.crowd_cases(everyone)
    assert [case.figures["ratio"] for case in cases] == [1.0, 5.0, 6.0, 1.0, 3.0]
    assert [case.cells[-1] for case in cases] == [
        *("", "bfloat16 >= 4: met", "", ""),
        "int8 >= 3.2: missed by 6 %",
    ]


def stage(name: str, runs: int, seconds: float, busy: float, program: str) -> SimpleNamespace:
    return SimpleNamespace(
        program=program, stage=name, runs=runs, seconds=seconds, busy_seconds=busy
    )


def test_time_outside_kernels() -> None:
    outside = phases.Outside("v2607 float32")
    before = [stage("linear", 3, 1.0, 0.5, "decode"), stage("linear", 1, 9.0, 9.0, "prefill")]
    after = [stage("linear", 9, 1.6, 1.06, "decode"), stage("norm", 2, 0.4, 0.4, "decode")]
    after.append(stage("linear", 9, 99.0, 99.0, "prefill"))
    outside.add(10.0, before, after, 100)  # type: ignore[arg-type]
    assert outside.kernels == pytest.approx([9.6]) and outside.waits == pytest.approx([0.4])
    assert outside.outside == pytest.approx([0.04])
    assert outside.stages == pytest.approx({"linear": 6.0, "norm": 4.0})
    case = outside.case()
    assert case.cells[4] == "<= 3 %: missed by 33 %"
    assert case.cells[5] == "linear 6.00, norm 4.00"


def test_work_of_a_phase(engine_of: Callable[[str], Path]) -> None:
    engine = engine_of("tiny2503")
    model = json.loads((engine / "engine.json").read_text())["model"]
    encoder, decoder = model["text_encoder"], model["decoder"]
    inner = decoder["cross_heads"] * decoder["cross_head_dim"]
    dim, ffn = decoder["dim"], decoder["ffn_dim"]
    found = phases.phase_work(engine, text_len=5, context_rows=4, prefill_rows=8)
    text = 4 * encoder["dim"] ** 2 + 2 * encoder["dim"] * encoder["ffn_dim"] * encoder["kernel"]
    row = 4 * dim**2 + 2 * dim * ffn * decoder["kernel"] + 2 * dim * inner
    memory = decoder["layers"] * 2 * inner * encoder["dim"]
    expected = 5 * (encoder["layers"] * text + memory) + 8 * decoder["layers"] * row
    assert found.products == 2 * expected
    own = encoder["layers"] * encoder["dim"] * 15 + 2 * decoder["layers"] * dim * 10
    assert found.attention == 4 * (own + len(decoder["text_layers"]) * inner * 5 * 4)
    work = phases.PhaseWork(products=400, attention=200)
    assert work.seconds("w8a8", PEAKS) == pytest.approx(1e-9 * (1.0 + 2.0))
    phase = phases.Phase("w8a8", seconds=[2.0, 4.0], ideal=[1.0, 1.0], rows=[13, 13])
    assert phase.case().cells[-1] == ">= 60 %: missed by 38 %"


@pytest.fixture
def tiny(
    checkpoint_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Path]:
    """Tiny checkpoints instead of full-size ones, and the shortest measurements."""
    monkeypatch.setattr(step_turns, "_FRAMES", 4)
    monkeypatch.setattr(step_turns, "_TEXT_LEN", 12)
    monkeypatch.setattr(step_turns, "_CONTEXT_COLUMNS", 6)
    monkeypatch.setattr(crowds, "_SHAPE", SHAPE)
    monkeypatch.setattr(crowds, "_COUNTS", (1, 8))
    monkeypatch.setattr(products, "_SECONDS", 1e-4)
    for module in (limits, products, crowds):
        monkeypatch.setattr(module, "read_bandwidth", lambda *a, **k: 10.0)
    monkeypatch.setattr(phases, "phase_shape", lambda facts: SHAPE)
    for module in (products, command, phases):
        monkeypatch.setattr(module, "measure_peaks", lambda seconds: PEAKS)
    cases = {"v2607": "tinyhf", "2503": "tiny2503"}
    for module in (steps, crowds, products, phases):
        monkeypatch.setattr(
            module, "make_checkpoint", lambda size, folder: checkpoint_of(cases[size])
        )
    return checkpoint_of


def test_the_command(
    tiny: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "walls.json"
    names = ["step-v2607", "step-2503", "crowd", "phase", "outside"]
    arguments = [*names, "--turns", "1", "--folder", str(tmp_path)]
    assert command.main([*arguments, "--json", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "| ttsrt_rt w4a8 |" in printed and "**2503: guided requests at once" in printed
    found = json.loads(output.read_text())
    assert [table["table"] for table in found["tables"]] == names
    assert len(found["tables"][-1]["cases"]) == 12
    assert found["tables"][0]["cases"][0]["passes"] == 16 or found["tables"][0]["cases"][0]["again"]
    with pytest.raises(SystemExit):
        command.main(["all"])
    with pytest.raises(SystemExit):
        command.main(["--turns", "0"])
    assert command.main(["crowd", "--plot", str(tmp_path / "walls.gif")]) == 2
    assert command.main([*arguments, "--peer", str(tmp_path / "absent")]) == 2
    assert "absent: expected a file" in capsys.readouterr().out


def test_products_of_a_tiny_model(tiny: Callable[[str], Path], tmp_path: Path) -> None:
    told: list[str] = []
    few = products.few_rows_table(tmp_path, 1, told.append)
    assert [case.name for case in few.cases] == [kind for kind in steps.CLASSES for _ in (1, 2)]
    assert len(told) == 12
    for table in products.many_rows_tables(tmp_path, 1, told.append):
        assert [case.name for case in table.cases] == list(steps.CLASSES)
        assert all(case.figures["share"] > 0 for case in table.cases)


def test_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    cases = steps.our_cases([ours_of("float32", [1.4, 1.5])], {"float32": 1.45})
    shares = products.Shares("w8a8", 1, [0.9], [9.0], [10.0], {(2, 2): [0.9]})
    tables = [
        Table("step", "steps", (), cases),
        Table("products", "products", (), products.judged([shares], {1: {"int8": 0.88}})),
        Table("crowd", "no bars", (), [Case("one", ())]),
    ]
    plot.write_walls(tmp_path / "walls.png", [table.json() for table in tables])
    assert (tmp_path / "walls.png").stat().st_size > 1000
    with pytest.raises(rt.ConfigError, match="ends in"):
        plot.write_walls(tmp_path / "walls.gif", [])


def test_the_script() -> None:
    script = Path(__file__).parents[2] / "scripts" / "walls"
    environment = {**os.environ, "PYTHON": sys.executable}
    done = subprocess.run(
        [script, "--help"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and "--peer" in done.stdout, done.stderr
