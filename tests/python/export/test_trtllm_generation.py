"""What an export generates, against the executor: it agrees, and each kind of damage is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.export.damage import (
    Damage,
    damaged,
    put,
    swapped,
    with_arrays,
    with_field,
    with_tensor,
    write_export,
)
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_checks import Exported
from ttsrt_rt.export.trtllm_generation import check_generation

RANK, META = "rank0.safetensors", "t3_metadata.json"
LAYER = "transformer.layers.1."


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    return {
        variant: write_export(tmp_path_factory.mktemp(variant), variant, "float32")
        for variant in ("english", "turbo")
    }


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_an_export_agrees(variant: str, dtype: str, tmp_path: Path) -> None:
    checkpoint, folder = write_export(tmp_path, variant, dtype)
    told = check_generation(Exported(folder, open_t3(checkpoint), None))
    assert told.count("cfg_scale") == (2 if variant == "english" else 1)
    assert ("relative difference" if dtype == "float32" else "cosine") in told


favour_a_text_id = with_tensor(RANK, "lm_head.weight", put((3, slice(None)), 100.0))


def unmask(folder: Path) -> None:
    np.save(folder / "logits_bias.npy", np.zeros(136, np.float32))


DAMAGES: list[tuple[str, Damage, str]] = [
    ("english", swapped(RANK, f"{LAYER}mlp.fc.weight", f"{LAYER}mlp.gate.weight"), "logits within"),
    ("english", with_field(META, "start_rows", 1), "logits within"),
    ("english", with_field(META, "positions.first_generated", 0), "step 1, conditional row"),
    ("english", with_field(META, "positions.text", None), "logits within"),
    ("english", with_field("config.json", "rotary_base", 10000.0), "logits within"),
    ("english", with_field("config.json", "rotary_scaling", None), "logits within"),
    ("english", with_field("config.json", "norm_epsilon", 0.1), "logits within"),
    ("english", lambda folder: (favour_a_text_id(folder), unmask(folder)), "expected the id"),
    ("english", with_arrays(prompt_lengths=put(0, 0)), "expected finite rows"),
    ("turbo", with_tensor(RANK, f"{LAYER}mlp.fc.bias", lambda values: values + 1), "logits within"),
    ("turbo", with_field(META, "start_rows", 2), "logits within"),
    (
        "turbo",
        with_tensor(
            RANK, "transformer.position_embedding.weight", lambda values: np.roll(values, 1, 0)
        ),
        "logits within",
    ),
]


@pytest.mark.parametrize(("variant", "damage", "message"), DAMAGES)
def test_damage_is_found(
    variant: str,
    damage: Damage,
    message: str,
    exports: dict[str, tuple[Path, Path]],
    tmp_path: Path,
) -> None:
    checkpoint, folder = exports[variant]
    damaged(folder, tmp_path / "copy", damage)
    with pytest.raises(rt.Error, match=message):
        check_generation(Exported(tmp_path / "copy", open_t3(checkpoint), None))


def test_the_bias_masks_text_ids(exports: dict[str, tuple[Path, Path]], tmp_path: Path) -> None:
    checkpoint, folder = exports["english"]
    copy = damaged(folder, tmp_path / "copy", favour_a_text_id)
    assert check_generation(Exported(copy, open_t3(checkpoint), None))


def test_reduced_precision_has_a_limit(tmp_path: Path) -> None:
    checkpoint, folder = write_export(tmp_path, "english", "bfloat16")
    with_tensor(RANK, f"{LAYER}attention.dense.weight", lambda bits: np.roll(bits, 1))(folder)
    with pytest.raises(rt.FormatError, match=r"cosine of 0\.998 or more to the executor's, got"):
        check_generation(Exported(folder, open_t3(checkpoint), None))
