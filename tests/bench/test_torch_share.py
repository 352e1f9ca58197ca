"""Matrix products of PyTorch beside an executor."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from bench.torch_share import main, torch_threads


@pytest.mark.torch
def test_torch_works_meanwhile() -> None:
    from ..needs_torch import torch

    calls: list[None] = []
    multiply = torch.mm

    def spy(*matrices: Any) -> Any:
        calls.append(None)
        return multiply(*matrices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "mm", spy)
        company = torch_threads()
        assert company.threads_each == torch.get_num_threads()
        with company.at_work(1):
            while not calls:
                pass
    assert calls


@pytest.mark.torch
def test_command(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from ..needs_torch import torch  # noqa: F401

    flags = ["--busy", "0", "1", "--repeats", "1", "--frames", "8", "--text_len", "8"]
    assert main([str(engine), *flags, "--context_len", "6", "--num_threads", "1"]) == 0
    assert "| PyTorch threads | codec frames/s |" in capsys.readouterr().out


def test_without_torch(
    monkeypatch: pytest.MonkeyPatch, engine: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(rt.ConfigError, match="expected PyTorch"):
        torch_threads()
    assert main([str(engine)]) == 2
    assert r"pip install '.[torch]'" in capsys.readouterr().err
