"""Fixtures of the benchmarks: whether they measure, the peaks, and the table at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ttsrt_rt.bench.ops import Figures, Peaks, measure_peaks, table

Record = Callable[[str, Figures], None]

_ROWS = pytest.StashKey[list[tuple[str, Figures]]]()
_PEAKS = pytest.StashKey[Peaks]()


@pytest.fixture(scope="session")
def is_real(pytestconfig: pytest.Config) -> bool:
    """Whether real shapes are timed: only if benchmarks are asked for."""
    return bool(pytestconfig.getoption("benchmark_only"))


@pytest.fixture(scope="session")
def peaks(pytestconfig: pytest.Config, is_real: bool) -> Peaks:
    """The peaks of the default device with all its threads."""
    found = measure_peaks(seconds=2.0 if is_real else 0.02)
    pytestconfig.stash[_PEAKS] = found
    return found


@pytest.fixture(scope="session")
def record(pytestconfig: pytest.Config) -> Record:
    """Adds a line to the table at the end of the run."""
    rows = pytestconfig.stash.setdefault(_ROWS, [])
    return lambda name, figures: rows.append((name, figures))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    rows = config.stash.get(_ROWS, [])
    if not rows:
        return
    terminalreporter.section("ops beside the machine's peaks")
    terminalreporter.line(str(config.stash[_PEAKS]))
    for line in table(rows):
        terminalreporter.line(line)
