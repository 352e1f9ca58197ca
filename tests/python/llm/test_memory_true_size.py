"""Planned and measured memory at the true sizes of TinyLlama and of T3's decoder, random weights.

Runs with TTSRT_TRUE_SIZE=1 (scripts/slow_checks sizes); needs 8 GB of disk and of memory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from bench.llm_peers.models import write_original
from bench.llm_peers.shape import SIZES
from ttsrt_rt.llm.memory_use import SHARE, measure_memory

pytestmark = pytest.mark.skipif(
    "TTSRT_TRUE_SIZE" not in os.environ, reason="takes minutes: set TTSRT_TRUE_SIZE=1"
)
LIMITS: dict[str, Any] = {"max_batch_size": 4, "max_input_len": 512, "max_seq_len": 544}
KINDS: dict[str, dict[str, Any]] = {
    "bfloat16": {},
    "int8": {"quantization": "w8a16", "wide_heads": False},
}


@pytest.fixture(scope="module", params=["tinyllama", "t3"])
def checkpoint(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("true")
    write_original(SIZES[request.param], folder / "hf")
    rt.convert(folder / "hf", folder / "checkpoint", progress=False)
    shutil.rmtree(folder / "hf")
    yield folder / "checkpoint"
    shutil.rmtree(folder)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_run_takes_what_was_planned(checkpoint: Path, kind: str) -> None:
    engine = checkpoint.parent / kind
    rt.build(checkpoint, engine, dtype="bfloat16", progress=False, **KINDS[kind], **LIMITS)
    for cache in (None, "int8"):
        found = measure_memory(engine, batch=4, length=544, kv_cache_dtype=cache)
        share = found.difference / found.planned
        print(f"{checkpoint.parent.name} {kind}, cache {cache}: {found.planned} {share:+.2%}")
        assert abs(share) <= SHARE
    shutil.rmtree(engine)
