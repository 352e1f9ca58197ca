"""Reads the tar container of a `.nemo` strictly and in place.

The reader accepts what Python's tarfile and GNU tar write: ustar headers, pax records for long
names and large sizes, and GNU long names. It rejects links, devices, sparse members, absolute names
and `..`, repeated names (after `./` is removed), headers with a wrong checksum, and data after the
end blocks. The data of a member is a slice of the file.
"""

from __future__ import annotations

from dataclasses import dataclass

from ttsrt_rt.convert.file_bytes import Region
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote

__all__ = ["TarMember", "looks_like_tar", "read_tar"]

BLOCK = 512
MAX_HEADERS = 20_000
MAX_NAME_BYTES = 4096
MAX_EXTENSION_BYTES = 64 << 10
MAX_EXTENSIONS_BYTES = 4 << 20
MAX_END_BYTES = 16 << 20

KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a pipe",
    b"K": "a long link",
    b"M": "a part of several volumes",
    b"S": "a sparse file",
    b"V": "a volume label",
}


@dataclass(frozen=True)
class TarMember:
    """A regular file, whose data is `data[offset : offset + size]` of the archive."""

    name: str
    offset: int
    size: int


def looks_like_tar(head: bytes) -> bool:
    """Whether the first block is a tar header."""
    return head[257:262] == b"ustar"


def read_tar(data: Region, where: str) -> dict[str, TarMember]:
    """Returns the regular files of an archive by name, without `./`.

    Raises:
        FormatError: the archive is truncated, or the first lines of this module exclude it.
    """
    members: dict[str, TarMember] = {}
    names: set[str] = set()
    reader = Reader(data, where)
    while (member := reader.next_member()) is not None:
        kind, found = member
        if found.name in names:
            raise FormatError(f"{where}: expected member {quote(found.name)} once, got it twice")
        names.add(found.name)
        if kind == b"0":
            members[found.name] = found
    return members


class Reader:
    """Walks the headers of one archive."""

    def __init__(self, data: Region, where: str) -> None:
        self.data = data
        self.where = where
        self.at = 0
        self.num_headers = 0
        self.extension_bytes = 0
        self.long_name: str | None = None
        self.records: dict[str, str] = {}

    def next_member(self) -> tuple[bytes, TarMember] | None:
        """Returns kind (b"0" file, b"5" folder) and member; None at the end of the archive."""
        while True:
            where = f"{self.where}: tar header at {self.at}"
            self.num_headers += 1
            if self.num_headers > MAX_HEADERS:
                raise FormatError(f"{where}: expected at most {MAX_HEADERS} headers, got more")
            header = self.data.read(self.at, BLOCK)
            if len(header) < BLOCK:
                raise FormatError(
                    f"{where}: expected {BLOCK} bytes, got {len(header)} (file truncated?)"
                )
            if not any(header):
                self.check_end(where)
                return None
            check_header(header, where)
            kind = header[156:157]
            size = parse_number(header[124:136], f"{where}: size")
            if kind in (b"L", b"x", b"g"):
                self.read_extension(kind, size, where)
                continue
            return self.read_member(b"0" if kind == b"\0" else kind, header, size, where)

    def check_end(self, where: str) -> None:
        """Checks that a second zero block follows, and that only zeros follow it."""
        if self.long_name is not None or self.records:
            raise FormatError(
                f"{where}: expected the member that an extension announced, got the end"
            )
        rest = self.data.size - self.at
        if rest < 2 * BLOCK or rest % BLOCK:
            raise FormatError(f"{where}: expected two end blocks, got {rest} bytes")
        if rest > MAX_END_BYTES:
            raise FormatError(
                f"{where}: expected at most {MAX_END_BYTES} bytes of end blocks, got {rest}"
            )
        step = 1 << 20
        for begin in range(self.at, self.data.size, step):
            if self.data.read(begin, step).strip(b"\0"):
                raise FormatError(f"{where}: expected zeros after the end of the archive, got data")

    def skip(self, size: int, where: str) -> int:
        """Moves past the data after the header and its padding; returns the offset of the data."""
        begin = self.at + BLOCK
        if size > self.data.size - begin:
            raise FormatError(
                f"{where}: expected {size} bytes of data, got {self.data.size - begin}"
            )
        self.at = begin + -(-size // BLOCK) * BLOCK
        return begin

    def read_extension(self, kind: bytes, size: int, where: str) -> None:
        """Reads an extension header, which describes the next member."""
        self.extension_bytes += size
        if size > MAX_EXTENSION_BYTES or self.extension_bytes > MAX_EXTENSIONS_BYTES:
            raise FormatError(
                f"{where}: expected at most {MAX_EXTENSION_BYTES} bytes of extension and "
                f"{MAX_EXTENSIONS_BYTES} in all, got {size} and {self.extension_bytes}"
            )
        raw = self.data.read(self.skip(size, where), size)
        if kind == b"L":
            if self.long_name is not None:
                raise FormatError(f"{where}: expected one long name, got two")
            self.long_name = decode(raw.rstrip(b"\0"), where)
            return
        records = parse_pax(raw, where)
        if kind == b"g":
            if "path" in records or "size" in records:
                raise FormatError(f"{where}: expected no path or size for all members, got one")
            return
        if self.records:
            raise FormatError(f"{where}: expected one extended header, got two")
        self.records = records

    def read_member(
        self, kind: bytes, header: bytes, size: int, where: str
    ) -> tuple[bytes, TarMember]:
        """Applies the extensions to a header and moves past its data."""
        if kind not in (b"0", b"5"):
            got = KINDS.get(kind, f"type {kind!r}")
            raise FormatError(f"{where}: expected a regular file or a folder, got {got}")
        name = decode(header[:100].split(b"\0")[0], where)
        prefix = (
            decode(header[345:500].split(b"\0")[0], where) if header[257:263] == b"ustar\0" else ""
        )
        name = f"{prefix}/{name}" if prefix else name
        if self.long_name is not None and "path" in self.records:
            raise FormatError(f"{where}: expected one long name, got two")
        name = self.records.get("path", self.long_name if self.long_name is not None else name)
        if "size" in self.records:
            size = parse_decimal(self.records["size"], f"{where}: pax size")
        if kind == b"5" and size:
            raise FormatError(f"{where}: expected a folder without data, got {size} bytes")
        self.long_name, self.records = None, {}
        offset = self.skip(size, where)
        return kind, TarMember(normalise(name, where), offset, size)


def check_header(header: bytes, where: str) -> None:
    """Checks magic and checksum of a header block."""
    if header[257:265] not in (b"ustar\x0000", b"ustar  \0"):
        raise FormatError(f"{where}: expected a ustar header, got other bytes")
    stated = parse_number(header[148:156], f"{where}: checksum")
    found = sum(header) - sum(header[148:156]) + 8 * 0x20
    if stated != found:
        raise FormatError(f"{where}: checksum: expected {stated}, got {found}")


def parse_number(field: bytes, where: str) -> int:
    """Parses an octal field, or a binary field, which GNU tar writes for large sizes."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.rstrip(b"\0 ").lstrip(b" ")
    if not text or any(digit not in b"01234567" for digit in text):
        raise FormatError(f"{where}: expected an octal number, got {field!r}")
    return int(text, 8)


def parse_decimal(text: str, where: str) -> int:
    """Parses the size in a pax record."""
    if not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise FormatError(f"{where}: expected a decimal number, got {quote(text)}")
    return int(text)


def parse_pax(raw: bytes, where: str) -> dict[str, str]:
    """Parses the records of an extended header (length, key, value) and returns path and size.

    Raises:
        FormatError: a record is malformed, a key is repeated, or the member is sparse or
            re-encoded.
    """
    records: dict[str, str] = {}
    seen: set[bytes] = set()
    at = 0
    while at < len(raw):
        space = raw.find(b" ", at, at + 20)
        digits = raw[at:space] if space > 0 else b""
        if not digits.isdigit():
            raise FormatError(f"{where}: expected a pax record at {at}, got other bytes")
        end = at + int(digits)
        body = raw[space + 1 : end]
        key, equals, value = body.partition(b"=")
        if end > len(raw) or end <= space + 1 or not equals or body[-1:] != b"\n":
            raise FormatError(
                f"{where}: expected a pax record of {int(digits)} bytes, got a broken one"
            )
        shown = quote(key.decode(errors="replace"))
        if key in seen:
            raise FormatError(f"{where}: expected pax key {shown} once, got it twice")
        if key.startswith(b"GNU.sparse") or key == b"hdrcharset":
            raise FormatError(f"{where}: expected a plain member, got pax key {shown}")
        seen.add(key)
        if key in (b"path", b"size"):
            records[key.decode()] = decode(value[:-1], where)
        at = end
    return records


def decode(raw: bytes, where: str) -> str:
    """Decodes a name from UTF-8."""
    if len(raw) > MAX_NAME_BYTES:
        raise FormatError(
            f"{where}: expected a name of at most {MAX_NAME_BYTES} bytes, got {len(raw)}"
        )
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected a UTF-8 name, got other bytes") from error


def normalise(name: str, where: str) -> str:
    """Removes `./` and a trailing slash; rejects names that point outside the archive."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\0" in name or "\\" in name or not name:
        raise FormatError(f"{where}: expected a name inside the archive, got {quote(name)}")
    return "/".join(part for part in parts if part not in ("", "."))
