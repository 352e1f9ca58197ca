"""The bytes that a step of a language model reads, against which speeds are measured."""

from __future__ import annotations

from ttsrt_rt._core import Engine

__all__ = ["step_bytes_of"]

_TABLE = "embedding"  # of which a step reads one row for each request


def step_bytes_of(engine: Engine) -> int:
    """Returns the bytes of weights that a step reads: all but those of the table of tokens.

    Args:
        engine: of a language model. Where the head is tied to the table, it is stored beside it.
    """
    return sum(each.bytes for each in engine.tensors() if each.name != _TABLE)
