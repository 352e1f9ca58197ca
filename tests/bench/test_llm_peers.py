"""The comparison of language models with their peers, with a tiny model. No time is asserted."""

from __future__ import annotations

import json
import math
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from bench.llm_peers import __main__ as command
from bench.llm_peers.models import KINDS
from bench.llm_peers.shape import SIZES, tensor_shapes
from bench.t3_peers.llama_cpp import LLAMA_TYPES
from bench.walls import turns
from bench.walls.limits import Bandwidth
from ttsrt_rt.bench.ops import Peaks

RUN = ["--size", "tiny", "--turns", "1", "--prompt", "20", "--steps", "200", "--rows", "32"]
HAS_TORCH = find_spec("torch") is not None and find_spec("transformers") is not None

# 3 ms for each token or id, as the two programs print it.
PROGRAM = """#!{python}
import json, sys
flags = dict(zip(sys.argv[1::2], sys.argv[2::2]))
if "-npl" in flags:
    for count in map(int, flags["-ntg"].split(",")):
        print(json.dumps({{"t_tg": 0.003 * count, "speed_tg": 1.0}}))
else:
    count = int(flags["-n"]) or int(flags["-p"])
    print(json.dumps({{"avg_ns": 3000000 * count, "avg_ts": 1.0}}))
"""


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine whose limits need not be measured."""
    monkeypatch.setattr(turns, "measure_bandwidth", lambda again: Bandwidth(10.0, 10.0))
    peaks = Peaks("any", 1, 10.0, 40.0, 100.0, 90.0, 400.0)
    monkeypatch.setattr(command, "measure_peaks", lambda **_: peaks)


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
    found = json.loads(out.read_text("utf-8"))
    assert [table["table"] for table in found["tables"]] == ["one", "eight", "prefill"]
    for table in found["tables"]:
        assert [case["case"] for case in table["cases"]] == [f"ttsrt_rt {kind}" for kind in KINDS]
        assert all(min(case["ms"]) > 0 for case in table["cases"])


def test_ratios_to_a_peer(models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("llama-bench", "llama-batched-bench"):
        (programs / name).write_text(PROGRAM.format(python=sys.executable))
        (programs / name).chmod(0o755)
    folder = tmp_path / "models"
    folder.mkdir()
    for path in models.iterdir():
        (folder / path.name).symlink_to(path)
    for kind in LLAMA_TYPES:
        (folder / f"llm-tiny.{kind}.gguf").write_bytes(b"GGUF")
    flags = ["--folder", str(folder), "--no_torch", "--threads", "1", "--llama", str(programs)]
    out = tmp_path / "out.json"
    assert command.main(["one", "eight", *RUN, *flags, "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert ">= 1.15x" in printed and ">= 1.2x" in printed
    one = json.loads(out.read_text("utf-8"))["tables"][0]
    peers = {case["case"]: case for case in one["cases"]}
    assert peers["llama.cpp q8_0"]["ms"] == pytest.approx([3.0])
    ours = peers["ttsrt_rt bfloat16"]
    assert ours["over llama.cpp"] == pytest.approx([3.0 / ours["ms"][0]])
    assert ours["target"] == 1.0
    weights = SIZES["tiny"].layer_weights + SIZES["tiny"].head_weights
    assert ours["share"] == pytest.approx([2 * weights / ours["ms"][0] / 1e6 / 10.0])


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

    from bench.t3_peers.gguf_model import write_llama
    from bench.t3_peers.shape import draw

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


@pytest.mark.parametrize("flags", [["three"], ["--turns", "0"], ["--rows", "1"]])
def test_mistakes(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(flags)
    assert "expected" in capsys.readouterr().err
