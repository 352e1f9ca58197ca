"""Which device a server of F5-TTS runs on, by the words that such servers use."""

from __future__ import annotations

import os

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.quoting import show

__all__ = ["VARIABLE", "device_of"]

VARIABLE = "TTS_BACKEND"
OTHERS = {
    "torch": "PyTorch",
    "pytorch": "PyTorch",
    "onnx": "ONNX Runtime",
}


def device_of(backend: str | None) -> str:
    """Returns the name of a device for `Executor`.

    Args:
        backend: "cpu", "cuda" (or "cuda:1" and so on), or "trtllm", the fastest native one. None
            takes TTS_BACKEND of the environment, and "trtllm" where it is not set.

    Raises:
        ConfigError: the word is unknown, or names another program. Nothing else is chosen for it.
    """
    name = backend if backend is not None else os.environ.get(VARIABLE) or "trtllm"
    where = "backend" if backend is not None else VARIABLE
    if name in ("trtllm", "auto"):
        return "auto"
    if name in OTHERS:
        raise ConfigError(
            f"{where}: expected cpu, cuda or trtllm, got {name}; there is no {OTHERS[name]} "
            "here: the original program f5-tts runs models with it"
        )
    if name == "cpu" or name == "cuda" or name.startswith("cuda:"):
        return name
    raise ConfigError(f"{where}: expected cpu, cuda or trtllm, got {show(name)}")
