"""What tests of engines of TensorRT share: where they can run, and how plans are built once."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from tests.devices import why_no_gpu
from ttsrt_rt import tensorrt


def why_not() -> str:
    """Why nothing can be built here, or an empty text."""
    if why_no_gpu():
        return why_no_gpu()
    if not tensorrt.driver_majors():
        return "this build has no driver for TensorRT"
    return "" if tensorrt.has_library() else "TensorRT is not installed"


NEEDS_TENSORRT = pytest.mark.skipif(
    bool(why_not()) and "tensorrt" not in os.environ.get("TTSRT_REQUIRE", "").split(","),
    reason=f"needs TensorRT: {why_not()}",
)


def plan(
    engine: Path, *, taps: bool = False, builder_opt: int = 0, timings_in: Path | None = None
) -> Path:
    """Builds the plans of an engine once, and tells how long it took and how large they are.

    Builds in one temporary folder of pytest, or all with TTSRT_TIMING_CACHE, which names a folder,
    share the times of kernels.
    """
    if not (engine / "tensorrt").exists():
        begin = time.perf_counter()
        shared = os.environ.get("TTSRT_TIMING_CACHE") or timings_in or engine.parent.parent
        timings = Path(shared) / f"timings.{builder_opt}"
        options: dict[str, Any] = {"enable_debug_output": taps, "builder_opt": builder_opt}
        options["output_timing_cache"] = timings
        if timings.exists():
            options["input_timing_cache"] = timings
        tensorrt.build_plans(engine, progress=False, **options)
        seconds = time.perf_counter() - begin
        size = sum(path.stat().st_size for path in (engine / "tensorrt").rglob("*.plan"))
        print(f"{engine.parent.name}/{engine.name}: {seconds:.1f} s, {size / 1e6:.1f} MB of plans")
    return engine
