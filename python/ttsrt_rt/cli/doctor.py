"""`ttsrt doctor`: what this machine and this installation can do."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
from typing import Any

from ttsrt_rt.cli.tables import format_size, format_table
from ttsrt_rt.cli.types import Subparsers

__all__ = ["add_parser"]

_TOOLS = {"compiler": ("c++", "g++", "clang++"), "cmake": ("cmake",), "nvcc": ("nvcc",)}
_DRIVER = "nvidia-smi"
_SECONDS = 20.0
# Packages of each extra, by the names that are imported.
_EXTRAS = {
    "llm": ("tokenizers", "jinja2"),
    "hf": ("torch", "transformers"),
    "quality": ("sacrebleu",),
    "bench": ("matplotlib",),
    "text": ("tokenizers",),
    "audio": ("soundfile", "soxr"),
}
_ROOM = 0.9  # of the free memory, for a model with its cache


def add_parser(commands: Subparsers) -> None:
    """Adds the command's arguments."""
    parser = commands.add_parser(
        "doctor",
        help="show instruction sets, memory, GPUs, tools, TensorRT, extras, and which models fit",
        description="Changes nothing. Tools are needed to build this package, not to run it.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace) -> int:
    found = _examined()
    print(json.dumps(found, indent=1) if args.json else _text(found))
    return 0


def _examined() -> dict[str, Any]:
    from ttsrt_rt import __version__, _core, tensorrt
    from ttsrt_rt.llm.known_models import KNOWN_MODELS, MODES
    from ttsrt_rt.llm.memory_use import available_bytes

    devices = [
        {
            "name": each.name,
            "available": each.available,
            "description": each.description if each.available else each.reason,
        }
        for each in _core.list_devices()
    ]
    free = available_bytes()
    return {
        "ttsrt_rt": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": _core.usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "free_bytes": free,
        "devices": devices,
        "auto": _auto(devices),
        "products": {
            f"{dtype} {quantization}": _core.describe_products(dtype, quantization)
            for dtype, quantization in (
                *(("float32", "none"), ("bfloat16", "none")),
                *(("bfloat16", "w8a16"), ("bfloat16", "w4a16")),
            )
        },
        "tools": {name: _version(names) for name, names in _TOOLS.items()},
        "gpu_driver": _driver(),
        "tensorrt": dataclasses.asdict(tensorrt.examine()),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "extras": {name: _packages(names) for name, names in _EXTRAS.items()},
        "models_that_fit": {
            model.name: [mode for mode in MODES if model.weight_bytes(mode) < _ROOM * free]
            for model in KNOWN_MODELS
        },
    }


def _auto(devices: list[dict[str, Any]]) -> str:
    """What "auto" stands for: the first GPU, or else the CPU."""
    usable = [each["name"] for each in devices if each["available"]]
    gpus = [name for name in usable if name.startswith("cuda")]
    return gpus[0] if gpus else "cpu"


def _version(names: tuple[str, ...]) -> str | None:
    """The version of the first of some programs that is there; None if none is."""
    for name in names:
        path = shutil.which(name)
        if path is not None:
            lines = _output(path, "--version").splitlines()
            told = next((line for line in lines if re.search(r"\d+\.\d+", line)), "")
            return f"{path}: {told.strip()}" if told else path
    return None


def _driver() -> str | None:
    """The driver of NVIDIA and its cards; None if there is none."""
    path = shutil.which(_DRIVER)
    if path is None:
        return None
    query = "--query-gpu=name,driver_version,memory.total,compute_cap"
    told = "; ".join(_output(path, query, "--format=csv,noheader").strip().splitlines())
    return told or None


def _output(*command: str) -> str:
    """What a program prints; nothing if it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_SECONDS, check=False, errors="replace"
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _packages(names: tuple[str, ...]) -> dict[str, str | None]:
    """The version of each package; None for those that are not installed."""
    return {name: _installed(name) for name in names}


def _installed(name: str) -> str | None:
    try:
        is_there = importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return None
    if not is_there:
        return None
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "installed"


def _text(found: dict[str, Any]) -> str:
    lines = [
        f"ttsrt_rt {found['ttsrt_rt']}, Python {found['python']}, {found['system']}",
        f"cores: {found['cores']}",
        f"memory: {format_size(found['memory_bytes'])}, free: {format_size(found['free_bytes'])}",
        *(f"device {each['name']}: {_device(each)}" for each in found["devices"]),
        f'device "auto" is {found["auto"]}',
        *(f"products of {name}: {told}" for name, told in found["products"].items()),
        *(f"{name}: {told or 'none'}" for name, told in found["tools"].items()),
        f"GPU driver: {found['gpu_driver'] or 'none'}",
        *_tensorrt(found["tensorrt"]),
    ]
    if found["cuda_visible_devices"] is not None:
        lines.append(f"CUDA_VISIBLE_DEVICES: {found['cuda_visible_devices']!r}")
    rows = [[name, _extra(of)] for name, of in found["extras"].items()]
    lines += ["", format_table(["extra", "packages"], rows)]
    fits = [[name, " | ".join(of) or "none"] for name, of in found["models_that_fit"].items()]
    lines += ["", format_table(["model", "weights that fit this memory"], fits)]
    return "\n".join(lines)


def _device(device: dict[str, Any]) -> str:
    return f"{'' if device['available'] else 'absent: '}{device['description']}"


def _tensorrt(found: dict[str, Any]) -> list[str]:
    """Libraries of TensorRT, our plugins for it, and what keeps them from being used."""
    libraries = [
        f"TensorRT {each['version'] or each['major']}, {each['kind']}: {each['path']} "
        f"({each['found_by']})"
        for each in found["libraries"]
    ]
    plugins = [f"TensorRT plugins for {major}: {path}" for major, path in found["plugins"].items()]
    return [
        *(libraries or ["TensorRT: none"]),
        *(plugins or ["TensorRT plugins: none"]),
        *(f"TensorRT driver for {major}: {path}" for major, path in found["drivers"].items()),
        *(f"TensorRT: {problem}" for problem in found["problems"]),
    ]


def _extra(packages: dict[str, str | None]) -> str:
    missing = [name for name, version in packages.items() if version is None]
    here = [f"{name} {version}" for name, version in packages.items() if version is not None]
    return ", ".join([*here, *(f"{name} is missing" for name in missing)])
