"""Converters check what they write against the tensors that the library declares."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.convert.manifest import check_tensors, declared_tensors
from ttsrt_rt.errors import FormatError


def config_of(folder: Path) -> dict[str, object]:
    return dict(json.loads((folder / "config.json").read_text()))


@pytest.mark.parametrize("case", ["tiny2503", "tinyhf", "tinycetext", "tinymulti"])
def test_a_converted_checkpoint_is_what_is_declared(
    checkpoint_of: Callable[[str], Path], case: str
) -> None:
    folder = checkpoint_of(case)
    declared = declared_tensors(config_of(folder))
    weights = open_checkpoint(folder).weights
    assert set(declared) == set(weights)
    assert all(declared[name].fits(tensor.shape) for name, tensor in weights.items())
    roles = {declared[name].role for name in ("text_embedding", "decoder.norm_out", "final_proj")}
    assert roles == {"table", "vector", "matrix"}


def test_what_does_not_fit(checkpoint_of: Callable[[str], Path]) -> None:
    folder = checkpoint_of("tiny2503")
    declared = declared_tensors(config_of(folder))
    weights = open_checkpoint(folder).weights
    good = {name: (tensor.dtype, tensor.shape) for name, tensor in weights.items()}
    check_tensors(declared, good)
    dtype, shape = good["final_proj"]
    for bad, message in (
        ({"final_proj": (dtype, (*shape, 1))}, "final_proj: expected .*, got .*, 1"),
        ({"final_proj": ("int8", shape)}, "final_proj: expected float32 or bfloat16 or float16"),
        ({"other": (dtype, shape)}, "unexpected tensors: other"),
    ):
        with pytest.raises(FormatError, match=message):
            check_tensors(declared, {**good, **bad})
    with pytest.raises(FormatError, match=r"final_proj: expected .*, got nothing"):
        check_tensors(declared, {name: of for name, of in good.items() if name != "final_proj"})


def test_an_unknown_family_lists_the_known(checkpoint_of: Callable[[str], Path]) -> None:
    config = config_of(checkpoint_of("tiny2503"))
    with pytest.raises(FormatError, match=r'family: expected one of magpie.*, got "parrot"'):
        declared_tensors({**config, "family": "parrot"})
