"""The bench of the stress tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from .mixing import Bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory, checkpoint_of: Callable[[str], Path]) -> Bench:
    """Engines of every kind, built when first asked for."""
    return Bench(tmp_path_factory.mktemp("stress"), checkpoint_of)
