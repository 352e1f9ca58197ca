"""Sizes and numbers of layers that shapes tell."""

from __future__ import annotations

import pytest

from ttsrt_rt.convert.tensor_shapes import axes_of, num_layers
from ttsrt_rt.errors import FormatError

SHAPES = {"blocks.0.a": (2, 3), "blocks.11.a": (2,), "blocks.x.a": (1,), "rest": (0, 4)}


def test_shapes() -> None:
    assert axes_of(SHAPES, "blocks.0.a", 2) == (2, 3)
    for name, axes, message in (
        ("blocks.1.a", 2, "blocks.1.a: expected a tensor of this name, got none"),
        ("blocks.0.a", 3, r"blocks.0.a: expected 3 axes, got the shape \[2, 3\]"),
        ("rest", 2, r"rest: expected 2 axes, got the shape \[0, 4\]"),
    ):
        with pytest.raises(FormatError, match=message):
            axes_of(SHAPES, name, axes)


def test_layers() -> None:
    assert num_layers(SHAPES, "blocks.") == 12
    for name in ("other.0.a", "block.0.a", "blocks.256.a", "blocks.999999999999.a"):
        with pytest.raises(FormatError, match="blocks: expected 1 to 256 layers, got"):
            num_layers({name: (1,)}, "blocks.")
