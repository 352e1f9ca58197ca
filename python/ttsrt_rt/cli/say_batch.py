"""`ttsrt say --file FILE --output_dir DIR`: a file of sound for each row, many rows in flight.

A file appears when it is whole, and then its line in the manifest, so a rerun after any end skips
what is there and makes the rest. A row that fails is a line of the manifest, and the others go on.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ttsrt_rt.audio.files import audio_bytes
from ttsrt_rt.cli.outputs import make_folder
from ttsrt_rt.cli.say_engine import open_executor
from ttsrt_rt.cli.say_key import RowHash
from ttsrt_rt.cli.say_manifest import Entry, Manifest
from ttsrt_rt.cli.say_options import (
    MAX_IN_FLIGHT,
    in_seconds,
    request_fields,
    request_of,
)
from ttsrt_rt.cli.say_outputs import format_of
from ttsrt_rt.cli.say_pool import Outcome, Pool
from ttsrt_rt.cli.say_rows import Row, read_rows
from ttsrt_rt.cli.say_texts import spaced
from ttsrt_rt.cli.say_voices import named_voice, voice_fields
from ttsrt_rt.cli.signals import Terminated
from ttsrt_rt.cli.streams import tell
from ttsrt_rt.cli.watermarks import marked
from ttsrt_rt.errors import ConfigError, Error
from ttsrt_rt.writing import writing

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.request import Request
    from ttsrt_rt.result import Result

__all__ = ["say_batch"]

_SUFFIXES = {"opus": "ogg"}  # of files whose format has another name
_LISTED = 20  # failed rows at the end


@dataclass
class _Counts:
    """What became of the rows.

    Attributes:
        made: Spoken now.
        kept: There already.
        failed: Their names and errors.
        cut: Of those made now, how many a limit cut.
        seconds: Of sound that was made now.
    """

    made: int = 0
    kept: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    cut: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class _Task:
    """A row to speak.

    Attributes:
        row: The row.
        seed: That it draws with.
        sha256: Of all that decides about its sound.
        request: What is run.
    """

    row: Row
    seed: int
    sha256: str
    request: Request


def say_batch(args: argparse.Namespace, engine: Path, *, is_demo: bool) -> int:
    """Speaks all rows of a file to files in a folder.

    Returns:
        0; 1 if a row failed.

    Raises:
        ConfigError: The file, the folder or a flag can't be used.
    """
    kind = format_of(args, None)
    rows = read_rows(args.file)
    first = next(rows, None)
    if first is None:
        raise ConfigError(f"--file: {args.file}: expected at least one row, got none")
    folder = make_folder("--output_dir", args.output_dir)
    counts = _Counts()
    begin = time.perf_counter()
    try:
        with ExitStack() as stack:
            manifest = stack.enter_context(Manifest(folder))
            batch = _Batch(args, engine, folder, kind, manifest, counts)
            batch.open(stack, is_demo)
            batch.run(first, rows)
    except (KeyboardInterrupt, Terminated):
        tell(f"ttsrt: {counts.made} rows were spoken before the interrupt, and are kept")
        raise
    return _report(counts, time.perf_counter() - begin, is_demo=is_demo)


class _Batch:
    """The rows of one command."""

    def __init__(
        self,
        args: argparse.Namespace,
        engine: Path,
        folder: Path,
        kind: str,
        manifest: Manifest,
        counts: _Counts,
    ) -> None:
        self._args = args
        self._engine = engine
        self._folder = folder
        self._kind = kind
        self._suffix = _SUFFIXES.get(kind, kind)
        self._manifest = manifest
        self._counts = counts

    def open(self, stack: ExitStack, is_demo: bool) -> None:
        """Opens the executor, the bar and the threads that wait for rows."""
        from tqdm import tqdm

        args = self._args
        self._is_demo = is_demo
        self._executor: Executor = stack.enter_context(
            open_executor(args, self._engine, max_queue_size=2 * MAX_IN_FLIGHT)
        )
        self._fields = request_fields(args, self._executor)
        self._voice = voice_fields(args, self._executor) if args.voice is not None else None
        self._hash = RowHash(args, self._executor, self._fields)
        is_off = True if args.quiet or os.environ.get("TQDM_DISABLE") else None
        self._bar = stack.enter_context(tqdm(unit="row", disable=is_off))
        num_threads = args.max_in_flight or 2 * self._executor.engine.info.max_batch_size
        self._pool: Pool[_Task, Result] = stack.enter_context(
            Pool(self._speak, min(max(1, num_threads), MAX_IN_FLIGHT))
        )
        self._begin = time.perf_counter()

    def run(self, first: Row, rows: Iterator[Row]) -> None:
        """Speaks the rows; ends early after a failure with `--fail_fast`."""
        for row in _chained(first, rows):
            if not self._args.ssml:
                row = replace(row, text=spaced(row.text))
            task = self._task(row)
            if task is None:
                if self._is_over():
                    return
                continue
            while not self._pool.has_room:
                self._take(self._pool.take())
                if self._is_over():
                    return
            self._pool.give(task)
        while self._pool.num_running:
            self._take(self._pool.take())
            if self._is_over():
                return

    def _is_over(self) -> bool:
        return bool(self._args.fail_fast and self._counts.failed)

    def _task(self, row: Row) -> _Task | None:
        """What is to do for a row; None if it is there, or has a mistake."""
        seed = row.seed
        if seed is None:
            seed = ((self._args.seed or 0) + row.line) % 2**64
        if row.error is not None:
            self._fail(row, seed, "", row.error)
            return None
        sha256 = ""
        try:
            sha256 = self._hash.of(row, seed)
            if self._args.force or not self._manifest.has(row.id, sha256, self._path_of(row)):
                return _Task(row, seed, sha256, self._request_of(row, seed))
        except (Error, OSError) as error:
            self._fail(row, seed, sha256, str(error))
            return None
        self._counts.kept += 1
        self._show()
        return None

    def _request_of(self, row: Row, seed: int) -> Request:
        fields = {**self._fields, "seed": seed}
        if row.voice is not None:
            fields["voice"] = named_voice(row.voice, self._executor)
        else:
            if self._voice is None:
                self._voice = voice_fields(self._args, self._executor)
            fields |= self._voice
        if row.language is not None:
            fields["language"] = row.language
        return request_of(fields, row.text, self._executor, is_demo=self._is_demo, is_heard=False)

    def _speak(self, task: _Task) -> Result:
        """Runs in a thread of the pool, which waits."""
        with in_seconds(self._executor):
            return marked(self._executor.generate(task.request), self._args.watermark)

    def _take(self, outcome: Outcome[_Task, Result]) -> None:
        task, said = outcome.task, outcome.made
        if said is None:
            self._fail(task.row, task.seed, task.sha256, outcome.error)
            return
        audio = np.zeros(0, np.float32) if said.audio is None else said.audio
        made = audio_bytes(audio, said.sample_rate or 0, self._kind)
        path = self._path_of(task.row)
        _write_whole(path, made)
        self._manifest.add(
            Entry(
                id=task.row.id,
                request_sha256=task.sha256,
                seed=task.seed,
                frames=len(said.codes),
                seconds=round(said.seconds, 6),
                bytes=len(made),
                finish_reason=said.finish_reason,
            )
        )
        self._counts.made += 1
        self._counts.cut += said.finish_reason == "length"
        self._counts.seconds += said.seconds
        if self._bar.disable and not self._args.quiet:
            print(f"{path}: {said.seconds:.2f} s", flush=True)
        self._show()

    def _fail(self, row: Row, seed: int, sha256: str, error: str) -> None:
        told = " ".join(error.split())
        self._counts.failed.append((f"line {row.line}: {row.id}", told))
        self._manifest.add(Entry(id=row.id, request_sha256=sha256, seed=seed, error=told))
        self._show()

    def _show(self) -> None:
        seconds = max(time.perf_counter() - self._begin, 1e-9)
        self._bar.set_postfix_str(
            f"{len(self._counts.failed)} failed, {self._counts.seconds / seconds:.2f} audio s/s",
            refresh=False,
        )
        self._bar.update()

    def _path_of(self, row: Row) -> Path:
        return self._folder / f"{row.id}.{self._suffix}"


def _chained(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def _write_whole(path: Path, data: bytes) -> None:
    """Writes a file beside its name, and renames it."""
    part = path.with_name(f"{path.name}.part")
    with writing(path):
        try:
            with part.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException:
            part.unlink(missing_ok=True)
            raise


def _report(counts: _Counts, seconds: float, *, is_demo: bool) -> int:
    tell(
        f"ttsrt: {counts.made} rows spoken, {counts.kept} there already, {len(counts.failed)} "
        f"failed; {counts.seconds:.1f} s of sound in {seconds:.1f} s"
    )
    if counts.cut and not is_demo:
        tell(
            f"ttsrt: {counts.cut} rows were cut by --max_seconds or the engine's limit: those with "
            'finish_reason "length" in manifest.jsonl'
        )
    for name, error in counts.failed[:_LISTED]:
        tell(f"ttsrt: {name}: {error}")
    if len(counts.failed) > _LISTED:
        tell(f"ttsrt: and {len(counts.failed) - _LISTED} more, all in manifest.jsonl")
    return 1 if counts.failed else 0
