"""`manifest.jsonl` of `ttsrt say --output_dir`: what was spoken, so that a rerun goes on from it.

A row is appended once its file of sound is there, so what the manifest says is true after a kill.
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

from ttsrt_rt.errors import ConfigError
from ttsrt_rt.writing import writing

__all__ = ["Entry", "Manifest"]

NAME = "manifest.jsonl"
MAX_LINE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What became of a row.

    Attributes:
        id: Of the row.
        request_sha256: Of all that decides about the sound.
        seed: That was drawn with.
        frames: Of the codec.
        seconds: Of sound.
        bytes: Of its file.
        finish_reason: As of a result; "error" for a row that failed.
        error: What went wrong; None for nothing.
    """

    id: str
    request_sha256: str
    seed: int
    frames: int = 0
    seconds: float = 0.0
    bytes: int = 0
    finish_reason: str = "error"
    error: str | None = None


class Manifest:
    """The manifest of a folder, open for one process. A context manager."""

    def __init__(self, folder: Path) -> None:
        """Opens the manifest, or makes it; a torn last line is cut off.

        Raises:
            ConfigError: Another process writes it, or it can't be written.
        """
        self._folder = folder
        self.path = folder / NAME
        with writing(self.path):
            self._file = open(self.path, "a+b")  # noqa: SIM115 - closed on leaving
        try:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ConfigError(
                    f"--output_dir: {self.path}: expected no other process that writes it, got one"
                ) from error
            self._entries = self._read()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Manifest:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._file.close()

    def has(self, name: str, request_sha256: str, sound: Path) -> bool:
        """Whether a row was spoken as it would be now, and its file is whole."""
        entry = self._entries.get(name)
        if entry is None or entry.request_sha256 != request_sha256:
            return False
        try:
            return sound.is_file() and sound.stat().st_size == entry.bytes
        except OSError:
            return False

    def add(self, entry: Entry) -> None:
        """Appends what became of a row.

        Raises:
            ConfigError, CapacityError, DeviceError: As `writing`.
        """
        line = f"{json.dumps(asdict(entry), ensure_ascii=False)}\n".encode("utf-8", "replace")
        with writing(self.path):
            self._file.write(line)
            self._file.flush()
            os.fsync(self._file.fileno())
        if entry.error is None:
            self._entries[entry.id] = entry

    def _read(self) -> dict[str, Entry]:
        """The last entry of each row that was spoken. Rows of other lines run again."""
        entries: dict[str, Entry] = {}
        end = 0
        self._file.seek(0)
        while line := self._file.readline(MAX_LINE):
            if line.endswith(b"\n"):
                end += len(line)
            elif len(line) < MAX_LINE:
                break
            else:
                end += len(line)
                continue
            entry = _entry_of(line)
            if entry is not None and entry.error is None:
                entries[entry.id] = entry
        with writing(self.path):
            self._file.truncate(end)
            self._file.seek(0, os.SEEK_END)
        return entries


def _entry_of(line: bytes) -> Entry | None:
    try:
        values: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    known = {field.name for field in fields(Entry)}
    if (
        not isinstance(values, dict)
        or not {"id", "request_sha256", "seed"} <= values.keys() <= known
    ):
        return None
    kinds = {"id": str, "request_sha256": str, "bytes": int}
    if any(name in values and type(values[name]) is not kind for name, kind in kinds.items()):
        return None
    return Entry(**values)
