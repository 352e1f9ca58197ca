"""Stand-ins for what the package f5-tts imports for training, and its inference doesn't need."""

from __future__ import annotations

import importlib.machinery
import sys
import types
from typing import Any

__all__ = ["install_stand_ins"]

_NAMES = (
    *("wandb", "accelerate", "accelerate.utils", "transformers", "ema_pytorch", "datasets"),
    *("f5_tts.model.trainer", "f5_tts.model.dataset"),
)


class _StandIn(types.ModuleType):
    """A module in which every attribute is a function that does nothing."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_arguments, **_options: None


def install_stand_ins() -> None:
    """Lets f5-tts import them, where the real ones were not imported before."""
    for name in _NAMES:
        module = _StandIn(name)
        module.__spec__ = importlib.machinery.ModuleSpec(name, None)
        sys.modules.setdefault(name, module)
