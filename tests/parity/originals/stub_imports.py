"""Imports single files of the original without the rest of its package.

The model files import trainers, data loaders and speech evaluation. Decoding uses none of them, so
every import outside a short list becomes an inert stand-in; the listed files are executed
unchanged.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import MagicMock

# Files that are executed unchanged; everything else in the package is a stand-in.
REAL = (
    "nemo.collections.tts.models.magpietts",
    "nemo.collections.tts.modules.ffn_modules",
    "nemo.collections.tts.modules.magpietts_modules",
    "nemo.collections.tts.modules.moe_modules",
    "nemo.collections.tts.modules.transformer_2501",
    "nemo.collections.tts.parts.utils.helpers",
    "nemo.utils.enum",
)
_executed = set(REAL)
# Libraries that decoding never calls.
FOREIGN = (
    "hydra",
    "lhotse",
    "librosa",
    "lightning",
    "matplotlib",
    "numba",
    "seaborn",
    "soundfile",
    "transformers",
    "wandb",
)


class StandIn(types.ModuleType):
    """A module in which every attribute exists and does nothing."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)
        if f"{self.__name__}.{name}" in _executed:
            return importlib.import_module(f"{self.__name__}.{name}")
        value = MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, value)
        return value


class _Loader(importlib.abc.Loader):
    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        return None


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, source: Path) -> None:
        self.source = source

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        root = fullname.split(".")[0]
        if root != "nemo" and root not in FOREIGN:
            return None
        if fullname in _executed:
            file = self.source / (fullname.replace(".", "/") + ".py")
            if file.is_file():
                return importlib.util.spec_from_file_location(fullname, file)
        return importlib.machinery.ModuleSpec(fullname, _Loader(), is_package=True)


def install(source: Path, real: Sequence[str] = REAL) -> None:
    """Makes all later imports of `nemo.*` use `source`, the folder that holds `nemo/`, of which the
    files `real` are executed.
    """
    _executed.clear()
    _executed.update(real)
    sys.meta_path.insert(0, _Finder(source))
