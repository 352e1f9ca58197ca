"""A runtime for speech-generation transformers: convert, build, run many requests at once.

    import ttsrt_rt as rt

    rt.convert("magpie.nemo", "ckpt")
    rt.build("ckpt", "engine", dtype="bfloat16")
    with rt.Executor("engine") as executor:
        result = executor.generate(text_ids=ids, voice=0, cfg_scale=2.5, seed=7)

Names are imported when they are first used, so that importing the package takes little time.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

# A function with the name of its module is imported at once: importing the module later would
# replace the function by the module.
from ttsrt_rt.build import build
from ttsrt_rt.convert import convert
from ttsrt_rt.errors import (
    CapacityError,
    ClosedError,
    ConfigError,
    DeviceError,
    Error,
    FormatError,
    InternalError,
    NotFoundError,
)

if TYPE_CHECKING:
    from ttsrt_rt._core import (
        DeviceInfo,
        Engine,
        EngineInfo,
        ExecutorInfo,
        ExecutorStats,
        list_devices,
    )
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.paths import get_cmake_dir, get_include
    from ttsrt_rt.request import (
        AttentionPrior,
        BlockDiffusion,
        Flow,
        FlowText,
        MaskGit,
        Request,
        Speculation,
        TokenOptions,
    )
    from ttsrt_rt.result import Event, Metrics, Result
    from ttsrt_rt.text_options import TextOptions

__all__ = [
    "AttentionPrior",
    "BlockDiffusion",
    "CapacityError",
    "ClosedError",
    "ConfigError",
    "DeviceError",
    "DeviceInfo",
    "Engine",
    "EngineInfo",
    "Error",
    "Event",
    "Executor",
    "ExecutorInfo",
    "ExecutorStats",
    "Flow",
    "FlowText",
    "FormatError",
    "Handle",
    "InternalError",
    "MaskGit",
    "Metrics",
    "NotFoundError",
    "Request",
    "Result",
    "Speculation",
    "TextOptions",
    "TokenOptions",
    "__version__",
    "build",
    "convert",
    "get_cmake_dir",
    "get_include",
    "list_devices",
]

__version__ = "0.1.0"

_HOMES = {
    "AttentionPrior": "request",
    "BlockDiffusion": "request",
    "DeviceInfo": "_core",
    "Engine": "_core",
    "EngineInfo": "_core",
    "Event": "result",
    "Executor": "executor",
    "ExecutorInfo": "_core",
    "ExecutorStats": "_core",
    "Flow": "request",
    "FlowText": "request",
    "Handle": "handle",
    "MaskGit": "request",
    "Metrics": "result",
    "Request": "request",
    "Result": "result",
    "Speculation": "request",
    "TextOptions": "text_options",
    "TokenOptions": "request",
    "get_cmake_dir": "paths",
    "get_include": "paths",
    "list_devices": "_core",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
