"""Reads `tokenizer.model`, the file of SentencePiece: a message of Protocol Buffers with the pieces
of a vocabulary. Only what a BPE model without rules of normalization needs is read; others are
refused.

The numbers of fields are those of `sentencepiece_model.proto`.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import show

__all__ = ["Piece", "SpmModel", "read_spm"]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = range(1, 7)
MAX_PIECES = 1 << 20
MAX_PIECE_BYTES = 1024
BPE = 2
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5

Field = tuple[int, int, int | bytes]


@dataclass(frozen=True)
class Piece:
    """One entry of the vocabulary; its id is its place.

    Attributes:
        text: what it stands for.
        score: pieces with larger ones are made first.
        kind: one of the constants of this file.
    """

    text: str
    score: float
    kind: int


@dataclass(frozen=True)
class SpmModel:
    """What a file holds.

    Attributes:
        pieces: the vocabulary.
        adds_prefix: whether a text gets a blank in front.
        byte_fallback: whether letters without a piece become bytes.
    """

    pieces: tuple[Piece, ...]
    adds_prefix: bool
    byte_fallback: bool


def read_spm(data: bytes, where: str) -> SpmModel:
    """Reads the contents of a file.

    Args:
        data: the contents.
        where: names the file in messages.

    Raises:
        FormatError: it is damaged, has more than a million pieces, has a score that is not
            finite, or is a model of another kind.
    """
    pieces: list[Piece] = []
    trainer: dict[int, int | bytes] = {}
    normalizer: dict[int, int | bytes] = {}
    for number, _, value in _fields(data, where):
        if number == 1 and isinstance(value, bytes):
            if len(pieces) == MAX_PIECES:
                raise FormatError(f"{where}: expected at most {MAX_PIECES} pieces, got more")
            pieces.append(_piece(value, f"{where}: piece {len(pieces)}"))
        elif number == 2 and isinstance(value, bytes):
            trainer = {each: found for each, _, found in _fields(value, where)}
        elif number == 3 and isinstance(value, bytes):
            normalizer = {each: found for each, _, found in _fields(value, where)}
    if not pieces:
        raise FormatError(f"{where}: expected pieces of a vocabulary, got none")
    if trainer.get(3, 1) != BPE:
        raise FormatError(
            f"{where}: expected a model of kind {BPE} (BPE), got {show(trainer.get(3, 1))}; "
            "transformers writes a tokenizer.json of it"
        )
    if normalizer.get(2):
        raise FormatError(f"{where}: expected no rules of normalization, got some")
    if normalizer.get(4, 1) != 0:
        raise FormatError(
            f"{where}: expected a model that keeps all blanks, got one that drops some"
        )
    return SpmModel(tuple(pieces), normalizer.get(3, 1) != 0, trainer.get(35, 0) != 0)


def _piece(data: bytes, where: str) -> Piece:
    found = {number: (type_, value) for number, type_, value in _fields(data, where)}
    _, text = found.get(1, (BYTES, b""))
    score_type, score = found.get(2, (FIXED32, 0))
    _, kind = found.get(3, (VARINT, NORMAL))
    if not isinstance(text, bytes) or not isinstance(score, int) or not isinstance(kind, int):
        raise FormatError(f"{where}: expected a text, a score and a kind, got other values")
    if len(text) > MAX_PIECE_BYTES:
        raise FormatError(f"{where}: expected at most {MAX_PIECE_BYTES} bytes, got {len(text)}")
    if not NORMAL <= kind <= BYTE:
        raise FormatError(f"{where}: expected a kind from {NORMAL} to {BYTE}, got {kind}")
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected text in UTF-8, got other bytes") from error
    if score_type != FIXED32:
        raise FormatError(
            f"{where}: score: expected a field of type {FIXED32} (32 bits), got {score_type}"
        )
    (value,) = struct.unpack("<f", score.to_bytes(4, "little"))
    if not math.isfinite(value):
        raise FormatError(f"{where}: score: expected a finite number, got {value}")
    return Piece(decoded, value, kind)


def _fields(data: bytes, where: str) -> Iterator[Field]:
    """The number, the type and the value of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at, where)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            whole, at = _varint(data, at, where)
            yield number, kind, whole
            continue
        if kind == BYTES:
            size, at = _varint(data, at, where)
        elif kind in (FIXED32, FIXED64):
            size = 4 if kind == FIXED32 else 8
        else:
            raise FormatError(f"{where}: expected a field of a known type, got {kind} at byte {at}")
        if size > len(data) - at:
            raise FormatError(f"{where}: expected {size} bytes at byte {at}, got {len(data) - at}")
        part = data[at : at + size]
        at += size
        yield number, kind, part if kind == BYTES else int.from_bytes(part, "little")


def _varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    value = 0
    for place in range(10):
        if at + place >= len(data):
            raise FormatError(f"{where}: expected more bytes, got the end at byte {at + place}")
        byte = data[at + place]
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at + place + 1
    raise FormatError(f"{where}: expected a number of at most 10 bytes at byte {at}")
