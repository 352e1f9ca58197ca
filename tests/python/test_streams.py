"""Closed and narrow standard streams, and signals, of whole processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CLI = [sys.executable, "-m", "ttsrt_rt"]


def shell(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["bash", "-c", script, "bash", *CLI, *arguments],
        capture_output=True,
        env={**os.environ, **environment},
        check=False,
    )


@pytest.fixture
def run_flags(engine: Path, tmp_path: Path) -> list[str]:
    (tmp_path / "ids.json").write_text(json.dumps(list(range(3, 20))))
    flags = ["--text_ids", str(tmp_path / "ids.json"), "--voice", "0", "--max_frames", "2"]
    return ["run", str(engine), *flags, "--output", str(tmp_path / "codes.npy")]


@pytest.mark.parametrize("close", [">&-", "2>&-", "<&- >&- 2>&-", "| head -c 0", "2>&1 | true"])
def test_closed_streams(run_flags: list[str], tmp_path: Path, close: str) -> None:
    done = shell(f'set -o pipefail; "$@" {close}', *run_flags)
    assert done.returncode == 0, done.stderr
    assert b"Traceback" not in done.stderr and b"Exception" not in done.stderr
    assert (tmp_path / "codes.npy").stat().st_size > 0


@pytest.mark.parametrize(
    "command",
    [["inspect", "{engine}"], ["run", "--help"], ["--version"], ["inspect", "{engine}", "--json"]],
)
def test_a_reader_that_leaves(engine: Path, command: list[str]) -> None:
    filled = [part.replace("{engine}", str(engine)) for part in command]
    done = shell('set -o pipefail; "$@" | head -c 1', *filled)
    assert done.returncode == 0 and done.stderr == b""


@pytest.mark.parametrize("command", [["inspect", "{engine}"], ["--help"], ["run", "--help"]])
def test_a_full_standard_output(engine: Path, command: list[str]) -> None:
    filled = [part.replace("{engine}", str(engine)) for part in command]
    done = shell('"$@" > /dev/full', *filled)
    assert done.returncode == 1
    assert done.stderr == b"ttsrt: error: standard output: No space left on device\n"


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    ],
)
def test_names_of_any_script_on_any_terminal(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, environment: dict[str, str]
) -> None:
    for index, name in enumerate(("\u30dc\u30a4\u30b9", os.fsdecode(b"b\xff"))):
        target = str(tmp_path / name)
        flags = ["--checkpoint_dir", str(checkpoint_of("tiny2503")), "--output_dir", target]
        done = shell('"$@"', "build", *flags, **environment)
        assert done.returncode == 0 and b"Traceback" not in done.stderr, (index, done.stderr)
        assert done.stdout.startswith(b"engine: ")
        assert (tmp_path / name / "engine.json").is_file()
        assert shell('"$@"', "inspect", target, **environment).returncode == 0


def test_bars_are_for_terminals(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> None:
    flags = ["--checkpoint_dir", str(checkpoint_of("tiny2503"))]
    done = shell('"$@"', "build", *flags, "--output_dir", str(tmp_path / "engine"))
    assert done.returncode == 0 and done.stderr == b""


@pytest.mark.parametrize("place", ["before", "after"])
def test_verbose_is_obeyed(
    checkpoint_of: Callable[[str], Path], tmp_path: Path, place: str
) -> None:
    flags = ["--checkpoint_dir", str(checkpoint_of("tiny2503"))]
    command = ["build", *flags, "--output_dir", str(tmp_path / "engine")]
    command = ["--verbose", *command] if place == "before" else [*command, "--verbose"]
    done = shell('"$@"', *command)
    assert done.returncode == 0
    assert b"ttsrt: limits: " in done.stderr and b"max_batch_size" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signals_leave_no_litter(tmp_path: Path, number: signal.Signals) -> None:
    # A shell's background jobs ignore SIGINT, and so would what they start.
    code = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
import ttsrt_rt
from ttsrt_rt.cli import main
module = sys.modules["ttsrt_rt.build"]
real = module.build
def slow(*args, **options):
    options["progress"] = lambda *_: (print("working", flush=True), time.sleep(0.2))
    real(*args, **options)
module.build = slow
sys.exit(main(sys.argv[1:]))
"""
    import ttsrt_rt as rt
    from tests.conftest import source_of

    rt.convert(source_of("tiny2503"), tmp_path / "checkpoint", progress=None)
    flags = ["--checkpoint_dir", tmp_path / "checkpoint", "--output_dir", tmp_path / "new" / "e"]
    command = [sys.executable, "-c", code, "build", *map(str, flags)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"working\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number and errors.count(b"\n") == 1
    assert os.listdir(tmp_path) == ["checkpoint"]


def test_a_current_folder_that_was_removed(engine: Path, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "ids.json").write_text("[3, 4, 5]")
    flags = ["--text_ids", str(tmp_path / "ids.json"), "--voice", "0", "--max_frames", "2"]
    script = f'mkdir -p {tmp_path}/gone && cd {tmp_path}/gone && rmdir {tmp_path}/gone && "$@"'
    for output in ([], ["--output", "x.npy"]):
        done = shell(script, "run", str(engine), *flags, *output)
        assert done.returncode == 2
        told = done.stderr.splitlines()[-1]
        assert told == b"ttsrt: error: the current folder was removed; change to another one"
    done = shell(script, "run", str(engine), *flags, "--output", str(tmp_path / "x.npy"))
    assert done.returncode == 0 and (tmp_path / "x.npy").is_file()


def test_names_that_are_not_utf8_look_the_same_everywhere(
    checkpoint_of: Callable[[str], Path], tmp_path: Path
) -> None:
    flags = ["--checkpoint_dir", str(checkpoint_of("tiny2503"))]
    name = os.fsdecode(os.fsencode(tmp_path) + b"/e\xff")
    done = shell('"$@"', "build", *flags, "--output_dir", name)
    assert done.stdout.endswith(b"/e\\xff\n")
    done = shell('"$@"', "build", *flags, "--output_dir", name)
    assert done.returncode == 2 and b"/e\\xff" in done.stderr and b"udc" not in done.stderr


def test_names_of_voices_are_utf8_in_any_locale(engine: Path, run_flags: list[str]) -> None:
    flags = [*run_flags[:4], "--voice", "\u79c1", *run_flags[6:]]
    done = shell('"$@"', *flags, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 2 and b"\\u79c1" in done.stderr and b"udc" not in done.stderr
