"""The comparison of instruction set levels, on tiny products and engines. No time is asserted."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.cpu_levels import __main__ as command
from bench.cpu_levels import levels, products, requests, stages, steps
from bench.walls.tables import Table
from ttsrt_rt.bench import step_turns
from ttsrt_rt.bench.ops import Peaks
from ttsrt_rt.bench.requests import RequestShape
from ttsrt_rt.errors import ConfigError


def test_a_level_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(levels.VARIABLE, "generic")
    with levels.at_level("avx2"):
        assert os.environ[levels.VARIABLE] == "avx2"
    with levels.at_level("default"):
        assert levels.VARIABLE not in os.environ
    assert os.environ[levels.VARIABLE] == "generic"
    monkeypatch.delenv(levels.VARIABLE)
    with levels.at_level("avx2"):
        pass
    assert levels.VARIABLE not in os.environ


def test_levels_that_are_absent_are_left_out() -> None:
    assert levels.check_levels(["generic", "sse9", "default"]) == ["generic", "default"]
    with pytest.raises(ConfigError, match="sse9"):
        levels.check_levels(["sse9"])


def test_a_line_of_products() -> None:
    sweep = products.Sweep("w8a8", 2, 16, bytes=4000, operations=64000)
    sweep.micros = {"avx2": [4.0, 5.0, 3.0], "avx512_amx": [1.0]}
    case = sweep.case(read=8.0)
    assert case.cells == ("2", "16", "4.0", "16", "12", "1.0", "64", "50", "4.00")
    assert case.figures["avx2"] == {
        "us": [4.0, 5.0, 3.0],
        "gop_per_s": 16.0,
        "read_share": pytest.approx(0.125),
    }


def test_levels_that_differ() -> None:
    three = ["avx512_vnni", "avx512_bf16", "avx512_amx"]
    assert products.levels_of("bfloat16", three) == ["avx512_bf16", "avx512_amx"]
    assert products.levels_of("w8a16", three) == ["avx512_vnni", "avx512_amx"]
    assert products.levels_of("w8a16", three[1:]) == three[1:]


def test_kinds_of_stages() -> None:
    assert stages.kind_of("pack rows of linear 3072 x 768 bfloat16") == "packing of inputs"
    assert stages.kind_of("linear 3072 x 768 w8a8 by tiles") == "products"
    assert stages.kind_of("local: linear 256 x 256 w8a8") == "products"
    assert stages.kind_of("self-attention by tiles") == "attention"
    assert stages.kind_of("store keys and values") == "attention"
    assert stages.kind_of("unfold") == "convolution"
    assert stages.kind_of("layer norm") == "other"


def test_a_profile() -> None:
    product, packing = "linear 64 x 32 bfloat16", "pack rows of linear 64 x 32 bfloat16"
    before = {("prefill", product): stages.Spent(4, 1.0, 0.5)}
    profile = stages.Profile("bfloat16", "avx2", 1)
    for slower in (0.0, 1e-3, 5e-3):
        after = {
            ("prefill", product): stages.Spent(6, 1.0 + 2e-3 + slower, 0.5 + 1.5e-3),
            ("prefill", packing): stages.Spent(2, 1e-3, 1e-3),
            ("prefill", "embed"): stages.Spent(1, 1e-3, 1e-3),
            ("decode", "embed"): stages.Spent(0),
        }
        profile.add(before, after, {"prefill": 10, "decode": 4})
    cases = {case.figures["stage"]: case for case in profile.cases((1.0, 9.0), read=1.0)}
    assert list(cases) == [
        "all",
        "products",
        "packing of inputs",
        "other",
        product,
        packing,
        "embed",
    ]
    assert cases["all"].figures["ms"] == pytest.approx([4.0, 5.0, 9.0])
    found = cases[product].figures  # the median turn: two runs of 10 rows in 3 ms
    assert found["gop_per_s"] == pytest.approx(2 * 2 * 64 * 32 * 10 / 3e-3 / 1e9)
    assert found["share_of_peak"] == pytest.approx(found["gop_per_s"])
    assert found["share_of_reading"] == pytest.approx(2 * 64 * 32 * 2 / 3e-3 / 1e9)
    assert found["waiting_ms"] == pytest.approx(1.5)
    assert found["share_of_program"] == pytest.approx(0.6)
    assert cases["embed"].cells[-3:] == ("", "", "")


@pytest.fixture
def tiny(checkpoint_of: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Tiny shapes and engines, and the shortest measurements."""
    monkeypatch.setattr(products, "_SHAPE", (16, 64))
    monkeypatch.setattr(products, "_SECONDS", 1e-5)
    monkeypatch.setattr(products, "read_bandwidth", lambda **k: 10.0)
    monkeypatch.setattr(
        products, "measure_peaks", lambda **k: Peaks("any", 2, 10.0, 40.0, 100.0, 90.0, 400.0)
    )
    shape = RequestShape(text_len=8, context_len=6, frames=4, cfg_scale=2.5)
    monkeypatch.setattr(requests, "_SHAPE", shape)
    monkeypatch.setattr(requests, "_FRAMES", 4)
    monkeypatch.setattr(requests, "_PHASE_ROWS", 24)
    monkeypatch.setattr(requests, "make_checkpoint", lambda *a: checkpoint_of("tiny2503"))
    monkeypatch.setattr(steps, "make_checkpoint", lambda *a: checkpoint_of("tinyhf"))
    monkeypatch.setattr(stages, "_SHAPE", shape)
    monkeypatch.setattr(stages, "COUNTS", (1, 3))
    monkeypatch.setattr(stages, "read_bandwidth", lambda **k: 10.0)
    monkeypatch.setattr(step_turns, "_FRAMES", 8)
    monkeypatch.setattr(step_turns, "_TEXT_LEN", 12)
    monkeypatch.setattr(step_turns, "_CONTEXT_COLUMNS", 6)


def test_the_command(tiny: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    output = tmp_path / "levels.json"
    arguments = ["--levels", "generic", "default", "--threads", "2", "--turns", "1"]
    arguments += ["--rows", "1", "17", "--kinds", "bfloat16", "w8a16", "--requests", "1", "3"]
    arguments += ["--folder", str(tmp_path), "--engines", "w8a8"]
    assert command.main([*arguments, "--prepare"]) == 0
    assert command.main([*arguments, "--json", str(output)]) == 0
    assert "**products of 16 x 64 from memory" in capsys.readouterr().out
    tables = {table["table"]: table for table in json.loads(output.read_text())["tables"]}
    names = ["peaks", "barriers", "crowds-2", "reading-2", "narrow-2", "phase-2", "stages-2"]
    assert list(tables) == [*names, "products"]
    assert [case["threads"] for case in tables["barriers"]["cases"]] == [1, 2]
    reading = [(case["level"], case["target"]) for case in tables["reading-2"]["cases"]]
    assert reading == [("generic", 0.85), ("default", 0.85)]
    narrow = {case["case"]: case for case in tables["narrow-2"]["cases"]}
    assert list(narrow) == ["w8a16", "w8a8", "w4a16", "w4a8"]
    assert narrow["w4a16"]["ratio"] == pytest.approx(
        narrow["w4a16"]["step_ms"][0] / narrow["w4a8"]["step_ms"][0]
    )
    assert "ratio" not in narrow["w8a8"]
    found = [(case["case"], case["rows"]) for case in tables["products"]["cases"]]
    assert found == [("bfloat16", 1), ("bfloat16", 17), ("w8a16", 1), ("w8a16", 17)]
    crowds = tables["crowds-2"]["cases"]
    assert [(case["level"], case["requests"]) for case in crowds] == [
        (level, count) for level in ("generic", "default") for count in (1, 3)
    ]
    assert all(case["last_first_frame_ms"][0] >= case["first_frame_ms"][0] > 0 for case in crowds)
    assert all(case["rows"] > 8 and case["share"] > 0 for case in tables["phase-2"]["cases"])
    found_stages = tables["stages-2"]["cases"]
    assert {case["program"] for case in found_stages} >= {"encode_text", "prefill", "decode"}
    assert {case["requests"] for case in found_stages} == {1, 3}
    for case in found_stages:
        assert case["runs"] > 0 and len(case["ms"]) == 1 and case["waiting_ms"] >= -1e-3
        assert 0 < case["share_of_program"] <= 1 + 1e-9
    assert all(
        case["gop_per_s"] > 0 and case["share_of_reading"] > 0
        for case in found_stages
        if case["stage"] in ("all", "products")
    )


def test_arguments_without_meaning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for bad in (["speed"], ["--turns", "0"], ["--kinds", "w2a2"]):
        with pytest.raises(SystemExit):
            command.main(bad)
    assert command.main(["peaks", "--levels", "sse9"]) == 2
    assert command.main(["peaks", "--json", str(tmp_path / "absent" / "x.json")]) == 2
    assert "sse9" in capsys.readouterr().err


def test_tables_are_written_as_they_come(tmp_path: Path) -> None:
    path = tmp_path / "levels.json"
    command.write_json(None, [])
    command.write_json(path, [Table("peaks", "title", ("level",), ())])
    assert json.loads(path.read_text())["tables"][0]["table"] == "peaks"
