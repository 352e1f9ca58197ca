"""Says what a file is that was expected to be something else: what downloads leave behind.

A Git LFS pointer, the HTML or JSON page of a download site and an archive of another program have
known first bytes. Messages call them what they are and say how to get the file itself.
"""

from __future__ import annotations

import re

from ttsrt_rt.quoting import quote

__all__ = ["HEAD_BYTES", "describe_foreign"]

HEAD_BYTES = 512
MIN_TEXT = 4

LFS_POINTER = re.compile(rb"version https://(?:git-lfs|hawser)\.github\.com/spec/")
LFS_SIZE = re.compile(rb"\nsize ([0-9]{1,20})\n")
HTML_BEGINNINGS = (b"<!doctype html", b"<html", b"<head", b"<body", b"<script")
HTML_TITLE = re.compile(r"<title[^<>]{0,80}>([^<>]{1,200})", re.IGNORECASE)
SIGNATURES = (
    (b"GGUF", "a GGUF model"),
    (b"\x89HDF\r\n", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a file compressed with zstd: unpack it first"),
    (b"\xfd7zXZ\0", "a file compressed with xz: unpack it first"),
    (b"BZh", "a file compressed with bzip2: unpack it first"),
    (b"Rar!", "a RAR archive: unpack it first"),
    (b"\x7fELF", "a program"),
    (b"%PDF", "a PDF document"),
)


def describe_foreign(head: bytes) -> str | None:
    """Returns what a file is that begins with these bytes; None if they say nothing.

    Args:
        head: the first `HEAD_BYTES` bytes of the file, or all of it.
    """
    if LFS_POINTER.match(head):
        size = LFS_SIZE.search(head)
        of = f" of {int(size[1])} bytes" if size else ""
        return (
            f"a Git LFS pointer to a file{of}, not the file itself; run `git lfs pull` in its "
            "folder, or download the file again"
        )
    for signature, name in SIGNATURES:
        if head.startswith(signature):
            return name
    return _describe_text(head)


def _describe_text(head: bytes) -> str | None:
    if b"\0" in head:
        return None
    text = head.decode("utf-8-sig", errors="replace").strip()
    if (
        len(text) < MIN_TEXT
        or text.count("\ufffd") > 3
        or sum(map(str.isprintable, text)) < 0.8 * len(text)
    ):
        return None
    raw = text.lower().encode()
    hint = "such as the error or login page of a download site: download the file again"
    if raw.startswith(HTML_BEGINNINGS) or (raw.startswith(b"<") and b"<html" in raw):
        title = HTML_TITLE.search(text)
        return f"an HTML page{f' ({quote(title[1].strip())})' if title else ''}, {hint}"
    if raw.startswith(b"<"):
        return f"an XML text, {hint}: {quote(text)}"
    if raw.startswith((b"{", b"[")):
        return f"a JSON text, {hint}: {quote(text)}"
    return f"a text: {quote(text)}"
