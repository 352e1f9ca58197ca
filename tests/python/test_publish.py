"""`convert` and `build` publish whole folders: what appears when, and what is left behind."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import ttsrt_rt as rt
from tests.conftest import source_of
from ttsrt_rt import _core

FILES = {
    "convert": ["config.json", "model.safetensors"],
    "build": ["engine.json", "weights.safetensors"],
}


class Writing:
    """One of the two functions, with a source of its own."""

    def __init__(self, name: str, source: Path) -> None:
        self.name = name
        self.source = source
        self.files = FILES[name]

    def __call__(
        self,
        target: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> None:
        if self.name == "convert":
            rt.convert(self.source, target, overwrite=overwrite, progress=progress)
        else:
            rt.build(self.source, target, overwrite=overwrite, progress=progress)

    def command(self, target: str | os.PathLike[str], *flags: str) -> list[str]:
        if self.name == "convert":
            return ["convert", str(self.source), str(target), *flags]
        return ["build", "--checkpoint_dir", str(self.source), "--output_dir", str(target), *flags]


@pytest.fixture(params=list(FILES))
def write(request: pytest.FixtureRequest, checkpoint_of: Callable[[str], Path]) -> Writing:
    is_convert = request.param == "convert"
    return Writing(
        request.param, source_of("tiny2503") if is_convert else checkpoint_of("tiny2503")
    )


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_the_target_appears_whole(write: Writing, tmp_path: Path) -> None:
    target = tmp_path / "new" / "target"
    seen: list[bool] = []
    counts: list[tuple[int, int]] = []

    def look(done: int, of: int, name: str) -> None:
        seen.append(target.exists())
        counts.append((done, of))
        assert name

    write(target, progress=look)
    assert names(target) == write.files and not any(seen)
    assert counts == [(at + 1, len(counts)) for at in range(len(counts))]
    assert names(tmp_path / "new") == ["target"]


def test_an_error_of_the_callback_leaves_nothing(write: Writing, tmp_path: Path) -> None:
    def fail(done: int, of: int, name: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "new" / "target", progress=fail)
    assert names(tmp_path) == []


@pytest.mark.parametrize("progress", ["yes", 1, [print]])
def test_other_progress_is_refused(write: Writing, tmp_path: Path, progress: object) -> None:
    with pytest.raises(rt.ConfigError, match="progress: expected True, False, None or a function"):
        write(tmp_path / "target", progress=progress)  # type: ignore[arg-type]
    assert names(tmp_path) == []


def test_links_are_followed(write: Writing, tmp_path: Path) -> None:
    for name, kept in (("link", "store"), ("dangling", "absent")):
        (tmp_path / name).symlink_to(kept)
    (tmp_path / "store").mkdir()
    for name, kept in (("link", "store"), ("dangling", "absent")):
        write(tmp_path / name)
        write(tmp_path / name, overwrite=True)
        assert (tmp_path / name).is_symlink() and names(tmp_path / kept) == write.files
    assert names(tmp_path) == ["absent", "dangling", "link", "store"]


def test_the_current_folder(
    write: Writing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = os.stat(".").st_ino
    write(".")
    write(".", overwrite=True)
    assert names(Path(".")) == write.files
    assert os.stat(tmp_path / "here").st_ino == before and names(tmp_path) == ["here"]


def test_what_appears_meanwhile_stays(write: Writing, tmp_path: Path) -> None:
    target = tmp_path / "target"

    def appear(done: int, of: int, name: str) -> None:
        target.mkdir(exist_ok=True)
        (target / "precious").write_text("keep")

    for overwrite in (False, True):
        with pytest.raises(rt.ConfigError, match="appeared"):
            write(target, overwrite=overwrite, progress=appear)
        assert names(target) == ["precious"] and names(tmp_path) == ["target"]
        shutil.rmtree(target)


def test_one_of_four_at_once_succeeds(write: Writing, tmp_path: Path) -> None:
    ends: list[str] = []
    begin = threading.Barrier(4)

    def run() -> None:
        begin.wait()
        try:
            write(tmp_path / "target")
            ends.append("ok")
        except rt.ConfigError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends.count("ok") == 1 and len(ends) == 4
    assert all(str(tmp_path / "target") in end for end in ends if end != "ok"), ends
    assert names(tmp_path) == ["target"] and names(tmp_path / "target") == write.files


def test_a_second_writer_is_told_who_works(write: Writing, tmp_path: Path) -> None:
    told: list[str] = []

    def again(done: int, of: int, name: str) -> None:
        if not told:
            with pytest.raises(rt.ConfigError) as second:
                write(tmp_path / "target")
            told.append(str(second.value))

    write(tmp_path / "target", progress=again)
    assert f"process {os.getpid()}" in told[0] and str(tmp_path / "target") in told[0]


@pytest.mark.parametrize("name", ["file", "file/target", "full", "foreign"])
def test_what_cannot_work_is_refused_first(write: Writing, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    write(tmp_path / "full")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "config.json").write_text("{}")
    (tmp_path / "foreign" / "model.safetensors").write_text("mine")
    before = names(tmp_path)

    def never(done: int, of: int, tensor: str) -> None:
        raise AssertionError("the work has begun")

    with pytest.raises(rt.ConfigError, match=str(tmp_path)):
        write(tmp_path / name, progress=never)
    assert names(tmp_path) == before
    assert (tmp_path / "foreign" / "model.safetensors").read_text() == "mine"


def test_names_of_any_kind(write: Writing, tmp_path: Path) -> None:
    for name in ("\u30dc\u30a4\u30b9", "x" * 255, os.fsdecode(b"bytes-\xff"), " a\nb "):
        write(tmp_path / name)
        write(tmp_path / name, overwrite=True)
        assert names(tmp_path / name) == write.files


def in_own_mounts(script: str, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a shell script that may mount; skips the test where the system does not allow it."""
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = [*own, "mount", "-t", "tmpfs", "none", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("needs mount namespaces of users (unshare)")
    return subprocess.run(
        [*own, "sh", "-c", script, "sh", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )


CLI = f'"{sys.executable}" -m ttsrt_rt'


def test_an_empty_mount_point(write: Writing, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    script = f"""
        mount -t tmpfs none mount && {CLI} "$@" && {CLI} "$@" --overwrite && ls -A mount . &&
        rm mount/* && mount -o remount,ro mount && ! {CLI} "$@"
    """
    done = in_own_mounts(script, tmp_path, *write.command(tmp_path / "mount"))
    assert done.returncode == 0, done.stderr
    listed = done.stdout[done.stdout.index(".:") :].split()
    assert listed == [".:", "mount", "mount:", *write.files]
    assert done.stderr.count("ttsrt: error: ") == 1
    assert f"{tmp_path / 'mount'}: can't be written: Read-only file system" in done.stderr


def test_a_full_disk(write: Writing, tmp_path: Path) -> None:
    (tmp_path / "mount").mkdir()
    script = f"""
        mount -t tmpfs -o size=64k none mount; {CLI} "$@"; echo "code $?"; ls -A mount
    """
    done = in_own_mounts(script, tmp_path, *write.command(tmp_path / "mount" / "deep" / "target"))
    assert done.stdout.split() == ["code", "1"], done.stdout
    assert "No space left on device" in done.stderr and "Traceback" not in done.stderr
    assert str(tmp_path / "mount" / "deep") in done.stderr


def test_a_full_disk_is_a_capacity_error(write: Writing, tmp_path: Path) -> None:
    code = """
import resource, sys
import ttsrt_rt as rt
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
try:
    getattr(rt, sys.argv[1])(sys.argv[2], sys.argv[3], progress=None)
except rt.CapacityError as error:
    print(error)
"""
    command = [sys.executable, "-c", code, write.name, str(write.source), str(tmp_path / "target")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert str(tmp_path) in done.stdout and "File too large" in done.stdout
    assert names(tmp_path) == []


def test_a_writer_that_was_closed(tmp_path: Path) -> None:
    kind = {"noun": "engine", "format": "f", "description": "engine.json"}
    writer = _core.FolderWriter(os.fsencode(tmp_path / "e"), others=[], overwrite=False, **kind)
    assert Path(writer.folder).is_dir() and writer.target == str(tmp_path / "e")
    writer.close()
    writer.close()
    assert names(tmp_path) == []
    with pytest.raises(rt.ClosedError):
        writer.publish()
