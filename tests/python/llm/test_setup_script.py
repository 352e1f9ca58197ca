"""scripts/setup_llm.sh: what it checks, and what it runs. Nothing is installed here."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.house import ROOT

SCRIPT = ROOT / "scripts" / "setup_llm.sh"


def write_program(path: Path, line: str) -> None:
    path.write_text(f"#!/bin/bash\n{line}\n")
    path.chmod(0o755)


def programs(folder: Path) -> Path:
    """A folder with the few programs that the script may use."""
    folder.mkdir()
    for name in ("bash", "dirname", "head", "tail", "cat"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    write_program(folder / "python3", f'exec "{sys.executable}" "$@"')
    return folder


def run(path: Path, environment: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", str(SCRIPT), str(environment)],
        env={"PATH": str(path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_missing_compiler_is_named(tmp_path: Path) -> None:
    done = run(programs(tmp_path / "bin"), tmp_path / "env")
    assert done.returncode == 1
    assert done.stderr.startswith("setup_llm: error: expected a C++20 compiler")
    assert not (tmp_path / "env").exists()


def test_it_installs_into_the_environment_and_shows_the_machine(tmp_path: Path) -> None:
    path = programs(tmp_path / "bin")
    write_program(path / "c++", "echo 'c++ 13.1'")
    inside = tmp_path / "env" / "bin"
    inside.mkdir(parents=True)
    for name in ("python", "ttsrt"):
        write_program(inside / name, f'echo "{name} $*" >> {tmp_path}/calls')
    done = run(path, tmp_path / "env")
    assert done.returncode == 0, done.stderr
    assert "compiler: c++ 13.1" in done.stdout and "nvcc: none" in done.stdout
    assert (tmp_path / "calls").read_text().splitlines() == [
        "python -m pip install -q .[llm,bench,quality]",
        "ttsrt doctor",
    ]
    assert {each.name for each in tmp_path.iterdir()} == {"bin", "env", "calls"}
