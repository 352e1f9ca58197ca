"""Fixtures with tiny engines of the golden checkpoints, built once for the whole run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import NATIVE

# Other processes may take the cores while inputs are drawn, or while a test runs.
settings.register_profile("shared", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("shared")

DATA = Path(__file__).resolve().parent / "data" / "magpie"


def source_of(case: str) -> Path:
    """Returns the golden checkpoint; skips the test in an sdist, which has only small ones."""
    paths = [DATA / f"{case}{end}" for end in (".nemo", ".ckpt")]
    for path in paths:
        if path.is_file():
            return path
    pytest.skip(f"needs {paths[0]} or {paths[1].name}, from a checkout")


@pytest.fixture(scope="session")
def checkpoint_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Maps a case name to its converted checkpoint."""
    made: dict[str, Path] = {}

    def make(case: str) -> Path:
        if case not in made:
            made[case] = tmp_path_factory.mktemp(case) / "checkpoint"
            rt.convert(source_of(case), made[case], progress=False)
        return made[case]

    return make


@pytest.fixture(scope="session")
def engine_of(checkpoint_of: Callable[[str], Path]) -> Callable[[str], Path]:
    """Maps a case name to its float32 engine."""

    def make(case: str) -> Path:
        checkpoint = checkpoint_of(case)
        folder = checkpoint.parent / "engine"
        if not folder.exists():
            rt.build(checkpoint, folder, dtype="float32")
        return folder

    return make


@pytest.fixture(scope="session")
def engine(engine_of: Callable[[str], Path]) -> Path:
    """The engine with stored voices and a local transformer."""
    return engine_of("tinyhf")


@pytest.fixture(scope="module")
def executor(engine: Path) -> Iterator[rt.Executor]:
    with rt.Executor(engine, device=NATIVE) as opened:
        yield opened


@pytest.fixture
def text_ids() -> NDArray[np.int32]:
    return np.arange(3, 30, dtype=np.int32)
