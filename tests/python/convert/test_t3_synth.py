"""Random T3 models have the keys and shapes of the published ones, and voices those of conds.pt."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ttsrt_rt.convert import open_weights
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.synth import write_random_conds, write_random_t3
from ttsrt_rt.synth.t3_layout import T3_SIZES, t3_layout

from .t3_keys import VARIANTS, flash_shapes, original_shapes


@pytest.mark.parametrize("variant", [*VARIANTS, "flash"])
def test_layouts_match_the_original(variant: str) -> None:
    expected = flash_shapes() if variant == "flash" else original_shapes(variant)
    assert t3_layout(T3_SIZES[variant]) == expected


@pytest.mark.parametrize("size", ["tiny", "tiny_turbo", "tiny_flash"])
def test_both_formats_hold_the_same_values(size: str, tmp_path: Path) -> None:
    first = write_random_t3(tmp_path / "a.safetensors", size, 5)
    second = write_random_t3(tmp_path / "a.pt", size, 5)
    with open_weights(first) as ours, open_weights(second) as theirs:
        assert set(ours) == set(theirs) == set(t3_layout(T3_SIZES[size]))
        for name in ours:
            np.testing.assert_array_equal(ours[name].read(), theirs[name].read())


def test_equal_seeds_write_equal_files(tmp_path: Path) -> None:
    for name in ("a.pt", "a.safetensors"):
        end = name[1:]
        first = write_random_t3(tmp_path / name, seed=5).read_bytes()
        again = write_random_t3(tmp_path / f"b{end}", seed=5)
        with open_weights(again) as weights, open_weights(tmp_path / name) as others:
            for each in weights:
                np.testing.assert_array_equal(weights[each].read(), others[each].read())
        assert write_random_t3(tmp_path / f"c{end}", seed=6).read_bytes() != first
    conds = write_random_conds(tmp_path / "conds.pt", seed=5).read_bytes()
    (tmp_path / "other").mkdir()
    assert write_random_conds(tmp_path / "other" / "conds.pt", seed=5).read_bytes() == conds


def test_unknown_sizes_and_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="size: expected one of tiny, tiny_turbo, tiny_flash"):
        write_random_t3(tmp_path / "a.pt", "huge")
    with pytest.raises(ConfigError, match=r"ends in \.safetensors or \.pt"):
        write_random_t3(tmp_path / "a.ckpt")
