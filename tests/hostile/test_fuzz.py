"""Each target of the fuzzer runs for a moment; .ci/run fuzz and scripts/slow_checks run longer."""

from __future__ import annotations

from pathlib import Path

import pytest

from .fuzz import CORPUS, TARGETS, Fuzzer, way_of


@pytest.mark.parametrize("target", TARGETS)
def test_a_target_runs_and_finds_ways(target: str, tmp_path: Path) -> None:
    fuzzer = Fuzzer(target, 0, tmp_path)
    for _ in range(60):
        fuzzer.step()
    assert fuzzer.num_runs >= 60
    assert len(fuzzer.ways) > 2


def test_the_kept_corpus_belongs_to_targets_and_is_small() -> None:
    kept = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert {path.parent.name for path in kept} <= set(TARGETS)
    assert sum(path.stat().st_size for path in kept) < 16 << 10


def test_ways_leave_out_numbers_and_quotes() -> None:
    assert way_of("FormatError: x: byte 12: got 'a'") == way_of("FormatError: x: byte 3: got 'b'")
    assert way_of("FormatError: x: a hole") != way_of("FormatError: x: an overlap")
