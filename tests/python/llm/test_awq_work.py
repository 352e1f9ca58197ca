"""The folders of AWQ: what is replaced and what never is, and work that is damaged or of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.python.convert.llm_models import LLAMA
from tests.python.llm.test_awq import OPTIONS, Stopped, ids_of, write_float_model
from ttsrt_rt.llm.awq import AwqOptions, quantize_awq


def names_below(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_nothing_but_an_earlier_result_is_replaced(tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "models" / "m", LLAMA)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    (tmp_path / "file").write_text("a file")
    (tmp_path / "link").symlink_to(source, target_is_directory=True)
    before = names_below(tmp_path)
    for target, told in [
        (tmp_path / "mine", "isn't a quantized model: it holds thesis.txt"),
        (tmp_path / "file", "isn't a folder"),
        (source, "apart from the source"),
        (tmp_path / "models", "apart from the source"),
        (source / "awq", "apart from the source"),
        (tmp_path / "link", "apart from the source"),
    ]:
        with pytest.raises(rt.ConfigError, match=told):
            quantize_awq(
                source, target, ids_of(64), options=OPTIONS, overwrite=True, progress=False
            )
    assert names_below(tmp_path) == before


@pytest.mark.parametrize(
    "make",
    [
        lambda work: (work.mkdir(), (work / "precious.txt").write_text("mine")),
        lambda work: (work.mkdir(), (work / "state.json").write_text('{"mine": 1}')),
        lambda work: (work.mkdir(), (work / "layer_0000.safetensors").write_text("mine")),
        lambda work: work.write_text("mine"),
    ],
    ids=["a file", "another state", "no state", "no folder"],
)
def test_a_work_folder_of_others_stays(make: Any, tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA)
    make(tmp_path / "awq.work")
    before = names_below(tmp_path)
    with pytest.raises(rt.ConfigError, match=r"awq\.work: expected the work of a run"):
        quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=False)
    assert names_below(tmp_path) == before


def test_two_runs_do_not_share_a_target(tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA)
    problems: list[str] = []

    def again(done: int, of: int, name: str) -> None:
        if not problems:
            with pytest.raises(rt.ConfigError) as raised:
                quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=False)
            problems.append(str(raised.value))

    quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=again)
    assert "is being written by process" in problems[0]
    assert (tmp_path / "awq" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    "damage",
    [
        lambda work, state: state.pop("losses"),
        lambda work, state: state.update(layers=9),
        lambda work, state: state.update(layers="1"),
        lambda work, state: state["losses"][0].pop("loss"),
        lambda work, state: state["losses"].append(1),
        lambda work, state: (work / "layer_0000.safetensors").write_bytes(b"12345678"),
        lambda work, state: (work / "layer_0000.safetensors").unlink(),
        lambda work, state: (work / "0001.rows").write_bytes(b"1234"),
    ],
)
def test_damaged_work_begins_anew(damage: Any, tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA)
    names: list[str] = []

    def stop(done: int, of: int, name: str) -> None:
        names.append(name)
        if name == "layer 1, attn_in":
            raise Stopped

    def run() -> None:
        quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=stop)

    with pytest.raises(Stopped):
        run()
    work = tmp_path / "awq.work"
    state = json.loads((work / "state.json").read_text("utf-8"))
    damage(work, state)
    (work / "state.json").write_text(json.dumps(state), "utf-8")
    names.clear()
    with pytest.raises(Stopped):
        run()
    assert names[0] == "layer 0, attn_in"


def test_sizes_are_checked_first(tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA, hidden_size=96, head_dim=16)
    options = AwqOptions(group_size=64, samples=8, length=24)
    told = r"model.layers.0.self_attn.q_proj.weight: expected a multiple of the group_size 64.*got"
    with pytest.raises(rt.ConfigError, match=told + " 96; a group_size of 32 fits it"):
        quantize_awq(source, tmp_path / "awq", ids_of(64), options=options)
    other = write_float_model(
        tmp_path / "other", LLAMA, num_key_value_heads=1, head_dim=20, num_attention_heads=8
    )
    with pytest.raises(rt.ConfigError, match=r"k_proj\.weight: expected a multiple of 8 .*got 20"):
        quantize_awq(other, tmp_path / "awq", ids_of(64), options=OPTIONS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "other"]


def test_a_full_disk_is_no_raw_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from ttsrt_rt.llm import awq_work

    source = write_float_model(tmp_path / "model", LLAMA)

    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            pass

    class FullRows(awq_work.NextRows):
        def __init__(self, path: Path) -> None:
            super().__init__(path)
            self._file.close()
            self._file = Full()  # type: ignore[assignment]

    monkeypatch.setattr(awq_work, "NextRows", FullRows)
    with pytest.raises(rt.CapacityError, match=r"0000\.rows: can't be written: No space left"):
        quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=False)
    assert not (tmp_path / "awq").exists()
