"""Trees appear whole, and replace only trees of their kind."""

from __future__ import annotations

from pathlib import Path

import pytest

import ttsrt_rt as rt
from ttsrt_rt.export.tree_writer import write_tree


def write(target: Path, files: dict[str, bytes], *, overwrite: bool = False) -> Path:
    return write_tree(
        target,
        files,
        noun="a tree",
        format="test.tree",
        description="tree.json",
        overwrite=overwrite,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "tree.json"
    }


FILES = {"a/config": b"one", "a/1/model.py": b"two"}


def test_a_new_tree(tmp_path: Path) -> None:
    assert write(tmp_path / "new" / "tree", FILES) == (tmp_path / "new" / "tree").resolve()
    assert contents(tmp_path / "new" / "tree") == FILES
    (tmp_path / "empty").mkdir()
    write(tmp_path / "empty", FILES)
    assert contents(tmp_path / "empty") == FILES
    (tmp_path / "target").mkdir()
    (tmp_path / "link").symlink_to("target")
    write(tmp_path / "link", FILES)
    assert (tmp_path / "link").is_symlink()
    assert contents(tmp_path / "target") == FILES


def test_only_what_is_ours_is_replaced(tmp_path: Path) -> None:
    target = write(tmp_path / "tree", FILES)
    with pytest.raises(rt.ConfigError, match="holds a tree already; pass overwrite"):
        write(target, FILES)
    (target / "a" / "1" / "__pycache__").mkdir()
    (target / "a" / "1" / "__pycache__" / "model.pyc").touch()
    other = {"b": b"three"}
    write(target, other, overwrite=True)
    assert contents(target) == other
    (target / "mine.txt").write_text("mine")
    with pytest.raises(rt.ConfigError, match=r"it holds mine\.txt; what is not a tree is never"):
        write(target, FILES, overwrite=True)
    assert (target / "mine.txt").read_text() == "mine"
    for name in ("folder", "file"):
        (tmp_path / name).mkdir() if name == "folder" else (tmp_path / name).touch()
    (tmp_path / "folder" / "x").touch()
    with pytest.raises(rt.ConfigError, match="isn't a tree alone: it holds x"):
        write(tmp_path / "folder", FILES, overwrite=True)
    with pytest.raises(rt.ConfigError, match="isn't a folder"):
        write(tmp_path / "file", FILES, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "tree"]


def test_a_failure_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = write(tmp_path / "tree", FILES)
    rename = Path.rename

    def fail(self: Path, to: Path) -> Path:
        if self.suffix == ".tmp":
            raise OSError(5, "broken")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(rt.DeviceError, match="tree: can't be written: broken"):
        write(target, {"b": b"three"}, overwrite=True)
    assert contents(target) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
