"""Where the TensorRT plugins of this installation are.

    registry = tensorrt.get_plugin_registry()
    registry.load_library(ttsrt_rt.tensorrt.plugin_path(10))

Nothing here imports TensorRT. `plugins/README.md` in the source says what each plugin takes.
"""

from __future__ import annotations

import re
from pathlib import Path

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.tensorrt_check import Installation, check_plugin_library, examine
from ttsrt_rt.tensorrt_libraries import TensorRTLibrary, find_libraries, find_library

__all__ = [
    "Installation",
    "TensorRTLibrary",
    "check_plugin_library",
    "examine",
    "find_libraries",
    "find_library",
    "plugin_majors",
    "plugin_path",
]

_LIBRARY = re.compile(r"ttsrt_rt_trt(\d+)\.so")


def plugin_majors() -> list[int]:
    """The major versions of TensorRT that this installation has plugin libraries for."""
    found = (_LIBRARY.fullmatch(path.name) for path in _folder().glob("ttsrt_rt_trt*.so"))
    return sorted(int(match.group(1)) for match in found if match is not None)


def plugin_path(major: int) -> str:
    """The plugin library for a major version of TensorRT: 8, 10 or 11.

    The libraries for 10 and 11 have the same source and interfaces, of which the tables are the
    same in both, so that the library for 10 stands for 11 where that one was not built.

    Args:
        major: The major version of the TensorRT that loads the library.

    Raises:
        ConfigError: No version with that number has plugins.
        NotFoundError: The installation was built without the library. The message says which it
            has, and how to build it.
    """
    if isinstance(major, bool) or not isinstance(major, int) or major not in (8, 10, 11):
        raise ConfigError(f"major version of TensorRT: expected 8, 10 or 11, got {major!r}")
    present = plugin_majors()
    for candidate in (11, 10) if major == 11 else (major,):
        if candidate in present:
            return str(_folder() / f"ttsrt_rt_trt{candidate}.so")
    names = ", ".join(map(str, present)) or "none"
    raise NotFoundError(
        f"plugins for TensorRT {major}: expected one of those that this installation has "
        f"({names}); build it with the CMake options TTSRT_CUDA=ON, TTSRT_PLUGINS=ON and "
        "TensorRT_ROOT, a folder with the headers of that version"
    )


def _folder() -> Path:
    return Path(_core.__file__).parent / "lib"
