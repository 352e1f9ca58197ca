"""The devices that tests open executors on.

`NATIVE` is the device of tests that need one only: the CPU, or what `TTSRT_TEST_DEVICE` names.
`DEVICES` are those of tests that run on each; "cuda" is skipped where there is no GPU, and fails
there with `TTSRT_REQUIRE=cuda` in the environment.
"""

from __future__ import annotations

import os

import pytest

import ttsrt_rt as rt

NATIVE = os.environ.get("TTSRT_TEST_DEVICE", "cpu")


def why_no_gpu() -> str:
    """Returns why no GPU can be used, or an empty text."""
    gpus = [device for device in rt.list_devices() if device.name.startswith("cuda")]
    return "" if any(gpu.available for gpu in gpus) else gpus[0].reason


def requires_gpu() -> bool:
    return "cuda" in os.environ.get("TTSRT_REQUIRE", "").split(",")


NEEDS_GPU = pytest.mark.skipif(
    bool(why_no_gpu()) and not requires_gpu(), reason=f"needs an NVIDIA GPU: {why_no_gpu()}"
)
DEVICES = ("reference", "cpu", pytest.param("cuda", marks=NEEDS_GPU))
EXACT_DEVICES = ("reference", "reference:2", "cpu", pytest.param("cuda", marks=NEEDS_GPU))
