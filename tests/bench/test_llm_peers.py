"""The comparison of language models with their peers, with a tiny model. No time is asserted."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.llm_peers import __main__ as command
from bench.llm_peers.shape import SIZES, tensor_shapes
from bench.peers import command as frame
from bench.peers.llama_cpp import GGUF_TYPES
from bench.walls import turns
from bench.walls.limits import Bandwidth
from tests.bench.peer_programs import write_programs
from ttsrt_rt.bench.ops import Peaks

RUN = ["--size", "tiny", "--turns", "1", "--prompt", "20", "--steps", "200", "--rows", "32"]
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


@pytest.mark.parametrize(
    ("size", "weights"), [("tinyllama", 1_100_048_384), ("llama2_7b", 6_738_415_616)]
)
def test_sizes_are_those_of_the_originals(size: str, weights: int) -> None:
    assert sum(math.prod(shape) for _, shape in tensor_shapes(SIZES[size])) == weights
    of = SIZES[size]
    matrices = [shape for name, shape in tensor_shapes(of) if len(shape) == 2]
    assert of.layer_weights + 2 * of.head_weights == sum(map(math.prod, matrices))


def test_a_run_without_peers(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    flags = ["--folder", str(models), "--no_torch", "--threads", "1", "--json", str(out)]
    assert command.main([*RUN, *flags]) == 0
    printed = capsys.readouterr().out
    assert "Without llama.cpp: --llama does not name" in printed
    assert "Without transformers: --no_torch" in printed
    (size,) = json.loads(out.read_text("utf-8"))["sizes"]
    assert (size["size"], size["turns"]) == ("tiny", 1)
    assert [table["table"] for table in size["tables"]] == ["one", "eight", "prefill"]
    usual = ["bfloat16", "w8a16", "w8a8", "w4a16", "w4a8"]
    for table in size["tables"]:
        assert [case["case"] for case in table["cases"]] == [f"ttsrt_rt {kind}" for kind in usual]
        assert all(math.isfinite(ms) for case in table["cases"] for ms in case["ms"])
    assert not list(models.glob("*.checkpoint"))


def test_ratios_to_the_better_peer(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    for path in models.iterdir():
        (folder / path.name).symlink_to(path)
    for kind in GGUF_TYPES.values():
        (folder / f"llm-tiny.{kind}.gguf").write_bytes(b"GGUF")
    flags = ["--folder", str(folder), "--no_torch", "--threads", "1", "--minutes", "0"]
    flags += ["--llama", str(write_programs(tmp_path / "bin", ms=3))]
    flags += ["--ik_llama", str(write_programs(tmp_path / "ik", ms=2, is_ik=True))]
    out = tmp_path / "out.json"
    assert command.main(["one", "eight", *RUN, "--turns", "2", *flags, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert ">= 1.15x" in printed and ">= 1.2x" in printed
    assert "1 of 2 turns fit into 0 minutes" in printed
    (size,) = json.loads(out.read_text("utf-8"))["sizes"]
    one, eight = size["tables"]
    cases = {case["case"]: case for case in one["cases"]}
    assert cases["llama.cpp q8_0"]["ms"] == pytest.approx([3.0])
    assert cases["ik_llama.cpp q8_0"]["ms"] == pytest.approx([2.0])
    ours = cases["ttsrt_rt bfloat16"]
    assert ours["over llama.cpp"] == pytest.approx([3.0 / ours["ms"][0]])
    assert ours["over ik_llama.cpp"] == pytest.approx([2.0 / ours["ms"][0]])
    assert (ours["better"], ours["target"]) == ("ik_llama.cpp", 1.0)
    weights = SIZES["tiny"].layer_weights + SIZES["tiny"].head_weights
    assert ours["share"] == pytest.approx([2 * weights / ours["ms"][0] / 1e6 / 10.0])
    crowd = {case["case"]: case for case in eight["cases"]}
    assert crowd["ik_llama.cpp q4_0"]["ms"] == pytest.approx([2.0])
    assert crowd["llama.cpp bf16"]["ms"] == pytest.approx([3.0])


@pytest.mark.torch
@pytest.mark.skipif(not HAS_TORCH, reason="needs torch and transformers: pip install '.[hf]'")
@pytest.mark.filterwarnings("ignore")
def test_transformers_takes_part(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--folder", str(models), "--threads", "1", "--steps", "8"]
    assert command.main(["one", "prefill", *RUN, *flags]) == 0
    printed = capsys.readouterr().out
    assert "| transformers bfloat16 |" in printed
    assert "Greedy bfloat16 ids equal to those of transformers: the first" in printed


@pytest.mark.skipif(find_spec("gguf") is None, reason="needs gguf: pip install gguf")
def test_files_of_llama_cpp_have_the_weights(tmp_path: Path) -> None:
    import gguf
    import numpy as np

    from bench.peers.gguf_model import write_llama
    from bench.peers.weights import draw

    shape = SIZES["tiny"]
    write_llama(shape, tensor_shapes(shape), tmp_path / "a.gguf", "bf16")
    reader = gguf.GGUFReader(tmp_path / "a.gguf")
    found = {each.name: each for each in reader.tensors}
    assert len(found) == sum(1 for _ in tensor_shapes(shape))
    kv = shape.kv_heads * shape.head_dim
    assert found["blk.0.attn_k.weight"].shape.tolist() == [shape.dim, kv]
    words = draw("lm_head.weight", (shape.vocab, shape.dim))
    assert np.array_equal(found["output.weight"].data.view(np.uint16).reshape(words.shape), words)
    assert int(reader.fields["llama.attention.head_count_kv"].parts[-1][0]) == shape.kv_heads


@pytest.mark.parametrize(
    "flags", [["three"], ["--turns", "0"], ["--rows", "1"], ["--minutes", "-1"]]
)
def test_mistakes(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(flags)
    assert "expected" in capsys.readouterr().err
