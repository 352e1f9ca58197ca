"""The part of the `defaults` block that all causal decoders share."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CausalDefaults"]


@dataclass(frozen=True)
class CausalDefaults:
    """Values of the request fields that a request leaves out (docs/format.md)."""

    cfg_scale: float
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    max_frames: int
    min_frames: int
