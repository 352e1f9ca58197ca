"""Reads the zip container of a torch checkpoint strictly and in place.

torch writes stored (never compressed) entries, each followed by a data descriptor, a zip64 end
record even for small archives, and no comment. This reader accepts only such archives: one disk,
the end record at the very end, unique names, no encryption, no compression, and no overlapping
entries. The central directory is authoritative; when an entry is read, its local header and the
CRC-32 of its bytes must agree with it.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from ttsrt_rt.convert.pickle_values import quote
from ttsrt_rt.errors import FormatError

__all__ = ["ZipEntries", "ZipEntry"]

MAX_ENTRIES = 1_000_000
MAX_NAME_BYTES = 4096

LOCAL = struct.Struct("<4s5HIIIHH")
CENTRAL = struct.Struct("<4s6HIIIHHHHHII")
END = struct.Struct("<4sHHHHIIH")
END64_LOCATOR = struct.Struct("<4sIQI")
END64 = struct.Struct("<4sQHHIIQQQQ")

SATURATED16 = 0xFFFF
SATURATED32 = 0xFFFFFFFF
HAS_DESCRIPTOR = 0x0008
IS_UTF8 = 0x0800
IS_ENCRYPTED = 0x0001 | 0x0040 | 0x2000


@dataclass(frozen=True)
class ZipEntry:
    """One entry, as the central directory states it.

    Attributes:
        name: the stored name, decoded from UTF-8.
        size: the size of the data in bytes.
        crc: the CRC-32 of the data.
        flags: the general purpose bits.
        header_offset: the offset of its local header.
        limit: the offset of the next entry or of the directory; the data ends before it.
    """

    name: str
    size: int
    crc: int
    flags: int
    header_offset: int
    limit: int


class ZipEntries:
    """The entries of one archive.

    Args:
        data: exactly the bytes of the archive.
        where: the name of the archive in errors.

    Raises:
        FormatError: the archive is not one that torch writes.
    """

    def __init__(self, data: memoryview, where: str) -> None:
        self._data = data
        self._where = where
        self._verified: set[str] = set()
        begin, end, count = self._find_directory()
        self.entries = self._parse_directory(begin, end, count)

    def read(self, name: str) -> memoryview:
        """Returns the bytes of an entry without a copy, after checking local header and CRC-32.

        Raises:
            FormatError: there is no such entry, or it is damaged.
        """
        entry = self.entries.get(name)
        if entry is None:
            raise FormatError(f"{self._where}: expected an entry {quote(name)}, got none")
        data = self._locate(entry)
        if name not in self._verified:
            found = zlib.crc32(data)
            if found != entry.crc:
                raise FormatError(
                    f"{self._where}: entry {quote(name)}: expected CRC-32 {entry.crc:08x}, got "
                    f"{found:08x}"
                )
            self._verified.add(name)
        return data

    def _find_directory(self) -> tuple[int, int, int]:
        """Returns begin, end and number of entries of the central directory."""
        data, where = self._data, self._where
        end_at = data.nbytes - END.size
        if end_at < 0:
            raise FormatError(f"{where}: expected a zip archive, got {data.nbytes} bytes")
        signature, disk, start_disk, disk_count, count, size, begin, comment = END.unpack_from(
            data, end_at
        )
        if signature != b"PK\x05\x06" or comment:
            raise FormatError(
                f"{where}: expected a zip end record at the end, got none (file truncated?)"
            )
        if disk or start_disk or disk_count != count:
            raise FormatError(f"{where}: expected a zip archive of one part, got several")
        stop = end_at
        locator_at = end_at - END64_LOCATOR.size
        if locator_at >= 0 and bytes(data[locator_at : locator_at + 4]) == b"PK\x06\x07":
            stop, wide = self._read_end64(locator_at)
            for name, narrow, value, saturated in (
                ("entries", count, wide[0], SATURATED16),
                ("directory size", size, wide[1], SATURATED32),
                ("directory offset", begin, wide[2], SATURATED32),
            ):
                if narrow not in (value, saturated):
                    raise FormatError(f"{where}: zip64 {name}: expected {narrow}, got {value}")
            count, size, begin = wide
        elif count == SATURATED16 or SATURATED32 in (size, begin):
            raise FormatError(f"{where}: expected a zip64 end record, got none")
        if begin + size != stop:
            raise FormatError(
                f"{where}: expected the zip directory to end at {stop}, got {begin} + {size}"
            )
        if count > MAX_ENTRIES or count * CENTRAL.size > size:
            raise FormatError(
                f"{where}: expected {size} bytes of zip directory to hold {count} entries"
            )
        return begin, stop, count

    def _read_end64(self, locator_at: int) -> tuple[int, tuple[int, int, int]]:
        """Returns the offset of the zip64 end record, and its (entries, size, offset)."""
        where = self._where
        _, disk, record_at, disks = END64_LOCATOR.unpack_from(self._data, locator_at)
        if disk or disks > 1 or record_at + END64.size != locator_at:
            raise FormatError(
                f"{where}: expected a zip64 end record before {locator_at}, got another place"
            )
        signature, length, _, _, disk, start_disk, disk_count, count, size, begin = (
            END64.unpack_from(self._data, record_at)
        )
        if signature != b"PK\x06\x06" or length != END64.size - 12:
            raise FormatError(f"{where}: expected a zip64 end record at {record_at}, got none")
        if disk or start_disk or disk_count != count:
            raise FormatError(f"{where}: expected a zip archive of one part, got several")
        return record_at, (count, size, begin)

    def _parse_directory(self, begin: int, end: int, count: int) -> dict[str, ZipEntry]:
        """Reads all entries and sets the limit of each."""
        found: list[ZipEntry] = []
        names: set[str] = set()
        at = begin
        for _ in range(count):
            entry, at = self._parse_entry(at, end)
            if entry.name in names:
                raise FormatError(f"{self._where}: expected {quote(entry.name)} once, got it twice")
            names.add(entry.name)
            found.append(entry)
        if at != end:
            raise FormatError(
                f"{self._where}: expected the zip directory to end at {end}, got {at}"
            )
        entries: dict[str, ZipEntry] = {}
        limit = begin
        for entry in sorted(found, key=lambda each: each.header_offset, reverse=True):
            room = limit - entry.header_offset - LOCAL.size - len(entry.name.encode())
            if entry.size > room:
                raise FormatError(
                    f"{self._where}: entry {quote(entry.name)}: expected at most {room} bytes, "
                    f"got {entry.size}"
                )
            entries[entry.name] = ZipEntry(
                entry.name, entry.size, entry.crc, entry.flags, entry.header_offset, limit
            )
            limit = entry.header_offset
        return entries

    def _parse_entry(self, at: int, end: int) -> tuple[ZipEntry, int]:
        """Reads the directory entry at `at`; returns it and the offset of the next one."""
        where = f"{self._where}: zip directory at {at}"
        if end - at < CENTRAL.size:
            raise FormatError(f"{where}: expected an entry, got {end - at} bytes")
        fields = CENTRAL.unpack_from(self._data, at)
        signature, _, _, flags, method, _, _, crc, packed, size = fields[:10]
        name_len, extra_len, comment_len, disk, _, _, offset = fields[10:]
        stop = at + CENTRAL.size + name_len + extra_len + comment_len
        if signature != b"PK\x01\x02" or stop > end or not 0 < name_len <= MAX_NAME_BYTES:
            raise FormatError(f"{where}: expected an entry, got other bytes")
        name_end = at + CENTRAL.size + name_len
        try:
            name = bytes(self._data[at + CENTRAL.size : name_end]).decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{where}: expected a UTF-8 name, got other bytes") from error
        where = f"{self._where}: entry {quote(name)}"
        if flags & IS_ENCRYPTED:
            raise FormatError(f"{where}: expected plain data, got an encrypted entry")
        if method:
            raise FormatError(
                f"{where}: expected stored data as torch writes it, got compression {method}"
            )
        if flags & ~(HAS_DESCRIPTOR | IS_UTF8):
            raise FormatError(f"{where}: expected zip flags 0x0808 at most, got {flags:#06x}")
        extra = bytes(self._data[name_end : name_end + extra_len])
        size, packed, offset = widen(where, extra, size, packed, offset)
        if packed != size:
            raise FormatError(f"{where}: expected {size} stored bytes, got {packed}")
        if disk:
            raise FormatError(f"{where}: expected a zip archive of one part, got several")
        return ZipEntry(name, size, crc, flags, offset, 0), stop

    def _locate(self, entry: ZipEntry) -> memoryview:
        """Returns the data of an entry after checking its local header against the directory."""
        where = f"{self._where}: entry {quote(entry.name)}"
        at = entry.header_offset
        if entry.limit - at < LOCAL.size:
            raise FormatError(f"{where}: expected a local header at {at}, got the next entry")
        signature, _, flags, method, _, _, crc, packed, size, name_len, extra_len = (
            LOCAL.unpack_from(self._data, at)
        )
        begin = at + LOCAL.size + name_len + extra_len
        name = bytes(self._data[at + LOCAL.size : at + LOCAL.size + name_len])
        if (
            signature != b"PK\x03\x04"
            or name != entry.name.encode()
            or flags != entry.flags
            or method
        ):
            raise FormatError(f"{where}: expected its local header at {at}, got a different one")
        stated = (crc, packed, size)
        expected = (entry.crc, min(entry.size, SATURATED32), min(entry.size, SATURATED32))
        wide = (entry.crc, SATURATED32, SATURATED32)
        if stated not in (expected, wide) and not (flags & HAS_DESCRIPTOR and stated == (0, 0, 0)):
            raise FormatError(
                f"{where}: expected size and CRC of the directory, got others at {at}"
            )
        if begin + entry.size > entry.limit:
            raise FormatError(
                f"{where}: expected data before {entry.limit}, got {begin} + {entry.size}"
            )
        return self._data[begin : begin + entry.size]


def widen(where: str, extra: bytes, size: int, packed: int, offset: int) -> tuple[int, int, int]:
    """Replaces saturated 32-bit fields with those of the zip64 extra field.

    Raises:
        FormatError: the extra fields are malformed, or the zip64 field does not hold exactly the
            values that are saturated.
    """
    values = [size, packed, offset]
    wanted = [index for index, value in enumerate(values) if value == SATURATED32]
    field: bytes | None = None
    at = 0
    while at < len(extra):
        if len(extra) - at < 4:
            raise FormatError(f"{where}: expected zip extra fields, got {len(extra) - at} bytes")
        kind, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra) or (kind == 1 and field is not None):
            raise FormatError(f"{where}: expected zip extra fields, got a broken one")
        if kind == 1:
            field = extra[at + 4 : at + 4 + length]
        at += 4 + length
    if len(field or b"") != 8 * len(wanted):
        raise FormatError(
            f"{where}: expected {len(wanted)} zip64 values, got {len(field or b'')} bytes of them"
        )
    for index, value in zip(wanted, struct.unpack(f"<{len(wanted)}Q", field or b""), strict=True):
        values[index] = value
    return values[0], values[1], values[2]
