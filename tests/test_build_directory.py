"""Tests the choice of a checkout's build directory, and that the build backend uses it."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from .house import ROOT


@pytest.fixture
def build_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    return importlib.import_module("build_directory")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "checkout" / ".git").mkdir(parents=True)
    return tmp_path / "checkout"


def test_a_checkout_keeps_its_directory(build_directory: ModuleType, checkout: Path) -> None:
    with build_directory.kept_directory(checkout) as first:
        pass
    with build_directory.kept_directory(checkout) as second:
        assert first == second
        assert first.name.endswith(sys.implementation.cache_tag)
        assert checkout not in first.parents
    (checkout.parent / "other" / ".git").mkdir(parents=True)
    with build_directory.kept_directory(checkout.parent / "other") as other:
        assert other != first


def test_an_sdist_has_none(build_directory: ModuleType, tmp_path: Path) -> None:
    with build_directory.kept_directory(tmp_path) as directory:
        assert directory is None


def test_without_a_cache_there_is_none(
    build_directory: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout.parent / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(checkout.parent / "file"))
    with build_directory.kept_directory(checkout) as directory:
        assert directory is None


def test_a_user_without_a_home_has_none(
    build_directory: ModuleType, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(build_directory.os.path, "expanduser", lambda path: path)
    with build_directory.kept_directory(checkout) as directory:
        assert directory is None


def test_directories_of_removed_checkouts_go(
    build_directory: ModuleType, checkout: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache" / "ttsrt_rt" / "build"
    for name, source in {"kept": checkout, "gone": tmp_path / "removed"}.items():
        (cache / name).mkdir(parents=True)
        (cache / name / ".skbuild-info.json").write_text(json.dumps({"source_dir": str(source)}))
    (cache / "damaged").mkdir()
    (cache / "damaged" / ".skbuild-info.json").write_text("{")
    with build_directory.kept_directory(checkout):
        assert {path.name for path in cache.iterdir() if path.is_dir()} == {"kept", "damaged"}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, {"build-dir": "kept"}),
        ({"cmake.build-type": "Debug"}, {"cmake.build-type": "Debug", "build-dir": "kept"}),
        ({"build-dir": "mine"}, {"build-dir": "mine"}),
        ({"skbuild.build-dir": "mine"}, {"skbuild.build-dir": "mine"}),
    ],
)
def test_the_backend_builds_there(
    build_directory: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    given: dict[str, Any] | None,
    expected: dict[str, Any],
) -> None:
    @contextmanager
    def kept() -> Iterator[Path]:
        yield Path("kept")

    def build_wheel(folder: str, settings: dict[str, Any], metadata: str | None) -> str:
        assert (folder, settings, metadata) == ("wheels", expected, None)
        return "ttsrt_rt.whl"

    fake = SimpleNamespace(build_wheel=build_wheel, build_sdist=lambda folder: "sdist")
    monkeypatch.setattr(build_directory, "kept_directory", kept)
    monkeypatch.setitem(sys.modules, "scikit_build_core", SimpleNamespace(build=fake))
    monkeypatch.setitem(sys.modules, "scikit_build_core.build", fake)
    monkeypatch.delitem(sys.modules, "build_backend", raising=False)
    backend = importlib.import_module("build_backend")
    assert backend.build_wheel("wheels", given) == "ttsrt_rt.whl"
    assert backend.build_sdist("sdists") == "sdist"
