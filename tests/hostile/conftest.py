"""The bench of the hostile tests: engines of every kind, each built when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.stress.mixing import Bench


@pytest.fixture(scope="session")
def trace_bench(
    tmp_path_factory: pytest.TempPathFactory, checkpoint_of: Callable[[str], Path]
) -> Bench:
    return Bench(tmp_path_factory.mktemp("hostile"), checkpoint_of)
