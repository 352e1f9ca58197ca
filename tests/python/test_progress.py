"""How `convert` and `build` tell how far they are."""

from __future__ import annotations

import io
import sys

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.progress import reporting


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_function_is_called() -> None:
    calls: list[tuple[int, int, str]] = []
    with reporting(lambda *call: calls.append(call), "work") as report:
        report(1, 2, "a")
    assert calls == [(1, 2, "a")]


def test_bars_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, progress, is_shown in (
        (Terminal(), True, True),
        (io.StringIO(), True, False),
        (Terminal(), False, False),
        (Terminal(), None, False),
    ):
        monkeypatch.setattr(sys, "stderr", stream)
        with reporting(progress, "work") as report:
            report(1, 2, "a")
        assert ("work" in stream.getvalue()) == is_shown
    monkeypatch.setattr(sys, "stderr", None)
    with reporting(True, "work") as report:
        report(1, 2, "a")


def test_other_values_are_refused() -> None:
    with pytest.raises(ConfigError, match="got str"), reporting("yes", "work"):  # type: ignore[arg-type]
        pass
