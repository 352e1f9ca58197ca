"""Removes the names of wrappers from the names of tensors.

Training code wraps a model before it saves it: `model.` (Lightning), `module.` (data parallelism),
`_orig_mod.` (torch.compile). A prefix is removed only if all tensors share it and no part of the
model has its name; the wrappers that PyTorch puts between modules are removed wherever they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import quote

__all__ = ["unwrap_names"]

T = TypeVar("T")

INNER_WRAPPERS = frozenset(
    {"_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"}
)
MAX_PREFIXES = 8


def unwrap_names(tensors: Mapping[str, T], known: Iterable[str]) -> tuple[dict[str, T], str]:
    """Returns the tensors under their names without wrappers, and the prefix that was removed.

    Args:
        tensors: the tensors by name.
        known: the first parts of the model's own names, which are never removed.

    Raises:
        FormatError: two names are the same without their wrappers.
    """
    roots = frozenset(known)
    names = {name: tuple(name.split(".")) for name in tensors}
    if any(not INNER_WRAPPERS.isdisjoint(parts) for parts in names.values()):
        names = {
            name: tuple(part for part in parts if part not in INNER_WRAPPERS) or parts
            for name, parts in names.items()
        }
    removed: list[str] = []
    while names and len(removed) < MAX_PREFIXES:
        first = next(iter(names.values()))[0]
        is_wrapper = first not in roots and all(
            len(parts) > 1 and parts[0] == first for parts in names.values()
        )
        if not is_wrapper:
            break
        removed.append(first)
        names = {name: parts[1:] for name, parts in names.items()}
    made: dict[str, T] = {}
    for name, parts in names.items():
        short = ".".join(parts)
        if short in made:
            raise FormatError(
                f"{quote(name)}: expected a name of its own, got {quote(short)} twice without "
                "wrappers"
            )
        made[short] = tensors[name]
    return made, ".".join(removed)
