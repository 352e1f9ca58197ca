"""Exports to other runtimes: TensorRT-LLM checkpoints of T3, and model repositories of Triton."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttsrt_rt.export.triton import export_triton
    from ttsrt_rt.export.trtllm import export_trtllm
    from ttsrt_rt.export.trtllm_validate import validate_trtllm

__all__ = ["export_triton", "export_trtllm", "validate_trtllm"]

_HOMES = {
    "export_triton": "triton",
    "export_trtllm": "trtllm",
    "validate_trtllm": "trtllm_validate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
