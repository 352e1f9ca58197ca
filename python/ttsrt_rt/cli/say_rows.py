"""Rows of a file of texts for `ttsrt say --output_dir`: .txt, .tsv, .csv or .jsonl.

A row that can't be read is an error of its own, and the others go on.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ttsrt_rt.cli.files import told_of
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import list_names, quote, show
from ttsrt_rt.regular_file import open_regular

__all__ = ["ROW_FORMATS", "Row", "read_rows"]

ROW_FORMATS = (".txt", ".tsv", ".csv", ".jsonl")
FIELDS = ("id", "text", "voice", "language", "seed")
ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
ONLY_DOTS = re.compile(r"\.+")
MAX_LINE = 1 << 20
MAX_ROWS = 10_000_000
DIGITS = 6  # of the number that stands for an id


@dataclass(frozen=True)
class Row:
    """A text of a file.

    Attributes:
        line: Its line in the file, from 1.
        id: The name of its file of sound, without the ending.
        text: What to say.
        voice: As `--voice`; None for that of the flag.
        language: As `--language`; None for that of the flag.
        seed: Its own; None for one that follows from its line.
        error: What is wrong with it; the text is then empty.
    """

    line: int
    id: str
    text: str = ""
    voice: str | None = None
    language: str | None = None
    seed: int | None = None
    error: str | None = None


def read_rows(path: str) -> Iterator[Row]:
    """Yields the rows of a file, as they are read. Blank lines are none.

    Raises:
        NotFoundError, ConfigError: The file can't be read, is of another kind, or its header names
            unknown columns.
    """
    ending = Path(path).suffix.lower()
    if ending not in ROW_FORMATS:
        raise ConfigError(
            f"--file: expected a name that ends in {', '.join(ROW_FORMATS)} with --output_dir, got "
            f"{path}"
        )
    readers = {".txt": _plain, ".jsonl": _json_lines}
    with told_of("--file"):
        opened = open_regular(path)
    with open(opened, "rb") as file:
        reader = readers.get(ending)
        rows = _table(path, ending, file) if reader is None else reader(file)
        taken: set[str] = set()
        for number, row in enumerate(rows):
            if number == MAX_ROWS:
                raise ConfigError(f"--file: {path}: expected at most {MAX_ROWS} rows, got more")
            if row.error is None and row.id in taken:
                row = Row(row.line, row.id, error=f"id: expected each once, got {row.id} again")
            taken.add(row.id)
            yield row


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their numbers; a longer one than the limit loses its end."""
    number = 0
    while line := file.readline(MAX_LINE + 1):
        number += 1
        rest = line
        while len(rest) > MAX_LINE and not rest.endswith(b"\n"):
            rest = file.readline(MAX_LINE + 1)
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield number, line


def _default_id(line: int) -> str:
    return f"{line:0{DIGITS}d}"


def _plain(file: BinaryIO) -> Iterator[Row]:
    for number, line in _lines(file):
        yield _decoded(number, line) or Row(number, _default_id(number), line.decode().strip())


def _json_lines(file: BinaryIO) -> Iterator[Row]:
    from ttsrt_rt.cli.request_flags import read_object

    for number, line in _lines(file):
        wrong = _decoded(number, line)
        if wrong is not None:
            yield wrong
            continue
        try:
            values = read_object(line, f"line {number}")
        except (ConfigError, FormatError) as error:
            told = str(error).removeprefix(f"line {number}: ")
            yield Row(number, _default_id(number), error=told)
            continue
        yield _row(number, values)


def _table(path: str, ending: str, file: BinaryIO) -> Iterator[Row]:
    """Rows of a table with a header; in .tsv nothing is quoted."""
    options: dict[str, Any] = {"strict": True}
    if ending == ".tsv":
        options = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    with io.TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="") as text:
        header: list[str] | None = None
        for number, values in _records(_TextLines(text), options):
            if isinstance(values, Row):
                yield values
            elif header is None:
                header = _checked_header(path, values)
            elif len(values) != len(header):
                told = f"expected {len(header)} columns, got {len(values)}"
                yield Row(number, _default_id(number), error=told)
            else:
                named = zip(header, values, strict=True)
                yield _row(number, {name: value for name, value in named if value})


class _TextLines:
    """The lines of a table, as a reader of records takes them.

    Attributes:
        number: Of the last one, from 1.
    """

    def __init__(self, file: io.TextIOWrapper) -> None:
        self._file = file
        self.number = 0

    def __iter__(self) -> _TextLines:
        return self

    def __next__(self) -> str:
        """The next line.

        Raises:
            csv.Error: It is too long. The one behind it comes next.
        """
        line = self._file.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) <= MAX_LINE:
            return line
        while line and not line.endswith(("\n", "\r")):
            line = self._file.readline(MAX_LINE)
        raise csv.Error(f"expected a line of at most {MAX_LINE} characters, got more")


def _records(
    lines: _TextLines, options: Mapping[str, Any]
) -> Iterator[tuple[int, list[str] | Row]]:
    """Records that are not blank, with the numbers of their lines; a damaged one as its error."""
    reader = csv.reader(lines, **options)
    while True:
        try:
            values = next(reader, None)
        except csv.Error as error:
            number = lines.number
            yield number, Row(number, _default_id(number), error=f"table: {error}")
            continue
        if values is None:
            return
        if any(value.strip() for value in values):
            yield lines.number, values


def _checked_header(path: str, values: list[str]) -> list[str]:
    names = [value.strip() for value in values]
    unknown = [name for name in names if name not in FIELDS]
    if unknown or "text" not in names or len(set(names)) < len(names):
        raise ConfigError(
            f"--file: {path}: expected a header line with text, and any of "
            f"{', '.join(name for name in FIELDS if name != 'text')}, each once; got "
            f"{list_names(names, is_quoted=True)}"
        )
    return names


def _decoded(number: int, line: bytes) -> Row | None:
    """A row of an error, where a line is too long or no UTF-8."""
    if len(line) > MAX_LINE:
        error = f"expected a line of at most {MAX_LINE} bytes, got more"
        return Row(number, _default_id(number), error=error)
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        told = f"expected text in UTF-8, got other bytes at {error.start}"
        return Row(number, _default_id(number), error=told)
    return None


def _row(number: int, values: Mapping[str, Any]) -> Row:
    """A row of named values; one that has a mistake says it."""
    name = values.get("id")
    name = _default_id(number) if name is None else str(name)
    if not ID.fullmatch(name) or ONLY_DOTS.fullmatch(name):
        told = f"id: expected 1 to 64 of A-Z a-z 0-9 _ . -, got {quote(name)}"
        return Row(number, _default_id(number), error=told)
    try:
        return Row(number, name, **_checked(values))
    except ConfigError as error:
        return Row(number, name, error=str(error))


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    unknown = [each for each in values if each not in FIELDS]
    if unknown:
        raise ConfigError(
            f"row: expected some of {', '.join(FIELDS)}, got {list_names(unknown, is_quoted=True)}"
        )
    made: dict[str, Any] = {}
    for each in ("text", "voice", "language"):
        value = values.get(each)
        if each == "voice" and isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is not None and not isinstance(value, str):
            raise ConfigError(f"{each}: expected a text, got {show(value)}")
        made[each] = value
    text = made["text"]
    if text is None or not text.strip():
        raise ConfigError("text: expected a text, got none")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        got = "other bytes" if "\udc80" <= text[error.start] <= "\udcff" else "a lone surrogate"
        raise ConfigError(f"text: expected Unicode text, got {got} at {error.start}") from error
    return {**made, "seed": _seed(values.get("seed"))}


def _seed(value: object) -> int | None:
    if value is None:
        return None
    text = str(value)
    is_number = not isinstance(value, (bool, float)) and re.fullmatch(r"[0-9]{1,20}", text)
    if not is_number or int(text) >= 2**64:
        raise ConfigError(f"seed: expected 0 to 2**64 - 1, got {show(value)}")
    return int(text)
