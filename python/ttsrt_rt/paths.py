"""The folders of the installed C++ library's headers and CMake package."""

from __future__ import annotations

from pathlib import Path

from ttsrt_rt import _core

__all__ = ["get_cmake_dir", "get_include"]


def get_include() -> str:
    """The folder to add to a C++ compiler's include path: `#include <ttsrt/ttsrt.h>`."""
    return str(_installed() / "include")


def get_cmake_dir() -> str:
    """The folder of `ttsrtConfig.cmake`: pass it to CMake as `-Dttsrt_DIR=...`."""
    return str(_installed() / "lib" / "cmake" / "ttsrt")


def _installed() -> Path:
    return Path(_core.__file__).parent
