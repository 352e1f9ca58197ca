"""Imports the packages that a language needs, and says how to get them where they are missing."""

from __future__ import annotations

import functools
import importlib
import warnings
from importlib import metadata
from typing import Any

from ttsrt_rt.errors import ConfigError

__all__ = ["imported", "installed"]


def imported(module: str, extra: str, language: str) -> Any:
    """Returns a module. Its warnings about its own code are not the caller's and stay silent.

    Args:
        module: its name.
        extra: of this package, which installs it.
        language: what needs it.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ConfigError(
            f"text: {language} needs the package {package}, which is not installed; "
            f"the extra {extra} has it"
        ) from error


@functools.cache
def installed(*packages: str) -> str:
    """The first of several packages that is installed, with its version; the last one without a
    version if none is known.
    """
    for package in packages:
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    return packages[-1]
