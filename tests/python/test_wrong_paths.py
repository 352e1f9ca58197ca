"""Paths that name nothing, or something else: messages say what is there and what comes next."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from ttsrt_rt.cli import main
from ttsrt_rt.convert.checkpoint import check_checkpoint
from ttsrt_rt.inspection import inspect_folder
from ttsrt_rt.memory import plan_memory

OPENERS: dict[str, Callable[[Any, Path], object]] = {
    "Executor": lambda path, _: rt.Executor(path),
    "Engine.open": lambda path, _: rt.Engine.open(path),
    "plan_memory": lambda path, _: plan_memory(path),
    "build": lambda path, out: rt.build(path, out),
    "convert": lambda path, out: rt.convert(path, out),
    "from_checkpoint": lambda path, out: rt.Executor.from_checkpoint(path, cache_dir=out),
}


@pytest.mark.parametrize("opener", OPENERS)
def test_a_path_that_does_not_exist(opener: str, tmp_path: Path) -> None:
    for absent in (tmp_path / "absent", str(tmp_path / "absent.nemo"), "a/b/c", b"absent"):
        with pytest.raises(FileNotFoundError, match="no file or folder of this name") as caught:
            OPENERS[opener](absent, tmp_path / "out")
        assert isinstance(caught.value, (rt.ConfigError, ValueError))
        assert type(caught.value) is rt.NotFoundError
        assert os.fsdecode(absent) in str(caught.value)
        copy = pickle.loads(pickle.dumps(caught.value))
        assert str(copy) == str(caught.value) and type(copy) is rt.NotFoundError


@pytest.mark.parametrize("opener", OPENERS)
@pytest.mark.parametrize(
    "value",
    [None, 5, 1.5, ["engine"], "a\0b", object()],
    ids=["None", "int", "float", "list", "null", "object"],
)
def test_what_is_no_path(opener: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(rt.ConfigError, match="expected a path, got "):
        OPENERS[opener](value, tmp_path / "out")


@pytest.mark.parametrize("opener", OPENERS)
def test_surrogates_are_names_that_are_not_utf8(opener: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        OPENERS[opener](f"{tmp_path}/caf\udce9", tmp_path / "out")
    with pytest.raises(rt.ConfigError):
        OPENERS[opener](f"{tmp_path}/caf\ud800", tmp_path / "out")


def test_an_engine_whose_name_is_not_utf8(engine: Path, tmp_path: Path) -> None:
    link = os.fsencode(tmp_path) + b"/caf\xe9"
    os.symlink(engine, link)
    opened = rt.Engine.open(link)
    assert os.fsencode(opened.path) == link
    assert "caf" in repr(opened)


def test_what_comes_next(
    engine: Path, checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    checkpoint = checkpoint_of("tinyhf")
    nemo = tmp_path / "x.nemo"
    nemo.write_bytes(b"x")
    cases: list[tuple[str, Path, str]] = [
        (
            "Executor",
            nemo,
            f"got a .nemo archive; .*convert {nemo} CHECKPOINT && ttsrt build",
        ),
        ("build", nemo, f"got a .nemo archive; .*convert {nemo} CHECKPOINT && ttsrt build"),
        ("Executor", checkpoint, f"isn't built yet; .*ttsrt build --checkpoint_dir {checkpoint} "),
        ("build", engine, f"got an engine; it is built already, run it: ttsrt run {engine}"),
        ("convert", engine, f"got an engine; `ttsrt run {engine}` runs it"),
        ("convert", engine / "engine.json", f"`ttsrt run {engine}` runs it"),
        (
            "convert",
            checkpoint,
            f"that was converted; .*--checkpoint_dir {checkpoint}",
        ),
        ("convert", checkpoint / "model.safetensors", f"--checkpoint_dir {checkpoint}"),
        ("Executor", engine / "engine.json", f"got a file of an engine; pass its folder: {engine}"),
        ("Executor", tmp_path, f"a folder with a checkpoint of another program; .*{nemo}"),
    ]
    for opener, path, told in cases:
        with pytest.raises((rt.ConfigError, rt.FormatError), match=told) as caught:
            OPENERS[opener](path, tmp_path / "out")
        assert str(caught.value).startswith((f"{path}: expected ", f"{path.parent}: expected "))
        assert not isinstance(caught.value, FileNotFoundError)


def test_inspecting_nothing(tmp_path: Path) -> None:
    with pytest.raises(rt.NotFoundError):
        inspect_folder(tmp_path / "absent")
    with pytest.raises(rt.ConfigError, match="expected a path"):
        inspect_folder("")


def test_inspecting_something_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nemo = tmp_path / "x.nemo"
    nemo.write_bytes(b"x")
    told = f"an engine or a checkpoint, got a .nemo archive; .*ttsrt convert {nemo}"
    with pytest.raises(rt.ConfigError, match=told):
        inspect_folder(nemo)

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    with pytest.raises(rt.ConfigError, match="can't be read: no permission"):
        inspect_folder(tmp_path)


def test_comparing_something_else(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nemo = tmp_path / "x.nemo"
    nemo.write_bytes(b"x")
    for path, told in (
        (engine, "got an engine; pass the checkpoint"),
        (nemo, f"got a file; .*ttsrt convert {nemo} CHECKPOINT"),
        (tmp_path, "got a folder without config.json; .*ttsrt convert"),
        (tmp_path / "absent", "got no file or folder of this name"),
    ):
        with pytest.raises(rt.ConfigError, match=told):
            check_checkpoint(path)
        assert main(["bench", "compare", str(path)]) == 2
        errors = capsys.readouterr().err
        assert f"{path}: expected a checkpoint, which ttsrt convert writes" in errors


def test_errors_of_the_system_name_the_path_and_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "/x/y")

    monkeypatch.setattr("ttsrt_rt.inspection.inspect_folder", refuse)
    assert main(["inspect", "engine"]) == 2
    assert capsys.readouterr().err == "ttsrt: error: /x/y: Permission denied\n"
