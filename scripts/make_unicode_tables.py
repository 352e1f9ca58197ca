#!/usr/bin/env python3
"""Writes the Unicode tables of cpp/src/text from Python's unicodedata, of Unicode 14.0:

    scripts/make_unicode_tables.py            # writes the tables and the digests of their test
    scripts/make_unicode_tables.py --check    # exits with 1 if any of these files would change

The digests (tests/data/text/unicode.json) are hashes of what Python itself answers for every code
point, and for strings of many code points. tests/cpp/text/unicode_test.cpp compares them with what
the C++ functions answer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSION = "14.0.0"
CODES = [code for code in range(0x110000) if not 0xD800 <= code <= 0xDFFF]
SIGMA = "\u03a3"

PROPERTIES: dict[str, Callable[[str], bool]] = {
    "nonspacing": lambda c: unicodedata.category(c) == "Mn",
    "decimal": str.isdecimal,
    "alphanumeric": str.isalnum,
    "space": str.isspace,
    "upper": str.isupper,
    "lower": str.islower,
    "title": lambda c: c.istitle() and not c.isupper(),
    # The final sigma of str.lower looks through such characters.
    "case_ignorable": lambda c: (
        (c + SIGMA).lower()[-1] != "\u03c2" and ("A" + c + SIGMA).lower()[-1] == "\u03c2"
    ),
}


def runs(values: dict[int, int]) -> Iterator[int]:
    """Yields each run of codes with one value and a step of 1 or 2: the gap to the code behind the
    last run, twice the number of codes plus the step less one, and the value if any differs from 0.
    """
    has_values = any(values.values())
    codes = sorted(values)
    begin, behind = 0, 0
    while begin < len(codes):
        end = begin + 1
        step = codes[end] - codes[begin] if end < len(codes) else 1
        step = step if step <= 2 else 1
        while (
            end < len(codes)
            and codes[end] - codes[end - 1] == step
            and values[codes[end]] == values[codes[begin]]
        ):
            end += 1
        if end == begin + 1:
            step = 1
        yield codes[begin] - behind
        yield 2 * (end - begin) + step - 1
        if has_values:
            value = values[codes[begin]]
            yield 2 * value if value >= 0 else -2 * value - 1
        behind = codes[end - 1] + 1
        begin = end


def case_tables(name: str, convert: Callable[[str], str]) -> Iterator[tuple[str, list[int]]]:
    one = {
        code: ord(convert(chr(code))) - code
        for code in CODES
        if len(convert(chr(code))) == 1 and convert(chr(code)) != chr(code)
    }
    yield f"{name}_case", list(runs(one))
    several = []
    for code in CODES:
        become = convert(chr(code))
        if len(become) > 1:
            several += [code, len(become), *map(ord, become)]
    yield f"{name}_case_several", several


def decompositions() -> list[int]:
    """Returns for each code that decomposes: twice the gap to the code behind the last, plus one if
    NFC does not make it of its parts; its first part; its second part, or 0."""
    numbers, behind = [], 0
    for code in CODES:
        parts = unicodedata.decomposition(chr(code))
        if not parts or parts.startswith("<"):
            continue
        first, second = [int(part, 16) for part in [*parts.split(), "0"]][:2]
        pair = chr(first) + chr(second)
        is_made = second != 0 and unicodedata.normalize("NFC", pair) == chr(code)
        numbers += [2 * (code - behind) + (not is_made), first, second]
        behind = code + 1
    return numbers


def tables() -> dict[str, dict[str, list[int]]]:
    properties = {
        name: list(runs(dict.fromkeys((code for code in CODES if holds(chr(code))), 0)))
        for name, holds in PROPERTIES.items()
    }
    classes = {code: unicodedata.combining(chr(code)) for code in CODES}
    properties["combining_class"] = list(runs({c: of for c, of in classes.items() if of}))
    properties.update(case_tables("upper", str.upper))
    properties.update(case_tables("lower", str.lower))
    return {
        "unicode_properties.inl": properties,
        "unicode_decompositions.inl": {"decompositions": decompositions()},
    }


def source(arrays: dict[str, list[int]]) -> str:
    lines = [
        f"// Unicode {VERSION[:-2]}, written by scripts/make_unicode_tables.py, which says what "
        "the numbers are.",
        "// clang-format off",
    ]
    for name, numbers in arrays.items():
        camel = "".join(word.capitalize() for word in name.split("_"))
        lines.append(f"constexpr std::uint32_t k{camel}[] = {{")
        line = "   "
        for number in numbers:
            if len(line) + len(str(number)) + 2 > 132:
                lines.append(line)
                line = "   "
            line += f" {number},"
        lines += [line, "};"]
    return "\n".join([*lines, "// clang-format on", ""])


def strings() -> Iterator[str]:
    """Yields strings of code points that normalization and case treat together, the same ones as
    the C++ test."""
    blocks = [
        *((0x41, 0x180), (0x300, 0x370), (0x370, 0x400), (0x591, 0x600), (0x64B, 0x660)),
        *((0x900, 0xE00), (0x1100, 0x1200), (0x1E00, 0x2000), (0x3040, 0x3100), (0xAC00, 0xAC80)),
        *((0xFB00, 0xFB50), (0x11080, 0x11400), (0x1D15E, 0x1D1C0), (0x2F800, 0x2F820)),
    ]
    state = 1
    for _ in range(40000):
        text = ""
        for _ in range(8):
            state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
            begin, end = blocks[(state >> 33) % len(blocks)]
            text += chr(begin + (state >> 40) % (end - begin))
        yield text


def digests() -> dict[str, str]:
    """Hashes of one line for each code point: whether a property holds, or what becomes of it."""
    lines = {
        name: [str(int(holds(chr(code)))) for code in CODES] for name, holds in PROPERTIES.items()
    }
    lines["combining_class"] = [str(unicodedata.combining(chr(code))) for code in CODES]
    conversions: dict[str, Callable[[str], str]] = {
        "upper": str.upper,
        "lower": str.lower,
        "nfc": lambda text: unicodedata.normalize("NFC", text),
        "nfd": lambda text: unicodedata.normalize("NFD", text),
    }
    for name, convert in conversions.items():
        lines[f"{name}_of_code"] = [convert(chr(code)) for code in CODES]
        lines[f"{name}_of_string"] = [convert(text) for text in strings()]
    return {
        name: hashlib.sha256("".join(f"{line}\n" for line in each).encode()).hexdigest()
        for name, each in lines.items()
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    args = parser.parse_args()
    if unicodedata.unidata_version != VERSION:
        print(f"expected Unicode {VERSION}, this Python has {unicodedata.unidata_version}")
        return 2
    files = {f"cpp/src/text/{name}": source(arrays) for name, arrays in tables().items()}
    files["tests/data/text/unicode.json"] = json.dumps(digests(), indent=1) + "\n"
    stale = []
    for name, text in files.items():
        path = ROOT / name
        if not path.exists() or path.read_text("utf-8") != text:
            stale.append(name)
            if not args.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
    if args.check and stale:
        print("would change:", *stale)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
