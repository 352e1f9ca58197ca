"""Converts, builds and runs models of full size with random weights, from the original formats.

`pytest -rP` prints how long an engine takes to open, its weights included.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.synth import write_random_ckpt, write_random_nemo

CONTEXT_FRAMES = 110  # five seconds


def context_of(kind: str) -> dict[str, Any]:
    if kind == "nemo":
        return {"voice": 0}
    codes = np.random.default_rng(0).integers(0, 2016, (CONTEXT_FRAMES, 8))
    return {"context_codes": codes}


@pytest.mark.parametrize(
    ("kind", "write", "size", "stacking"),
    [("nemo", write_random_nemo, "v2607", 2), ("ckpt", write_random_ckpt, "true", 1)],
)
def test_true_size(
    kind: str, write: Callable[..., Path], size: str, stacking: int, tmp_path: Path
) -> None:
    """tests/python/convert/test_magpie_synth.py compares the layouts with full*.keys.json."""
    source = write(tmp_path / f"made.{kind}", size)
    checkpoint = rt.convert(source, tmp_path / "checkpoint", progress=False)
    source.unlink()
    engine = tmp_path / "engine"
    rt.build(checkpoint, engine, dtype="bfloat16", max_batch_size=2, max_seq_len=256)
    begin = time.perf_counter()
    opened = rt.Engine.open(str(engine))
    print(f"opened {opened.info.weight_bytes >> 20} MiB in {time.perf_counter() - begin:.3f} s")
    with rt.Executor(opened, device=NATIVE) as executor:
        info = executor.engine.info
        assert (info.codebooks, info.frame_stacking) == (8, stacking)
        request = rt.Request(text_ids=np.arange(5, 45), max_frames=8, seed=1, **context_of(kind))
        first, second = executor.generate([request, request])
        alone = executor.generate(request)
    for result in (first, second, alone):
        assert result.finish_reason in ("length", "stop")
        np.testing.assert_array_equal(result.codes, alone.codes)
    assert alone.codes.shape[1] == 8
    assert len(alone.codes) > 0
