"""TensorRT: plans of an engine, which device "tensorrt:0" runs, and where the plugins are.

    ttsrt_rt.tensorrt.build_plans("magpie-engine")
    executor = ttsrt_rt.Executor("magpie-engine", device="tensorrt:0")

    registry = tensorrt.get_plugin_registry()
    registry.load_library(ttsrt_rt.tensorrt.plugin_path(10))

Nothing here imports TensorRT. `plugins/README.md` in the source says what each plugin takes.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypedDict

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.options import check_names, path_of
from ttsrt_rt.tensorrt_check import Installation, check_plugin_library, examine_folder
from ttsrt_rt.tensorrt_libraries import (
    TensorRTLibrary,
    find_libraries,
    find_library,
    package_folders,
)

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ttsrt_rt.progress import Progress

__all__ = [
    "Installation",
    "PlanOptions",
    "TensorRTLibrary",
    "build_plans",
    "check_plugin_library",
    "driver_majors",
    "examine",
    "find_libraries",
    "find_library",
    "has_library",
    "load_library",
    "plugin_majors",
    "plugin_path",
]

_LOG = logging.getLogger(__name__)
_LIBRARY = re.compile(r"ttsrt_rt_trt(\d+)\.so")
_DRIVER = re.compile(r"ttsrt_rt_trt(\d+)_driver\.so")
_MAJORS = (11, 10, 8)
# Folders of Python packages that have the library: of 10 and 11, of 8.6.
_PACKAGES = ("tensorrt_libs", "tensorrt")


class PlanOptions(TypedDict, total=False):
    """Options of `build_plans`."""

    device: int | None
    tensorrt: int | None
    builder_opt: int | None
    opt_num_tokens: int | None
    products: Literal["matrix", "convolution"] | None
    workspace_mib: int | None
    enable_debug_output: bool | None
    input_timing_cache: str | os.PathLike[str] | None
    output_timing_cache: str | os.PathLike[str] | None


def build_plans(
    engine_dir: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress = True,
    **options: Unpack[PlanOptions],
) -> None:
    """Builds plans of TensorRT for an engine, as its folder `tensorrt`.

    They run on device "tensorrt:0" with this version of TensorRT on this kind of GPU, with the
    limits of the engine. Programs that TensorRT has no network for, such as those of codecs, run as
    on "cuda:0".

    Args:
        engine_dir: An engine of float32 or float16 that `build` wrote.
        overwrite: Whether plans that are there are replaced.
        progress: As `build` takes it; the unit is a plan.
        **options: The following. None stands for the default.
        device: The index of the GPU; 0.
        tensorrt: The major version, 8, 10 or 11; the newest that is installed.
        builder_opt: TensorRT's optimization level, 0 to 5; 3.
        opt_num_tokens: Rows for which kernels of encoders, prefill and evaluations of a flow are
            chosen; 128, and 2048 for evaluations.
        products: The layer of TensorRT that products are, "matrix" or "convolution", of which one
            may be faster; "matrix".
        workspace_mib: Memory that a kernel may ask for; no limit.
        enable_debug_output: Whether there are plans that give what a trace keeps, too; no.
        input_timing_cache: A file with times of kernels, of an earlier build.
        output_timing_cache: Where these times are written, old and new.

    Raises:
        ConfigError: The engine has bfloat16 or quantized weights, or a model that no network stands
            for; an option; plans that are there already; a TensorRT of another version than the
            installation has libraries for.
        NotFoundError: TensorRT or the installation's libraries for it are missing; the message says
            what to install.
        DeviceError: There is no GPU, or TensorRT can't build a network; the message has what it
            says.
        CapacityError: The disk is full.
    """
    from ttsrt_rt.native_request import set_options
    from ttsrt_rt.progress import reporting

    check_names("build_plans", options, PlanOptions.__annotations__)
    values: dict[str, object] = {**options}
    for name in ("input_timing_cache", "output_timing_cache"):
        if values.get(name) is not None:
            values[name] = path_of(values[name], name)
    native = set_options(_core.PlanOptions(), **values, overwrite=overwrite)
    folder = path_of(engine_dir, "engine_dir")
    load_library(native.tensorrt)
    with reporting(progress, "plans") as report:
        _core.build_plans(folder, native, report)
    _LOG.info("wrote %s", Path(folder, "tensorrt").resolve())


def has_library() -> bool:
    """Whether TensorRT's library is found, of a version that this installation has a driver for."""
    load_library()
    names = [f"libnvinfer.so.{major}" for major in reversed(driver_majors())]
    for name in [os.environ.get("TTSRT_TENSORRT_LIBRARY") or name for name in names]:
        try:
            ctypes.CDLL(name)
        except OSError:
            continue
        return True
    return False


def load_library(major: int = 0) -> None:
    """Loads TensorRT's library where a Python package has it, so that the backend finds it.

    Where TTSRT_TENSORRT_LIBRARY names a library, or no package has one, nothing happens: the
    backend then asks the system's loader.

    Args:
        major: The major version; 0: the newest that a package has and this installation has
            libraries for.
    """
    if os.environ.get("TTSRT_TENSORRT_LIBRARY"):
        return
    for candidate in (major,) if major else _MAJORS:
        for package in _PACKAGES:
            for folder in package_folders(package):
                path = folder / f"libnvinfer.so.{candidate}"
                if path.is_file():
                    ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                    return


def load_library_of(engine_dir: str | os.PathLike[str], device: str) -> None:
    """As `load_library`, of the version of an engine's plans, for a device that runs them."""
    if "tensorrt" not in device:
        return
    try:
        description = json.loads(Path(engine_dir, "tensorrt", "plans.json").read_bytes())
        major = int(str(description["tensorrt"]).split(".")[0])
    except (OSError, ValueError, KeyError, TypeError):
        return  # the backend says what is wrong with it
    if major in _MAJORS:
        load_library(major)


def plugin_majors() -> list[int]:
    """The major versions of TensorRT that this installation has plugin libraries for."""
    return _majors_of(_LIBRARY)


def driver_majors() -> list[int]:
    """Those that device "tensorrt:0" can run with."""
    return _majors_of(_DRIVER)


def _majors_of(pattern: re.Pattern[str]) -> list[int]:
    found = (pattern.fullmatch(path.name) for path in _folder().glob("ttsrt_rt_trt*.so"))
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


def examine() -> Installation:
    """Finds TensorRT and our libraries for it on this machine, and what doesn't fit.

    Nothing is loaded in this process.
    """
    return examine_folder(_folder(), plugin_path)


def _folder() -> Path:
    given = os.environ.get("TTSRT_TENSORRT_FOLDER")
    return Path(given) if given else Path(_core.__file__).parent / "lib"
