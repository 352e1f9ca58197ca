"""The time that others use: read from the system, without the time of this process."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ttsrt_rt.bench import machine
from ttsrt_rt.bench.machine import OtherWork, busy_note

TICKS = os.sysconf("SC_CLK_TCK")


@pytest.fixture
def fake_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSystem:
    return FakeSystem(tmp_path / "stat", monkeypatch)


class FakeSystem:
    """Two usable cores and a third one; the test sets their busy seconds and the clocks."""

    def __init__(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.seconds, self.own = path, 100.0, 5.0
        monkeypatch.setattr(machine, "_STAT", path)
        monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: {0, 2})
        monkeypatch.setattr(machine.time, "monotonic", lambda: self.seconds)
        monkeypatch.setattr(machine.time, "process_time", lambda: self.own)
        self.write(0, 0, 0)

    def write(self, user: int, other_core: int, steal: int) -> None:
        def line(name: str, user: int, steal: int) -> str:
            return f"{name} {user * TICKS} 0 0 9999 9999 0 0 {steal * TICKS} 0 0\n"

        text = line("cpu", 0, 0) + line("cpu0", user, 0) + line("cpu1", other_core, 0)
        self.path.write_text(text + line("cpu2", 0, steal) + "intr 5\n", "ascii")


def test_the_time_of_others_on_usable_cores(fake_system: FakeSystem) -> None:
    work = OtherWork()
    fake_system.write(user=7, other_core=50, steal=2)
    fake_system.seconds += 10.0
    fake_system.own += 3.0
    assert work.share() == pytest.approx((7 + 2 - 3) / 20)


def test_own_time_alone_is_not_other_work(fake_system: FakeSystem) -> None:
    work = OtherWork()
    fake_system.write(user=7, other_core=0, steal=0)
    fake_system.seconds += 10.0
    fake_system.own += 7.1  # the clocks have different grains
    assert work.share() == 0.0


def test_a_system_that_does_not_tell(fake_system: FakeSystem) -> None:
    work = OtherWork()
    assert work.share() is None  # no time has passed
    fake_system.path.write_text("cpu0 words\n", "ascii")
    assert work.share() is None
    fake_system.path.unlink()
    assert OtherWork().share() is None


def test_this_system() -> None:
    work = OtherWork()
    while (share := work.share()) is None:
        pass
    assert 0.0 <= share <= 1.0


def test_the_note_appears_on_a_busy_machine() -> None:
    assert busy_note([], during="the turns") == ""
    assert busy_note([0.01, 0.09], during="the turns") == ""
    note = busy_note([0.0, 0.42, 0.31], during="the turns")
    assert "used 31 % of the cores' time during the turns (at most 42 %)" in note
