"""The `defaults` block of a T3 checkpoint's config.json: what the original's public interface uses.

File names are read for one thing only: multilingual v2 and v3 have the same shapes and different
defaults.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ttsrt_rt.convert.causal_defaults import CausalDefaults
from ttsrt_rt.convert.t3_model import FIRST_MULTILINGUAL_TEXT, GPT2_VARIANTS, T3Model

__all__ = ["BlockDefaults", "T3Defaults", "read_defaults"]

V2_NAME = re.compile(r"_v2(?![0-9a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class BlockDefaults:
    """How steps decide the codes of a block together: at most `steps` of them, `early` and `shift`
    of their schedule, and the factor of the noise in their scores (docs/format.md).
    """

    steps: int
    early: float
    shift: float
    noise: float


@dataclass(frozen=True)
class T3Defaults(CausalDefaults):
    """The `defaults` block: the values of request fields that a request leaves out."""

    emotion: float | None
    analyzer: bool | None
    block: BlockDefaults | None = None


# The original's `position_temperature` of 5 divides zeros before the noise is added to them, so the
# noise has factor 1 whatever it is.
FLASH_BLOCK = BlockDefaults(steps=10, early=0.1, shift=0.5, noise=1.0)


def read_defaults(model: T3Model, file_name: str) -> T3Defaults:
    """Returns the defaults of the original's public interface for this model.

    Args:
        model: what `read_model` returned.
        file_name: of the source; multilingual files of v2 are told by their name.
    """
    emotion = 0.5 if model.conditioning.emotion else None
    # The original gave up its analyzer for a smaller penalty, so no request has it unasked.
    analyzer = None if model.analyzer is None else False
    if model.variant == "flash":
        return T3Defaults(2.0, 0.6, 0, 1.0, 0.0, 1.0, 1000, 0, emotion, analyzer, FLASH_BLOCK)
    if model.variant in GPT2_VARIANTS:
        return T3Defaults(1.0, 0.8, 1000, 0.95, 0.0, 1.2, 1000, 0, emotion, analyzer)
    is_older = model.text_vocab == FIRST_MULTILINGUAL_TEXT or bool(V2_NAME.search(file_name))
    penalty = 2.0 if model.variant == "multilingual" and is_older else 1.2
    return T3Defaults(1.5, 0.8, 0, 1.0, 0.05, penalty, 1000, 0, emotion, analyzer)
