"""Reads the zip container of a torch checkpoint or of NumPy's `.npz`, strictly and in place.

torch writes stored (never compressed) entries, each followed by a data descriptor, a zip64 end
record even for small archives, and no comment. This reader accepts only such archives: one disk,
the end record at the very end, unique names, no encryption, no compression unless the caller allows
it, and no overlapping entries. The central directory is authoritative; when an entry is read, its
local header and the CRC-32 of its bytes must agree with it. An entry is inflated only up to the
size that the directory states.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ttsrt_rt.convert.file_bytes import Region
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote

__all__ = ["ZipEntries", "ZipEntry"]

MAX_ENTRIES = 100_000
MAX_DIRECTORY_BYTES = 16 << 20
MAX_NAME_BYTES = 4096
INFLATE_CHUNK = 1 << 18

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
DEFLATE_LEVEL = 0x0006
STORED, DEFLATED = 0, 8


@dataclass(slots=True)
class ZipEntry:
    """One entry, as the central directory states it.

    Attributes:
        name: the stored name, decoded from UTF-8.
        size: the size of the data in bytes.
        packed: the bytes that the data takes in the archive; `size` if it is stored.
        crc: the CRC-32 of the data.
        flags: the general purpose bits.
        method: 0 for stored data, 8 for deflated data.
        header_offset: the offset of its local header.
        limit: the offset of the next entry or of the directory; the data ends before it.
    """

    name: str
    size: int
    packed: int
    crc: int
    flags: int
    method: int
    header_offset: int
    limit: int = 0


class ZipEntries:
    """The entries of one archive.

    Args:
        data: exactly the bytes of the archive.
        where: the name of the archive in errors.
        allow_deflate: whether entries may be compressed.

    Raises:
        FormatError: the archive is not one that torch writes, or that NumPy writes if entries may
            be compressed.
    """

    def __init__(self, data: Region, where: str, *, allow_deflate: bool = False) -> None:
        self._data = data
        self._where = where
        self._allow_deflate = allow_deflate
        self._verified: set[str] = set()
        begin, end, count = self._find_directory()
        self.entries = self._parse_directory(begin, end, count)

    def read(self, name: str, max_bytes: int) -> bytes:
        """Returns the bytes of an entry, after checking its size, its local header and its CRC-32.

        Raises:
            FormatError: there is no such entry, it has more than `max_bytes` bytes, or it is
                damaged.
        """
        entry = self._find(name)
        where = f"{self._where}: entry {quote(name)}"
        if entry.size > max_bytes:
            raise FormatError(f"{where}: expected at most {max_bytes} bytes, got {entry.size}")
        region = self._locate(entry)
        data = region.read() if entry.method == STORED else inflate(region, entry.size, where)
        self._check_crc(entry, zlib.crc32(data))
        return data

    def read_array(self, name: str) -> npt.NDArray[np.uint8]:
        """Returns the bytes of a stored entry as an array; errors as for `read`."""
        entry = self._find(name)
        data = self._locate(entry).read_array(0, entry.size)
        if name not in self._verified:
            self._check_crc(entry, zlib.crc32(data.data))
        return data

    def region(self, name: str) -> Region:
        """Returns the place of a stored entry, after checking its CRC-32; errors as for `read`."""
        entry = self._find(name)
        region = self._locate(entry)
        if name not in self._verified:
            self._check_crc(entry, region.crc32())
        return region

    def _find(self, name: str) -> ZipEntry:
        entry = self.entries.get(name)
        if entry is None:
            raise FormatError(f"{self._where}: expected an entry {quote(name)}, got none")
        return entry

    def _check_crc(self, entry: ZipEntry, found: int) -> None:
        if found != entry.crc:
            raise FormatError(
                f"{self._where}: entry {quote(entry.name)}: expected CRC-32 {entry.crc:08x}, got "
                f"{found:08x}"
            )
        self._verified.add(entry.name)

    def _find_directory(self) -> tuple[int, int, int]:
        """Returns begin, end and number of entries of the central directory."""
        data, where = self._data, self._where
        end_at = data.size - END.size
        if end_at < 0:
            raise FormatError(f"{where}: expected a zip archive, got {data.size} bytes")
        signature, disk, start_disk, disk_count, count, size, begin, comment = END.unpack(
            data.read(end_at)
        )
        if signature != b"PK\x05\x06" or comment:
            raise FormatError(
                f"{where}: expected a zip end record at the end, got none (file truncated?)"
            )
        if disk or start_disk or disk_count != count:
            raise FormatError(f"{where}: expected a zip archive of one part, got several")
        stop = end_at
        locator_at = end_at - END64_LOCATOR.size
        if locator_at >= 0 and data.read(locator_at, 4) == b"PK\x06\x07":
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
        if size > MAX_DIRECTORY_BYTES or count > MAX_ENTRIES:
            raise FormatError(
                f"{where}: expected a zip directory of at most {MAX_ENTRIES} entries and "
                f"{MAX_DIRECTORY_BYTES} bytes, got {count} entries and {size} bytes"
            )
        if count * CENTRAL.size > size:
            raise FormatError(
                f"{where}: expected {size} bytes of zip directory to hold {count} entries"
            )
        return begin, stop, count

    def _read_end64(self, locator_at: int) -> tuple[int, tuple[int, int, int]]:
        """Returns the offset of the zip64 end record, and its (entries, size, offset)."""
        where = self._where
        _, disk, record_at, disks = END64_LOCATOR.unpack(
            self._data.read(locator_at, END64_LOCATOR.size)
        )
        if disk or disks > 1 or record_at + END64.size != locator_at:
            raise FormatError(
                f"{where}: expected a zip64 end record before {locator_at}, got another place"
            )
        signature, length, _, _, disk, start_disk, disk_count, count, size, begin = END64.unpack(
            self._data.read(record_at, END64.size)
        )
        if signature != b"PK\x06\x06" or length != END64.size - 12:
            raise FormatError(f"{where}: expected a zip64 end record at {record_at}, got none")
        if disk or start_disk or disk_count != count:
            raise FormatError(f"{where}: expected a zip archive of one part, got several")
        return record_at, (count, size, begin)

    def _parse_directory(self, begin: int, end: int, count: int) -> dict[str, ZipEntry]:
        """Reads all entries and sets the limit of each."""
        directory = self._data.read(begin, end - begin)
        entries: dict[str, ZipEntry] = {}
        at = 0
        for _ in range(count):
            entry, at = self._parse_entry(directory, at, begin)
            if entry.name in entries:
                raise FormatError(f"{self._where}: expected {quote(entry.name)} once, got it twice")
            entries[entry.name] = entry
        if at != len(directory):
            raise FormatError(
                f"{self._where}: expected the zip directory to end at {end}, got {begin + at}"
            )
        limit = begin
        for entry in sorted(entries.values(), key=lambda each: each.header_offset, reverse=True):
            room = limit - entry.header_offset - LOCAL.size - len(entry.name.encode())
            if entry.packed > room:
                raise FormatError(
                    f"{self._where}: entry {quote(entry.name)}: expected at most {room} bytes, "
                    f"got {entry.packed}"
                )
            entry.limit = limit
            limit = entry.header_offset
        return entries

    def _parse_entry(self, directory: bytes, at: int, begin: int) -> tuple[ZipEntry, int]:
        """Reads the entry at `at` of the directory; returns it and the offset of the next one."""
        where = f"{self._where}: zip directory at {begin + at}"
        if len(directory) - at < CENTRAL.size:
            raise FormatError(f"{where}: expected an entry, got {len(directory) - at} bytes")
        fields = CENTRAL.unpack_from(directory, at)
        signature, _, _, flags, method, _, _, crc, packed, size = fields[:10]
        name_len, extra_len, comment_len, disk, _, _, offset = fields[10:]
        stop = at + CENTRAL.size + name_len + extra_len + comment_len
        if (
            signature != b"PK\x01\x02"
            or stop > len(directory)
            or not 0 < name_len <= MAX_NAME_BYTES
        ):
            raise FormatError(f"{where}: expected an entry, got other bytes")
        name_end = at + CENTRAL.size + name_len
        try:
            name = directory[at + CENTRAL.size : name_end].decode()
        except UnicodeDecodeError as error:
            raise FormatError(f"{where}: expected a UTF-8 name, got other bytes") from error
        where = f"{self._where}: entry {quote(name)}"
        if flags & IS_ENCRYPTED:
            raise FormatError(f"{where}: expected plain data, got an encrypted entry")
        if method != STORED and not (method == DEFLATED and self._allow_deflate):
            raise FormatError(
                f"{where}: expected stored data as torch writes it, got compression {method}"
            )
        known = HAS_DESCRIPTOR | IS_UTF8 | (DEFLATE_LEVEL if method == DEFLATED else 0)
        if flags & ~known:
            raise FormatError(f"{where}: expected zip flags {known:#06x} at most, got {flags:#06x}")
        extra = directory[name_end : name_end + extra_len]
        size, packed, offset = widen(where, extra, size, packed, offset)
        if packed != size and method == STORED:
            raise FormatError(f"{where}: expected {size} stored bytes, got {packed}")
        if disk:
            raise FormatError(f"{where}: expected a zip archive of one part, got several")
        return ZipEntry(name, size, packed, crc, flags, method, offset), stop

    def _locate(self, entry: ZipEntry) -> Region:
        """Returns the place of an entry's data, after checking its local header."""
        where = f"{self._where}: entry {quote(entry.name)}"
        at = entry.header_offset
        if entry.limit - at < LOCAL.size:
            raise FormatError(f"{where}: expected a local header at {at}, got the next entry")
        signature, _, flags, method, _, _, crc, packed, size, name_len, extra_len = LOCAL.unpack(
            self._data.read(at, LOCAL.size)
        )
        begin = at + LOCAL.size + name_len + extra_len
        name = self._data.read(at + LOCAL.size, name_len)
        if (
            signature != b"PK\x03\x04"
            or name != entry.name.encode()
            or flags != entry.flags
            or method != entry.method
        ):
            raise FormatError(f"{where}: expected its local header at {at}, got a different one")
        stated = (crc, packed, size)
        expected = (entry.crc, min(entry.packed, SATURATED32), min(entry.size, SATURATED32))
        wide = (entry.crc, SATURATED32, SATURATED32)
        if stated not in (expected, wide) and not (flags & HAS_DESCRIPTOR and stated == (0, 0, 0)):
            raise FormatError(
                f"{where}: expected size and CRC of the directory, got others at {at}"
            )
        if begin + entry.packed > entry.limit:
            raise FormatError(
                f"{where}: expected data before {entry.limit}, got {begin} + {entry.packed}"
            )
        return self._data.part(begin, entry.packed)


def inflate(packed: Region, size: int, where: str) -> bytes:
    """Inflates raw deflate data that must give exactly `size` bytes, and keeps no more than those.

    Raises:
        FormatError: the data is damaged or gives another number of bytes.
    """
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    made = bytearray()
    try:
        for begin in range(0, packed.size, INFLATE_CHUNK):
            if len(made) > size or unpacker.eof:
                break
            chunk = packed.read(begin, INFLATE_CHUNK)
            made += unpacker.decompress(chunk, size + 1 - len(made))
    except zlib.error as error:
        raise FormatError(f"{where}: expected deflated data, got: {error}") from error
    is_whole = unpacker.eof and not unpacker.unused_data
    if len(made) != size or not is_whole:
        raise FormatError(f"{where}: expected {size} bytes of deflated data, got others")
    return bytes(made)


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
