"""The words of servers for devices."""

from __future__ import annotations

import pytest

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.f5.backend import VARIABLE, device_of


@pytest.mark.parametrize(
    ("backend", "device"),
    [("cpu", "cpu"), ("cuda", "cuda"), ("cuda:1", "cuda:1"), ("trtllm", "auto"), ("auto", "auto")],
)
def test_words(backend: str, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "onnx")
    assert device_of(backend) == device
    monkeypatch.setenv(VARIABLE, backend)
    assert device_of(None) == device


def test_without_a_word_the_fastest_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert device_of(None) == "auto"


@pytest.mark.parametrize("backend", ["torch", "pytorch", "onnx"])
def test_other_programs_are_refused_with_a_reason(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=f"backend: .* got {backend}; there is no .* here"):
        device_of(backend)
    monkeypatch.setenv(VARIABLE, backend)
    with pytest.raises(ConfigError, match=f"{VARIABLE}: expected cpu, cuda or trtllm"):
        device_of(None)


@pytest.mark.parametrize("backend", ["gpu", "CPU", ""])
def test_unknown_words_are_refused(backend: str) -> None:
    with pytest.raises(ConfigError, match="backend: expected cpu, cuda or trtllm, got"):
        device_of(backend)
