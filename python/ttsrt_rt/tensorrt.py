"""Where the TensorRT plugins of this installation are, and which TensorRT this machine has.

    registry = tensorrt.get_plugin_registry()
    registry.load_library(ttsrt_rt.tensorrt.plugin_path(10))

Nothing here imports TensorRT, and only `load_library` loads it. `plugins/README.md` in the source
says what each plugin takes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.tensorrt_libraries import (
    TensorRTLibrary,
    exports_of,
    find_libraries,
    load_library,
)

__all__ = [
    "Installation",
    "TensorRTLibrary",
    "check_plugin_library",
    "examine",
    "find_libraries",
    "load_library",
    "plugin_majors",
    "plugin_path",
]

_LIBRARY = re.compile(r"ttsrt_rt_trt(\d+)\.so")
# The function by which TensorRT finds the plugins of a library, by its major version.
_ENTRIES = {8: "getPluginCreators", 10: "getCreators", 11: "getCreators"}


@dataclass(frozen=True)
class Installation:
    """What this machine and this installation have for TensorRT.

    Attributes:
        libraries: Of TensorRT, in the order in which they are looked for.
        plugins: Our plugin libraries, by the major version of TensorRT they are for.
        problems: What keeps TensorRT from being used here, each with what to do.
    """

    libraries: tuple[TensorRTLibrary, ...]
    plugins: dict[int, str]
    problems: tuple[str, ...]


def examine() -> Installation:
    """Finds TensorRT and our plugin libraries, and what doesn't fit; it loads nothing here."""
    libraries = find_libraries()
    plugins = {major: str(_folder() / f"ttsrt_rt_trt{major}.so") for major in plugin_majors()}
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
    return Installation(tuple(libraries), plugins, tuple(problems))


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


def _folder() -> Path:
    return Path(_core.__file__).parent / "lib"
