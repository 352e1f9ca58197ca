"""No command loses what it made, what it reads, or what somebody else left under a default name."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ttsrt_rt.cli import _parser, main
from ttsrt_rt.cli.outputs import make_folder
from ttsrt_rt.cli.parser import Parser
from ttsrt_rt.errors import ConfigError

IDS = list(range(3, 20))


def parsers(parser: Parser, name: str = "") -> Iterator[tuple[str, Parser]]:
    """All commands, with their names."""
    yield name, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command, inner in action.choices.items():
                yield from parsers(inner, f"{name} {command}".strip())


COMMANDS = dict(parsers(_parser()))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_output_is_declared(command: str) -> None:
    parser = COMMANDS[command]
    names = {action.dest for action in parser._actions}
    wanted = {
        name for name in names if re.match(r"output(?!_dir|_len)|alignment_out|.*_json", name)
    }
    if command == "say":
        wanted |= {"codes", "timestamps"}
    assert wanted == set(parser.outputs)
    read = {
        action.dest
        for action in parser._actions
        if action.dest in ("engine", "checkpoint", "dataset", "requests") and action.type is None
    }
    if parser.outputs:
        assert read <= set(parser.inputs) <= names


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a text, requests and a data set."""
    (tmp_path / "ids.json").write_text(json.dumps(IDS))
    line = json.dumps({"text_ids": IDS, "voice": 0, "max_frames": 2})
    (tmp_path / "r.jsonl").write_text(line + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_of(engine: Path) -> list[str]:
    return ["run", str(engine), "--text_ids", "ids.json", "--voice", "0", "--max_frames", "2"]


def test_two_outputs_are_two_files(
    engine: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "there.npy").write_bytes(b"kept")
    os.link("there.npy", "hard.npy")
    (place / "soft.npy").symlink_to("there.npy")
    (place / "sub").mkdir()
    for one, other in (
        ("a.npy", "a.npy"),
        ("a.npy", "./a.npy"),
        ("a.npy", f"{place}/sub/../a.npy"),
        ("there.npy", "hard.npy"),
        ("there.npy", "soft.npy"),
    ):
        command = [*run_of(engine), "--output", one, "--alignment_output", other]
        assert main(command) == 2
        assert "--alignment_output: expected another file than --output" in capsys.readouterr().err
    assert (place / "there.npy").read_bytes() == b"kept" and not (place / "a.npy").exists()
    bench = ["bench", "run", str(engine), "--dataset", "ids.json", "--output_csv", "x.json"]
    assert main([*bench, "--output_json", "x.json"]) == 2
    assert "--output_json: expected another file than --output_csv" in capsys.readouterr().err


def test_an_output_is_no_input(
    engine: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "link.json").symlink_to("ids.json")
    (place / "engine").symlink_to(engine)
    run, bench = run_of(engine), ["bench", "run", str(engine), "--dataset", "ids.json"]
    for command, told in (
        ([*run, "--output", "ids.json"], "--output: expected another file than --text_ids"),
        ([*run, "--output", "link.json"], "--output: expected another file than --text_ids"),
        ([*run[:3], "ids.json:key", "--output", "ids.json"], "than --text_ids"),
        ([*run, "--alignment_output", "ids.json"], "--alignment_output: expected another file"),
        ([*run, "--output", "engine/engine.json"], "than the engine"),
        ([*bench, "--output_json", "ids.json"], "--output_json: expected another file than --data"),
        ([*bench, "--responses_json", f"{engine}/engine.json"], "than the engine"),
        (
            ["run", str(engine), "--requests", "r.jsonl", "--output", "./r.jsonl"],
            "--output: expected another file than --requests",
        ),
    ):
        assert main(command) == 2, command
        assert told in capsys.readouterr().err, command
    assert json.loads((place / "ids.json").read_text()) == IDS
    assert (engine / "engine.json").stat().st_size > 100


def test_standard_input_and_output_are_files_too(engine: Path, place: Path) -> None:
    command = [sys.executable, "-m", "ttsrt_rt", "run", str(engine), "--requests", "-"]
    with (place / "r.jsonl").open("rb") as lines:
        done = subprocess.run(
            [*command, "--output", "r.jsonl"], stdin=lines, capture_output=True, check=False
        )
    assert done.returncode == 2 and b"expected another file than --requests" in done.stderr
    assert (place / "r.jsonl").stat().st_size > 0
    closed = ["bash", "-c", '"$@" >&-', "bash", *command[:3]]
    for flags in ([*run_of(engine), "--output", "-"], ["inspect", str(engine), "--json"]):
        done = subprocess.run([*closed, *flags], capture_output=True, check=False)
        assert done.returncode == 2 and b"expected standard output to be open" in done.stderr


def test_a_device_may_be_named_twice(engine: Path, place: Path) -> None:
    (place / "null.npy").symlink_to("/dev/null")
    command = [*run_of(engine), "--output", "null.npy", "--alignment_output", "null.npy"]
    assert main(command) == 0


def test_a_default_name_replaces_nothing(
    engine: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, many = run_of(engine), ["run", str(engine), "--requests", "r.jsonl"]
    prepare = ["bench", "prepare", "--samples", "1"]
    for command, name in ((run, "codes.npy"), (many, "codes.jsonl"), (prepare, "samples.json")):
        assert main(command) == 0
        made = (place / name).read_bytes()
        assert main([*command]) == 2
        told = capsys.readouterr().err
        assert f"--output: {place / name} exists already" in told
        assert (place / name).read_bytes() == made
        assert main([*command, "--output", name]) == 0


@pytest.mark.parametrize(
    "flags",
    [
        ["run", "e", "--text_ids", "ids.json", "--output", ""],
        ["run", "e", "--text_ids", "ids.json", "--alignment_output", ""],
        ["bench", "run", "e", "--dataset", "ids.json", "--output_json", ""],
        ["build", "--checkpoint_dir", "c", "--output_dir", ""],
        ["build", "--checkpoint_dir", "", "--output_dir", "x"],
        ["convert", "c", ""],
        ["convert", "", "x"],
        ["inspect", ""],
        ["run", "", "--text_ids", "ids.json"],
        ["demo", "--output_dir", ""],
        ["bench", "crowd", "--size", "2503", "--folder", ""],
    ],
)
def test_an_empty_name_is_refused(
    place: Path, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(os.listdir(place))
    assert main(flags) == 2
    told = capsys.readouterr().err
    assert "empty name" in told or "got ''" in told or 'got ""' in told, told
    assert sorted(os.listdir(place)) == before


def test_make_folder_names_the_flag(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert make_folder("--folder", "new/one").is_dir()
    for name in ("ids.json", "ids.json/x"):
        with pytest.raises(ConfigError, match=r"--folder: .*ids\.json.*: expected a folder"):
            make_folder("--folder", name)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "x")

    monkeypatch.setattr(os, "makedirs", refuse)
    with pytest.raises(ConfigError, match=r"--folder: .*made: Permission denied"):
        make_folder("--folder", "other")


def test_a_missing_folder_names_the_flag(
    engine: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*run_of(engine), "--output", "absent/a.npy"]) == 2
    assert f"--output: {place}/absent/a.npy: expected a folder that" in capsys.readouterr().err
    assert main([*run_of(engine), "--output", "codes.pt"]) == 2
    assert "--output: expected a name that ends in" in capsys.readouterr().err
