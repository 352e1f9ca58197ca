"""What this machine and this installation have for TensorRT, and what doesn't fit.

Nothing here imports TensorRT or loads it (tensorrt_libraries.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.tensorrt_libraries import TensorRTLibrary, exports_of, find_libraries

__all__ = ["Installation", "check_plugin_library", "examine_folder"]

_PLUGINS = re.compile(r"ttsrt_rt_trt(\d+)\.so")
_DRIVERS = re.compile(r"ttsrt_rt_trt(\d+)_driver\.so")
# The function by which TensorRT finds the plugins of a library, by its major version.
_ENTRIES = {8: "getPluginCreators", 10: "getCreators", 11: "getCreators"}


@dataclass(frozen=True)
class Installation:
    """What this machine and this installation have for TensorRT.

    Attributes:
        libraries: Of TensorRT, in the order in which they are looked for.
        plugins: Our plugin libraries, by the major version of TensorRT they are for.
        drivers: Our libraries with which the device "tensorrt" calls a major version.
        problems: What keeps TensorRT from being used here, each with what to do.
    """

    libraries: tuple[TensorRTLibrary, ...]
    plugins: dict[int, str]
    drivers: dict[int, str]
    problems: tuple[str, ...]


def examine_folder(folder: Path, plugin_path: Callable[[int], str]) -> Installation:
    """Finds TensorRT and our libraries for it, and what doesn't fit; it loads nothing here.

    Args:
        folder: Where our libraries are.
        plugin_path: The plugin library for a major version, or an error that says what is missing.
    """
    libraries = find_libraries()
    plugins = _by_major(folder, _PLUGINS)
    drivers = _by_major(folder, _DRIVERS)
    problems = []
    for library in libraries:
        if library.reason:
            problems.append(f"{library.path}: it can't be opened: {library.reason}")
        elif not library.version.startswith(f"{library.major}."):
            problems.append(f"{library.path}: it says that it is {library.version}")
    for major, path in plugins.items():
        try:
            check_plugin_library(path, major)
        except ConfigError as problem:
            problems.append(str(problem))
    usable = [each for each in libraries if each.kind == "full" and not each.reason]
    if not usable:
        problems.append(
            "no library of TensorRT that builds and runs plans: pip install tensorrt, or set "
            "TTSRT_TENSORRT_LIBRARY to libnvinfer.so.MAJOR"
        )
    for library in usable:
        try:
            plugin_path(library.major)
        except (ConfigError, NotFoundError) as problem:
            problems.append(f"TensorRT {library.version}: {problem}")
            continue
        if library.major not in drivers:
            problems.append(
                f'TensorRT {library.version}: device "tensorrt" needs '
                f"ttsrt_rt_trt{library.major}_driver.so, which is built with the plugins"
            )
    return Installation(tuple(libraries), plugins, drivers, tuple(problems))


def _by_major(folder: Path, pattern: re.Pattern[str]) -> dict[int, str]:
    found = ((pattern.fullmatch(path.name), path) for path in sorted(folder.glob("ttsrt_rt_trt*")))
    return {int(match.group(1)): str(path) for match, path in found if match is not None}


def check_plugin_library(path: str, major: int) -> None:
    """Checks that a plugin library is for a major version of TensorRT, without loading it here.

    Args:
        path: The library.
        major: The major version of the TensorRT that is to load it.

    Raises:
        ConfigError: No version with that number has plugins, the file can't be opened, or it is
            for another version: TensorRT would load it and find no plugins.
    """
    if isinstance(major, bool) or major not in _ENTRIES:
        raise ConfigError(f"major version of TensorRT: expected 8, 10 or 11, got {major!r}")
    expected = _ENTRIES[major]
    found = exports_of(path, tuple(sorted(set(_ENTRIES.values()))))
    if expected not in found:
        raise ConfigError(
            f"{path}: expected plugins for TensorRT {major}, which are found by {expected}, got "
            f"{' and '.join(found) or 'no such function'}; use plugin_path({major})"
        )
