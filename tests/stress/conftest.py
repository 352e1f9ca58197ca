"""Fixtures of the stress tests: the bench, and an engine whose requests hardly end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.synth import write_random_nemo

from .mixing import ENDLESS, Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, checkpoint_of: Callable[[str], Path]) -> Bench:
    """Engines of every kind, each built when it is first used."""
    return Bench(tmp_path_factory.mktemp("stress"), checkpoint_of)


@pytest.fixture(scope="session")
def endless(bench: Bench) -> Path:
    """An engine of four slots, for requests of up to `mixing.HOLDING_FRAMES`."""
    source = write_random_nemo(bench.folder / "endless.nemo", ENDLESS, seed=3)
    checkpoint, engine = bench.folder / "endless-checkpoint", bench.folder / "endless"
    rt.convert(source, checkpoint, progress=False)
    rt.build(
        checkpoint,
        engine,
        max_batch_size=4,
        max_seq_len=ENDLESS.max_positions,
        max_input_len=24,
        max_encoder_input_len=24,
    )
    return engine
