"""Reads the options of text tokenizers as the original's constructors take them.

An absent field has the constructor's default; null is passed to it, which for a flag is False.
"""

from __future__ import annotations

from collections.abc import Sequence

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import show

__all__ = ["LETTER_CASES", "blank", "check_known", "class_of", "flag", "marks", "text"]

LETTER_CASES = ("upper", "lower", "mixed")
MAX_MARKS = 4096
MAX_MARK = 64  # characters


def class_of(block: Block) -> str:
    """The last part of `_target_`.

    Raises:
        FormatError: there is none.
    """
    target = block.values.get("_target_")
    if not isinstance(target, str) or not target:
        raise FormatError(f"{block.place('_target_')}: expected a class, got {show(target)}")
    return target.rsplit(".", 1)[-1]


def check_known(block: Block, known: Sequence[str], *fixed: tuple[str, object]) -> None:
    """Checks that a block has no field but those that are known, and those of one value only.

    Args:
        block: the block.
        known: names that its reader reads.
        fixed: names with the only value that they may have here.

    Raises:
        ConfigError: another field is there, or one of these has another value.
    """
    values = dict(fixed)
    for name in block.values:
        if name in values:
            if block.values[name] != values[name]:
                raise block.fail(name, show(values[name]))
        elif name not in known:
            listed = ", ".join((*known, *values))
            raise block.error(f"{block.place(name)}: expected fields among {listed}, got this one")


def flag(block: Block, name: str, default: bool) -> bool:
    """True or false; null is false."""
    if name not in block.values:
        return default
    return block.flag(name, False)


def text(block: Block, name: str, default: str | None, most: int = MAX_MARK) -> str | None:
    """Text of limited length; null and absent are the default."""
    value = block.values.get(name)
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > most:
        raise block.fail(name, f"text of at most {most} characters")
    return value


def blank(block: Block) -> str | None:
    """`add_blank_at`: None, "last", or "true" for whatever else is given."""
    value = block.values.get("add_blank_at")
    if value is None:
        return None
    return "last" if value == "last" else "true"


def marks(
    block: Block,
    usual: Sequence[str],
    name: str = "non_default_punct_list",
    most: int = MAX_MARKS,
) -> list[str] | None:
    """A list of symbols: the given one, or the usual ones. None for punctuation that is off.

    Raises:
        ConfigError: it is no list of short texts, or is too long.
    """
    if name == "non_default_punct_list" and not flag(block, "punct", True):
        return None
    value = block.values.get(name)
    if value is None:
        return list(usual)
    items = list(value) if isinstance(value, (str, list, tuple)) else None
    if (
        items is None
        or len(items) > most
        or not all(isinstance(item, str) and 0 < len(item) <= MAX_MARK for item in items)
    ):
        raise block.fail(name, f"a list of at most {most} symbols")
    return items
