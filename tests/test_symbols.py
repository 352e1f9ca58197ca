"""The libraries export the public API and nothing else.

An exported symbol of another library (a JSON parser, a statically linked libstdc++) can replace, or
be replaced by, the one of a library that the same process loads. scripts/slow_checks runs the demo
with such a build.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import ttsrt_rt

PACKAGE = Path(ttsrt_rt.__file__).parent
INCLUDE = Path(__file__).resolve().parents[1] / "cpp" / "include" / "ttsrt"

# Names that a class exports beside its methods.
TYPE_INFORMATION = re.compile(r"(typeinfo|typeinfo name|vtable) for ttsrt::(\w+)")


def run(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is missing (Debian: binutils)")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout


def exported(library: Path) -> list[str]:
    """The names that a shared library defines for others, as C++ writes them."""
    lines = run("nm", "--dynamic", "--defined-only", "--demangle", library).splitlines()
    return [line.split(" ", 2)[2] for line in lines]


def only_library(pattern: str) -> Path:
    (found,) = PACKAGE.glob(pattern)
    return found


def public_names() -> set[str]:
    """Classes and functions that the public headers mark with TTSRT_API."""
    text = "\n".join(path.read_text("utf-8") for path in INCLUDE.glob("*.h"))
    classes = set(re.findall(r"class TTSRT_API (\w+)", text))
    functions = set(re.findall(r"^TTSRT_API [^;(]*?(\w+)\(", text, re.MULTILINE))
    return classes | functions


def test_libttsrt_exports_the_public_headers() -> None:
    names = exported(only_library("lib/libttsrt.so*"))
    public = public_names()
    strange = []
    for name in names:
        match = TYPE_INFORMATION.fullmatch(name) or re.match(r"()ttsrt::(\w+)", name)
        if match is None or match.group(2) not in public:
            strange.append(name)
    assert strange == []
    found = {match.group(1) for name in names if (match := re.search(r"ttsrt::(\w+)", name))}
    assert public <= found, "marked, but not exported"


def test_the_python_module_exports_its_entry_point() -> None:
    assert exported(only_library("_core*.so")) == ["PyInit__core"]


def test_the_library_has_a_versioned_soname() -> None:
    library = only_library("lib/libttsrt.so*")
    version = ".".join(ttsrt_rt.__version__.split(".")[:2])
    soname = re.search(r"SONAME.*\[(.*)\]", run("readelf", "--dynamic", library))
    assert soname is not None and soname.group(1) == f"libttsrt.so.{version}" == library.name
    needed = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "--dynamic", only_library("_core*.so")))
    assert f"libttsrt.so.{version}" in needed
