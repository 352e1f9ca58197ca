"""What the configuration of compressed-tensors says beside bits and groups: which layers stay
floats, and fields that must be empty, as what they ask for is not done here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.convert.fields import Block

__all__ = ["IN_CONFIG", "IN_GROUP", "IN_WEIGHTS", "NamePatterns", "check_targets", "refuse_unknown"]

MAX_NAMES, MAX_NAME = 10_000, 256
MAX_PATTERNS, MAX_STARS = 64, 3
REGEX = "re:"
# What a pattern may have: letters of names, any letter, any letters, digits, a bound of the name.
PATTERN = re.compile(r"\^?(?:[\w-]|\\[.d]\+?|\.\*?)*\$?")

# Fields that are known, with values beside null that change nothing; None for any value.
IN_CONFIG: Mapping[str, tuple[Any, ...] | None] = {
    **dict.fromkeys(("quant_method", "format", "config_groups", "ignore", "version")),
    **dict.fromkeys(("global_compression_ratio", "quantization_status", "run_compressed")),
    "kv_cache_scheme": None,  # scales of a cache, which is quantized by its own values here
    "sparsity_config": ({}, {"format": "dense"}),
    "transform_config": ({},),
}
IN_GROUP: Mapping[str, tuple[Any, ...] | None] = dict.fromkeys(
    ("targets", "weights", "input_activations", "output_activations", "format")
)
IN_WEIGHTS: Mapping[str, tuple[Any, ...] | None] = {
    **dict.fromkeys(("num_bits", "type", "symmetric", "group_size", "strategy")),
    **dict.fromkeys(("observer", "observer_kwargs", "scale_dtype", "zp_dtype")),
    "actorder": ("group", "weight", "static", True, False),
    "block_structure": (),
    "dynamic": (False,),
}


@dataclass(frozen=True)
class NamePatterns:
    """Names of layers, and patterns of names.

    Attributes:
        names: whole names.
        patterns: from the beginning of a name on.
    """

    names: frozenset[str] = frozenset()
    patterns: tuple[re.Pattern[str], ...] = ()

    @staticmethod
    def of(block: Block, name: str) -> NamePatterns:
        r"""Reads a field with a list of names; those that begin with "re:" are patterns.

        Raises:
            ConfigError: it is no such list, or a pattern has more than letters, `.`, `.*`, `\d`
                and bounds.
        """
        found = block.values.get(name)
        if found is None:
            return NamePatterns()
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise block.fail(name, "a list of names, or null")
        written = [each.removeprefix(REGEX) for each in found if each.startswith(REGEX)]
        if len(found) > MAX_NAMES or len(written) > MAX_PATTERNS:
            raise block.fail(name, f"at most {MAX_NAMES} names and {MAX_PATTERNS} patterns")
        for each in written:
            is_simple = len(each) <= MAX_NAME and PATTERN.fullmatch(each) is not None
            if not is_simple or each.count("*") + each.count("+") > MAX_STARS:
                raise block.fail(
                    name,
                    rf"patterns of letters, ., .* and \d+, with at most {MAX_STARS} repetitions",
                )
        names = frozenset(each for each in found if not each.startswith(REGEX))
        return NamePatterns(names, tuple(re.compile(each) for each in written))

    def matches(self, name: str) -> bool:
        """Whether a layer is among them."""
        return name in self.names or any(each.match(name) for each in self.patterns)


def refuse_unknown(block: Block, known: Mapping[str, tuple[Any, ...] | None]) -> None:
    """Refuses fields that are not known, and values that ask for what is not done here.

    Raises:
        ConfigError: there is one.
    """
    for name, value in block.values.items():
        if value is None:
            continue
        if name not in known:
            raise block.fail(name, "null, as this field is not known")
        neutral = known[name]
        if neutral is not None and value not in neutral:
            words = ", ".join(str(each) for each in neutral)
            raise block.fail(name, f"null{' or ' if words else ''}{words}, as it is not read")


def check_targets(group: Block) -> None:
    """Refuses a group of other layers than linear ones.

    Raises:
        ConfigError: `targets` names another class, or is no list.
    """
    found = group.values.get("targets")
    if found is None:
        return
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise group.fail("targets", "a list of names")
    for each in found:
        if each != "Linear" and not each.startswith(REGEX) and "." not in each:
            raise group.fail("targets", "Linear, or names of layers")
