"""mypy refuses misspelt fields, unknown words and wrong types, and accepts right calls."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.house import ROOT

# A line that ends in a comment "error" must be refused, every other one accepted.
SNIPPET = """
import array

import numpy as np
import ttsrt_rt as rt

executor = rt.Executor("engine", device="cpu", kv_cache_dtype=np.float32)
rt.Executor("engine", device=rt.list_devices()[0].name)
executor.generate(text_ids=[1, 2], voice=0, cfg_scale=2.5, eos_method="argmax_any")
executor.generate(text_ids=[1, 2], voice=0, cgf_scale=2.5)  # error
executor.generate(text_ids=[1, 2], eos_method="argmax")  # error
executor.submit(text_id=[1, 2])  # error
executor.generate("hello")  # error
executor.generate(text_ids="hello", voice=0)  # error
rt.Request(text_ids="hello", voice=0)  # error
rt.Request(text_ids=["hello"], voice=0)  # error
executor.generate([[1, 2], [3]], voice=0)
executor.generate([np.arange(4), np.arange(2)], voice=0)
executor.generate((range(4), range(2)), voice=0)
executor.generate(text_ids=array.array("i", [1]), context_codes=np.zeros((2, 4), np.int32))
executor.generate(text_ids=(1, 2), context_embeddings=[[0.5, 1], [2.0, 3]])
rt.Executor("engine", device="cpu,cpu")
rt.Request([1, 2], 0)  # error
executor.submit(text_ids=[1, 2], seed="x")  # error
executor.stream(text_ids=[1, 2], max_frame=5)  # error
executor.astream(text_ids=[1, 2], priorty=5)  # error
rt.Executor("engine", devise="cpu")  # error
rt.Executor("engine", device=("cpu", "cpu"))  # error
rt.Executor("engine", kv_cache_dtype="fp16")  # error
rt.Executor.from_checkpoint("x.nemo", dtype="bfloat16", device="cpu", generation="nemo3")
rt.Executor.from_checkpoint("x.nemo", quantisation="w8a8")  # error
rt.build("ckpt", "engine", dtype="bfloat16", quantization="w8a8", max_batch_size=4)
rt.build("ckpt", "engine", dtype="bf16")  # error
rt.build("ckpt", "engine", quantization="int8")  # error
rt.build("ckpt", "engine", max_batch=4)  # error
rt.convert("x.nemo", "ckpt", dtype=np.dtype("float16"), generation="2503")
rt.convert("x.nemo", "ckpt", generation="2025")  # error
rt.convert("x.nemo", "ckpt", over_write=True)  # error
rt.Request(text_ids=[1], prior=rt.AttentionPrior(mode="window", suppress="upto"))
rt.Request(text_ids=[1], prior="off")  # error
rt.AttentionPrior(mode="nemo3")  # error
rt.MaskGit(sampling="bogus")  # error
rt.AttentionPrior.of(executor, lookahead=8)
rt.AttentionPrior.of(executor, look_ahead=8)  # error
rt.Engine.open("engine").info.sample_rates  # error
if executor.generate(text_ids=[1]).finish_reason == "done":  # error
    pass
reasons: list[rt.Result] = executor.generate([rt.Request(text_ids=[1])])
"""


def test_mypy_refuses_what_is_misspelt(tmp_path: Path) -> None:
    if find_spec("mypy") is None:
        if "mypy" in os.environ.get("TTSRT_REQUIRE", "").split(","):
            pytest.fail("needs mypy, from the extra lint")
        pytest.skip("needs mypy, from the extra lint")
    (tmp_path / "snippet.py").write_text(SNIPPET, "utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--python-version", "3.10"]
    command += ["--no-error-summary", "--cache-dir", str(ROOT / ".mypy_cache" / "snippet")]
    done = subprocess.run(
        [*command, str(tmp_path / "snippet.py")],
        env={**os.environ, "MYPYPATH": str(ROOT / "python")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    refused = {int(line) for line in re.findall(r"snippet\.py:(\d+): error", done.stdout)}
    lines = enumerate(SNIPPET.split("\n"), 1)
    expected = {number for number, line in lines if line.endswith("# error")}
    assert refused == expected, done.stdout + done.stderr
