"""The build backend: scikit-build-core, with a build directory that is kept between installs.

The setting `build-dir` of scikit-build-core (`-C build-dir=...`, or SKBUILD_BUILD_DIR in the
environment) takes precedence.
"""

from __future__ import annotations

from typing import Any

from build_directory import kept_directory
from scikit_build_core import build as backend
from scikit_build_core.build import *  # noqa: F403  # the other hooks that pip and build call


def build_wheel(
    wheel_directory: str,
    config_settings: dict[str, Any] | None = None,
    metadata_directory: str | None = None,
) -> str:
    """Builds a wheel in the kept directory of this checkout, if it is one."""
    with kept_directory() as directory:
        settings = dict(config_settings or {})
        if directory is not None and "skbuild.build-dir" not in settings:
            settings.setdefault("build-dir", str(directory))
        return backend.build_wheel(wheel_directory, settings, metadata_directory)
