"""Which libraries of TensorRT this machine has, found without importing or loading them.

Versions are asked of the libraries themselves, in a process of its own: a library that is loaded
here would be the one that the device "tensorrt" takes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ttsrt_rt.errors import ConfigError, NotFoundError

__all__ = [
    "LIBRARY_VARIABLE",
    "TensorRTLibrary",
    "exports_of",
    "find_libraries",
    "find_library",
    "package_folders",
]

LIBRARY_VARIABLE = "TTSRT_TENSORRT_LIBRARY"
"""Names the library that the device "tensorrt" is to open."""

_NAME = re.compile(r"libnvinfer(?:_(lean|dispatch))?\.so\.(\d+)(?:\.\d+)*")
# Python packages whose folders hold libraries.
_PACKAGES = ("tensorrt_libs", "tensorrt_lean_libs", "tensorrt_dispatch_libs", "tensorrt")
_SYSTEM = (
    "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/local/tensorrt/lib",
)
_SECONDS = 60.0
# Opens a library and prints its version and which of some functions it has, as JSON.
_PROBE = """
import ctypes, json, sys
library = ctypes.CDLL(sys.argv[1])
found = [name for name in sys.argv[2:] if hasattr(library, name)]
version = library.getInferLibVersion() if "getInferLibVersion" in found else None
print(json.dumps({"exports": found, "version": version}))
"""


@dataclass(frozen=True)
class TensorRTLibrary:
    """A library of TensorRT.

    Attributes:
        path: The file.
        kind: "full", which builds and runs plans, "lean" or "dispatch", which only run some.
        major: The version in its name.
        version: What it says itself, "8.6.0"; empty where it can't be opened.
        found_by: What led to it: the variable, a Python package, or a folder of the loader.
        reason: Why it can't be opened; empty where it can.
    """

    path: str
    kind: str
    major: int
    version: str
    found_by: str
    reason: str = ""


def find_libraries() -> list[TensorRTLibrary]:
    """Looks where the variable, Python packages, `LD_LIBRARY_PATH` and the usual folders point.

    Returns:
        The libraries in this order, each file once.
    """
    found: dict[str, TensorRTLibrary] = {}
    for path, found_by in _candidates():
        match = _NAME.fullmatch(path.name)
        real = os.path.realpath(path)
        if match is None or real in found or not path.is_file():
            continue
        version, reason = _version_of(str(path))
        found[real] = TensorRTLibrary(
            str(path), match.group(1) or "full", int(match.group(2)), version, found_by, reason
        )
    return list(found.values())


def find_library(major: int | None = None) -> TensorRTLibrary:
    """Returns the full library that builds and runs plans here; it isn't loaded.

    Args:
        major: Its version; None: the newest that is there.

    Raises:
        NotFoundError: There is none. The message says which there are, and what to install.
        ConfigError: The library is of another version than its name says, or can't be opened.
    """
    libraries = find_libraries()
    full = [each for each in libraries if each.kind == "full"]
    fitting = [each for each in full if major is None or each.major == major]
    if not fitting:
        wanted = "TensorRT" if major is None else f"TensorRT {major}"
        there = ", ".join(f"{each.kind} {each.version or each.major}" for each in libraries)
        raise NotFoundError(
            f"{wanted}: expected its library libnvinfer.so.{major or 'MAJOR'}, found "
            f"{there or 'none'}; install the Python package tensorrt (pip install tensorrt) or "
            f"TensorRT of your system, or set {LIBRARY_VARIABLE} to the library"
        )
    chosen = max(fitting, key=lambda each: each.major)
    if chosen.reason:
        raise ConfigError(f"{chosen.path}: expected a library that opens, got: {chosen.reason}")
    if not chosen.version.startswith(f"{chosen.major}."):
        raise ConfigError(
            f"{chosen.path}: expected TensorRT {chosen.major}, got {chosen.version or 'no version'}"
        )
    return chosen


def exports_of(path: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Returns those of some functions that a library exports.

    Raises:
        ConfigError: It can't be opened.
    """
    probed, reason = _probe(path, names)
    if reason:
        raise ConfigError(f"{path}: expected a library that opens, got: {reason}")
    exports = probed["exports"]
    return tuple(str(name) for name in exports) if isinstance(exports, list) else ()


def _candidates() -> Iterator[tuple[Path, str]]:
    given = os.environ.get(LIBRARY_VARIABLE)
    if given:
        yield Path(given), LIBRARY_VARIABLE
    for name in _PACKAGES:
        for folder in package_folders(name):
            yield from _in_folder(folder, f"package {name}")
    for named in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")):
        yield from _in_folder(Path(named), "LD_LIBRARY_PATH")
    for named in _SYSTEM:
        yield from _in_folder(Path(named), named)


def package_folders(name: str) -> list[Path]:
    """The folders of a Python package, which isn't imported; none where it isn't installed."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    return [] if spec is None else [Path(each) for each in spec.submodule_search_locations or []]


def _in_folder(folder: Path, found_by: str) -> Iterator[tuple[Path, str]]:
    for path in sorted(folder.glob("libnvinfer*.so.*")):
        yield path, found_by


def _version_of(path: str) -> tuple[str, str]:
    """The version that a library says, or why it says none."""
    probed, reason = _probe(path, ("getInferLibVersion",))
    number = probed.get("version")
    if reason or not isinstance(number, int):
        return "", reason or "it has no function getInferLibVersion"
    if number < 10_000:  # 8600 is 8.6.0
        return f"{number // 1000}.{number // 100 % 10}.{number % 100}", ""
    return f"{number // 10_000}.{number // 100 % 100}.{number % 100}", ""


def _probe(path: str, names: tuple[str, ...]) -> tuple[dict[str, object], str]:
    command = [sys.executable, "-I", "-c", _PROBE, path, *names]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError) as problem:
        return {}, str(problem)
    if done.returncode != 0:
        told = done.stderr.strip().splitlines()
        return {}, told[-1] if told else f"the process that opened it ended with {done.returncode}"
    found = json.loads(done.stdout)
    return (found, "") if isinstance(found, dict) else ({}, "it told nothing")
