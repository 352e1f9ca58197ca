"""Names of wrappers are removed where all tensors share them, and nowhere else."""

from __future__ import annotations

import pytest

from ttsrt_rt.convert.wrapped_names import unwrap_names
from ttsrt_rt.errors import FormatError

ROOTS = ("decoder", "encoder")
NAMES = ("decoder.norm.weight", "encoder.norm.weight", "bias")


@pytest.mark.parametrize(
    "prefix", ["model", "module", "_orig_mod", "model._orig_mod", "module.module", "my_net.inner"]
)
def test_a_common_prefix_is_removed(prefix: str) -> None:
    found, removed = unwrap_names({f"{prefix}.{name}": name for name in NAMES}, ROOTS)
    assert found == {name: name for name in NAMES}
    assert removed == prefix.replace("._orig_mod", "").replace("_orig_mod", "")


def test_other_names_stay() -> None:
    for names in (
        NAMES,
        ("decoder.a", "decoder.b"),  # all in one part of the model
        ("model.decoder.a", "decoder.b"),
        ("model",),
        (),
    ):
        assert unwrap_names({name: name for name in names}, ROOTS) == (
            {name: name for name in names},
            "",
        )


def test_wrappers_between_modules_are_removed() -> None:
    names = ("decoder._orig_mod.a", "encoder._fsdp_wrapped_module.b", "bias")
    found, removed = unwrap_names({name: name for name in names}, ROOTS)
    assert list(found) == ["decoder.a", "encoder.b", "bias"]
    assert removed == ""
    with pytest.raises(FormatError, match="twice"):
        unwrap_names({"decoder._orig_mod.a": 1, "decoder.a": 2, "encoder.b": 3}, ROOTS)
