"""Fixtures of the parity tests: comparison of results, and engines of reduced precision."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt.synth.f5_random import write_random_f5

from .f5_networks import LIMITS, NETWORKS

ExpectSame = Callable[[rt.Result, rt.Result], None]


@pytest.fixture(scope="session")
def expect_same() -> ExpectSame:
    """Asserts that two results are equal: codes, end and focus, and all hidden bits if traced."""

    def compare(result: rt.Result, expected: rt.Result) -> None:
        np.testing.assert_array_equal(result.codes, expected.codes)
        assert result.finish_reason == expected.finish_reason
        assert (result.focus is None) == (expected.focus is None)
        if expected.focus is not None:
            np.testing.assert_array_equal(result.focus, expected.focus)
        steps = [
            [entry.values for entry in each.trace if entry.name == "dec_hidden"]
            for each in (result, expected)
        ]
        np.testing.assert_array_equal(*steps)

    return compare


@pytest.fixture(scope="session")
def narrow_engine_of(checkpoint_of: Callable[[str], Path]) -> Callable[[str, str], Path]:
    """Maps case name and precision to an engine. The precision is a dtype, or a quantization with
    float32 tables; "w4a16-32" means "w4a16" in groups of 32.
    """

    def make(case: str, precision: str) -> Path:
        checkpoint = checkpoint_of(case)
        folder = checkpoint.parent / f"engine-{precision}"
        if not folder.exists():
            quantization, _, group = precision.partition("-")
            if quantization.startswith("w"):
                group_size = int(group) if group else None
                rt.build(checkpoint, folder, quantization=quantization, group_size=group_size)
            else:
                rt.build(checkpoint, folder, dtype=precision)
        return folder

    return make


@pytest.fixture(scope="session")
def checkpoint_of_f5(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Maps a network of NETWORKS to a checkpoint, with a vocoder inside."""
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(f"f5_{name}")
            size, variant, flags = NETWORKS[name]
            source = write_random_f5(folder / "model.safetensors", size, layout="reupload")
            (folder / "flags.json").write_text(json.dumps({"arch": flags}), "utf-8")
            rt.convert(
                source,
                folder / "checkpoint",
                variant=variant,
                config=folder / "flags.json",
                progress=False,
            )
            made[name] = folder / "checkpoint"
        return made[name]

    return make


@pytest.fixture(scope="session")
def engine_of_f5(checkpoint_of_f5: Callable[[str], Path]) -> Callable[..., Path]:
    """Maps a network and options of build to an engine."""

    def make(name: str, **options: Any) -> Path:
        checkpoint = checkpoint_of_f5(name)
        words = "-".join(f"{value}" for value in options.values())
        folder = checkpoint.parent / f"engine-{words}"
        if not folder.exists():
            rt.build(checkpoint, folder, **{**LIMITS, **options})
        return folder

    return make


@pytest.fixture(scope="module")
def f5_executor(engine_of_f5: Callable[..., Path]) -> Iterator[rt.Executor]:
    with rt.Executor(engine_of_f5("v1"), device="cpu", num_threads=2) as opened:
        yield opened
