"""Makes a `tokenizer.json` of the files that older folders have instead: `vocab.json` and
`merges.txt` (byte-level BPE, Phi), or `tokenizer.model` (SentencePiece, Llama).

The steps are those that transformers gives its fast tokenizers for these files. Merges of a
SentencePiece model follow from the scores of its pieces: the better a piece, the earlier it is
made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from ttsrt_rt.errors import FormatError
from ttsrt_rt.json_text import parse_json
from ttsrt_rt.quoting import show
from ttsrt_rt.spm_model import BYTE, CONTROL, UNKNOWN, UNUSED, USER_DEFINED, Piece, read_spm

__all__ = ["FALLBACK_FILES", "special_text", "tokenizer_json_of"]

VOCAB, MERGES, ADDED, MODEL = "vocab.json", "merges.txt", "added_tokens.json", "tokenizer.model"
CONFIG, SPECIAL_MAP = "tokenizer_config.json", "special_tokens_map.json"
FALLBACK_FILES = (VOCAB, MERGES, ADDED, MODEL)
MAX_VALUES, MAX_PAIRS = 1_000_000, 500_000
MAX_MERGES = 1 << 20
MAX_WORK = 1 << 27  # letters of all ways to cut a piece in two; 256,000 usual pieces have 1 << 25
MAX_TOKEN_LETTERS = 1024
BLANK = "\u2581"
NAMES = ("bos_token", "eos_token", "pad_token", "unk_token")


def tokenizer_json_of(files: Mapping[str, bytes], where: str) -> bytes | None:
    """Returns the contents of a `tokenizer.json`; None if there are no files to make it of.

    Args:
        files: contents by name.
        where: names them in messages.

    Raises:
        FormatError: a file is damaged, or describes a tokenizer of another kind.
    """
    config = _object(files, CONFIG, where)
    if VOCAB in files and MERGES in files:
        made = _of_vocabulary(files, config, where)
    elif MODEL in files:
        made = _of_pieces(files, config, where)
    else:
        return None
    return json.dumps(made, ensure_ascii=False).encode("utf-8")


def special_text(name: str, config: Mapping[str, Any], older: Mapping[str, Any]) -> str | None:
    """Returns the text of a special token; None if neither file names it.

    Args:
        name: such as "eos_token".
        config: tokenizer_config.json.
        older: special_tokens_map.json, which counts where the other file says nothing.
    """
    for block in (config, older):
        text = _text_of(block.get(name))
        if text is not None:
            return text
    return None


def _of_vocabulary(
    files: Mapping[str, bytes], config: Mapping[str, Any], where: str
) -> dict[str, Any]:
    vocab = _ids_of(files, VOCAB, where)
    added = _ids_of(files, ADDED, where)
    special = _special_texts(config, _object(files, SPECIAL_MAP, where))
    for text in special:
        if text in vocab:
            added.setdefault(text, vocab[text])
    prefix = config.get("add_prefix_space") is True
    level = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True}
    return {
        **_whole(_added_tokens(added, special, config)),
        "normalizer": None,
        "pre_tokenizer": {**level, "use_regex": True},
        "post_processor": _ends(config, added | vocab, False)
        or {**level, "add_prefix_space": True, "use_regex": True},
        "decoder": {**level, "add_prefix_space": True, "use_regex": True},
        "model": {
            **_model(vocab, _read_merges(files[MERGES], vocab, f"{where}/{MERGES}")),
            "unk_token": None,
            "fuse_unk": False,
            "byte_fallback": False,
        },
    }


def _of_pieces(files: Mapping[str, bytes], config: Mapping[str, Any], where: str) -> dict[str, Any]:
    at = f"{where}/{MODEL}"
    model = read_spm(files[MODEL], at)
    vocab = {piece.text: number for number, piece in enumerate(model.pieces)}
    if len(vocab) != len(model.pieces):
        raise FormatError(
            f"{at}: expected each piece once, got {len(model.pieces) - len(vocab)} more"
        )
    unknown = [piece.text for piece in model.pieces if piece.kind == UNKNOWN]
    if len(unknown) != 1:
        raise FormatError(f"{at}: expected one piece for unknown letters, got {len(unknown)}")
    own = {
        piece.text: number
        for number, piece in enumerate(model.pieces)
        if piece.kind in (UNKNOWN, CONTROL, USER_DEFINED)
    }
    special = {piece.text for piece in model.pieces if piece.kind in (UNKNOWN, CONTROL)}
    special |= _special_texts(config, _object(files, SPECIAL_MAP, where))
    added = own | _ids_of(files, ADDED, where)
    prepend = [{"type": "Prepend", "prepend": BLANK}] if model.adds_prefix else []
    blank = {"type": "Replace", "pattern": {"String": " "}, "content": BLANK}
    strip = [{"type": "Strip", "content": " ", "start": 1, "stop": 0}] if model.adds_prefix else []
    return {
        **_whole(_added_tokens(added, special, config)),
        "normalizer": {"type": "Sequence", "normalizers": [*prepend, blank]},
        "pre_tokenizer": None,
        "post_processor": _ends(config, added | vocab, True),
        "decoder": {
            "type": "Sequence",
            "decoders": [
                {"type": "Replace", "pattern": {"String": BLANK}, "content": " "},
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                *strip,
            ],
        },
        "model": {
            **_model(vocab, _merges_of(model.pieces, vocab, at)),
            "unk_token": unknown[0],
            "fuse_unk": True,
            "byte_fallback": model.byte_fallback,
        },
    }


def _merges_of(pieces: Iterable[Piece], vocab: Mapping[str, int], where: str) -> list[list[str]]:
    """All ways in which two pieces make a third, the best of these first."""
    left_out = (UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE)
    ways: list[tuple[float, int, int, str, str]] = []
    work = 0
    for piece in pieces:
        if piece.kind in left_out:
            continue
        text = piece.text
        work += len(text) ** 2
        if work > MAX_WORK:
            raise FormatError(
                f"{where}: expected pieces whose squares of lengths are at most {MAX_WORK} "
                "together, got more"
            )
        found = [
            (text[:cut], text[cut:])
            for cut in range(1, len(text))
            if text[:cut] in vocab and text[cut:] in vocab
        ]
        found.sort(key=lambda pair: (vocab[pair[0]], vocab[pair[1]]))
        ways += [(piece.score, len(left), len(right), left, right) for left, right in found]
        if len(ways) > MAX_MERGES:
            raise FormatError(f"{where}: expected at most {MAX_MERGES} merges of pieces, got more")
    ways.sort(key=lambda way: way[:3], reverse=True)
    return [[left, right] for *_, left, right in ways]


def _read_merges(data: bytes, vocab: Mapping[str, int], where: str) -> list[list[str]]:
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{where}: expected text in UTF-8, got other bytes") from error
    if len(lines) > MAX_MERGES:
        raise FormatError(f"{where}: expected at most {MAX_MERGES} lines, got {len(lines)}")
    merges: list[list[str]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or (number == 1 and line.startswith("#version")):
            continue
        pair = line.rstrip("\r").split(" ")
        if len(pair) != 2 or any(each not in vocab for each in (*pair, "".join(pair))):
            raise FormatError(
                f"{where}: line {number}: expected two tokens that make a third, got {show(line)}"
            )
        merges.append(pair)
    return merges


def _whole(added: list[dict[str, Any]]) -> dict[str, Any]:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added}


def _model(vocab: Mapping[str, int], merges: list[list[str]]) -> dict[str, Any]:
    return {
        "type": "BPE",
        "dropout": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "ignore_merges": False,
        "vocab": dict(vocab),
        "merges": merges,
    }


def _added_tokens(
    ids: Mapping[str, int], special: Iterable[str], config: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Tokens that are found in a text before anything else; `added_tokens_decoder` of the
    configuration says more of them.
    """
    hidden = set(special)
    made = {
        number: {
            "id": number,
            "content": text,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": text not in hidden,
            "special": text in hidden,
        }
        for text, number in ids.items()
    }
    described = config.get("added_tokens_decoder")
    for key, value in described.items() if isinstance(described, dict) else ():
        if not isinstance(value, dict) or not key.isdecimal() or len(key) > 9:
            continue
        if not isinstance(value.get("content"), str):
            continue
        flags = ("single_word", "lstrip", "rstrip", "normalized", "special")
        made[int(key)] = {
            "id": int(key),
            "content": value["content"],
            **{name: value.get(name) is True for name in flags},
        }
    return [made[number] for number in sorted(made)]


def _ends(config: Mapping[str, Any], ids: Mapping[str, int], adds_bos: bool) -> Any:
    """What a tokenizer adds in front of a text and behind it; None for nothing."""
    parts: list[dict[str, Any]] = [{"Sequence": {"id": "A", "type_id": 0}}]
    used: dict[str, Any] = {}
    for name, default, place in (("bos", adds_bos, 0), ("eos", False, len(parts) + 1)):
        asked = config.get(f"add_{name}_token")
        text = _text_of(config.get(f"{name}_token"))
        if text is None and adds_bos:  # names of SentencePiece
            text = {"bos": "<s>", "eos": "</s>"}[name]
        is_asked = default if asked is None else asked is True
        if not is_asked or text is None or text not in ids:
            continue
        parts.insert(place, {"SpecialToken": {"id": text, "type_id": 0}})
        used[text] = {"id": text, "ids": [ids[text]], "tokens": [text]}
    if not used:
        return None
    second = [
        {kind: {**each, "id": "B" if kind == "Sequence" else each["id"], "type_id": 0}}
        for part in parts
        for kind, each in part.items()
    ]
    return {
        "type": "TemplateProcessing",
        "single": parts,
        "pair": [*parts, *second],
        "special_tokens": used,
    }


def _special_texts(*blocks: Mapping[str, Any]) -> set[str]:
    found = {_text_of(block.get(name)) for block in blocks for name in NAMES}
    return {text for text in found if text is not None}


def _text_of(token: Any) -> str | None:
    text = token.get("content") if isinstance(token, dict) else token
    return text if isinstance(text, str) else None


def _ids_of(files: Mapping[str, bytes], name: str, where: str) -> dict[str, int]:
    """Tokens with their ids, each id once."""
    found = _object(files, name, where)
    for text, number in found.items():
        if type(number) is not int or not 0 <= number < 1 << 24 or len(text) > MAX_TOKEN_LETTERS:
            raise FormatError(f"{where}/{name}: {show(text)}: expected an id, got {show(number)}")
    if len(set(found.values())) != len(found):
        raise FormatError(f"{where}/{name}: expected each id once, got one for several tokens")
    return found


def _object(files: Mapping[str, bytes], name: str, where: str) -> dict[str, Any]:
    if name not in files:
        return {}
    value = parse_json(files[name], f"{where}/{name}", max_values=MAX_VALUES, max_pairs=MAX_PAIRS)
    if not isinstance(value, dict):
        raise FormatError(f"{where}/{name}: expected an object, got {show(value)}")
    return value
