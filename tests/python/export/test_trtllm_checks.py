"""The checks of files: each one passes on an export, and fails on each kind of damage."""

from __future__ import annotations

from collections.abc import Callable
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
    without_tensor,
    write_export,
)
from tests.python.export.t3_random import write_t3
from ttsrt_rt.export.t3_checkpoint import open_t3
from ttsrt_rt.export.trtllm_checks import (
    Exported,
    check_bias,
    check_embeddings,
    check_integrity,
    check_prompt_table,
    check_voices,
    check_weights,
)

CHECKS = [
    *(check_integrity, check_weights, check_embeddings),
    *(check_bias, check_prompt_table, check_voices),
]
RANK, TABLE, META = "rank0.safetensors", "prompt_embedding_table", "t3_metadata.json"
EMBEDDING = "transformer.vocab_embedding.weight"
QKV = "transformer.layers.1.attention.qkv.weight"
TEXT_AT = "transformer.text_position_embedding.weight"
SPEECH_AT = "transformer.speech_position_embedding.weight"

ExportOf = Callable[[str, str], tuple[Path, Path]]


@pytest.fixture(scope="module")
def export_of(tmp_path_factory: pytest.TempPathFactory) -> ExportOf:
    made: dict[tuple[str, str], tuple[Path, Path]] = {}

    def make(variant: str, dtype: str) -> tuple[Path, Path]:
        if (variant, dtype) not in made:
            folder = tmp_path_factory.mktemp(f"{variant}-{dtype}")
            made[variant, dtype] = write_export(folder, variant, dtype)
        return made[variant, dtype]

    return make


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("variant", ["english", "turbo"])
def test_an_export_passes(variant: str, dtype: str, export_of: ExportOf) -> None:
    checkpoint, folder = export_of(variant, dtype)
    export = Exported(folder, open_t3(checkpoint), None)
    for check in CHECKS:
        assert check(export)


def unlink(name: str) -> Damage:
    return lambda folder: (folder / name).unlink()


DAMAGES: list[tuple[Callable[[Exported], str], Damage, str]] = [
    (check_integrity, without_tensor(RANK, QKV), r"qkv\.weight: expected \[96, 32\], got nothing"),
    (check_integrity, with_tensor(RANK, QKV, lambda v: v[:64]), r"expected .* got float16 \[64, "),
    (check_integrity, with_field("config.json", "dtype", "float32"), "expected float32 .* float16"),
    (check_integrity, with_field("config.json", "dtype", "int3"), "dtype: expected"),
    (check_integrity, with_field("config.json", "vocab_size", 96), "vocab_size: expected 136"),
    (check_integrity, with_field("config.json", "rotary_scaling", None), "rotary_scaling"),
    (check_integrity, with_field("config.json", "rotary_base", 1e4), "rotary_base"),
    (check_integrity, unlink("config.json"), r"config\.json"),
    (check_integrity, unlink(RANK), r"rank0\.safetensors"),
    (check_integrity, unlink("positions.safetensors"), r"positions\.safetensors"),
    (check_integrity, unlink("voices.safetensors"), r"voices\.safetensors"),
    (check_integrity, unlink("build_engine.sh"), r"build_engine\.sh"),
    (check_integrity, lambda f: (f / "build_engine.sh").chmod(0o644), "executable"),
    (check_integrity, lambda f: (f / "build_engine.sh").write_text("true"), "script"),
    (check_integrity, with_field(META, "ids.bos", 129), "bos: expected 130, got 129"),
    (check_integrity, with_field(META, "start_rows", 1), "start_rows: expected 2, got 1"),
    (check_integrity, with_field(META, "prompt.rows_per_task", 1), "rows_per_task"),
    (check_integrity, with_field(META, "prompt.voices", []), "expected voices"),
    (check_weights, with_tensor(RANK, QKV, put((95, 31), 3.0)), r"qkv\.weight: \[95, 31\] differs"),
    (
        check_weights,
        swapped(RANK, "transformer.layers.0.mlp.fc.weight", "transformer.layers.0.mlp.gate.weight"),
        "differs from the checkpoint",
    ),
    (check_weights, with_tensor(RANK, "lm_head.weight", lambda v: np.roll(v, 1, 0)), "lm_head"),
    (check_weights, with_tensor("positions.safetensors", TEXT_AT, put((3, 1), 9)), TEXT_AT),
    (check_embeddings, with_tensor(RANK, EMBEDDING, put((40, 0), 9)), r"weight: \[40, 0\] differs"),
    (check_embeddings, with_tensor("positions.safetensors", TEXT_AT, put((3, 1), 9)), "text rows"),
    (check_embeddings, with_tensor("positions.safetensors", SPEECH_AT, put((0, 1), 9)), "BOS rows"),
    (
        check_embeddings,
        with_tensor("positions.safetensors", SPEECH_AT, put((5, 1), 9)),
        "speech row 4",
    ),
    (check_embeddings, with_field(META, "start_rows", 1), "BOS rows: expected"),
    (check_embeddings, with_field(META, "ids.bos", 129), "BOS rows: row 0 differs"),
    (check_embeddings, with_field(META, "positions.first_generated", 0), "speech row 0"),
    (check_embeddings, with_field(META, "positions.first_text", 1), "text rows"),
    (check_embeddings, with_field(META, "positions.text", None), "text rows"),
    (check_bias, unlink("logits_bias.npy"), "logits_bias"),
    (
        check_bias,
        lambda f: np.save(f / "logits_bias.npy", np.zeros(136, np.float32)),
        r"\[0\]: exp",
    ),
    (check_bias, lambda f: np.save(f / "logits_bias.npy", np.zeros(96, np.float32)), r"\[136\]"),
    (check_prompt_table, unlink("prompt_table.npz"), r"prompt_table\.npz"),
    (check_prompt_table, with_arrays(prompt_lengths=None), "expected prompt_lengths, got nothing"),
    (check_prompt_table, with_arrays(prompt_vocab_size=put(0, 1)), "expected 7, got 1"),
    (check_prompt_table, with_arrays(prompt_vocab_size=lambda v: v[0]), r"expected int32 \[1\]"),
    (check_prompt_table, with_arrays(voice_names=lambda v: v[::-1]), "voice_names: expected"),
    (check_prompt_table, with_arrays(prompt_lengths=put(1, 7)), r"\[7, 2\], got \[7, 7\]"),
    (check_prompt_table, with_arrays(prompt_lengths=lambda v: v[:1]), r"int32 \[2\]"),
    (check_prompt_table, with_arrays(**{TABLE: lambda v: v[:-1]}), r"\[14, 32\], got .* \[13, 32"),
    (check_prompt_table, with_arrays(**{TABLE: lambda v: v[:, :-1]}), r"\[14, 31\]"),
    (
        check_prompt_table,
        with_arrays(**{TABLE: lambda v: v.astype(np.float32)}),
        "expected float16",
    ),
    (check_prompt_table, with_arrays(**{TABLE: put((2, 3), np.nan)}), "NaN"),
    (
        check_prompt_table,
        with_arrays(**{TABLE: put((13, 3), 1)}),
        "zeros behind the rows of voice 1",
    ),
    (check_voices, with_arrays(**{TABLE: put((2, 3), np.inf)}), "anna: expected finite rows"),
    (check_voices, with_arrays(**{TABLE: lambda v: np.roll(v, 1, 0)}), r"anna: row \d: expected"),
    (check_voices, with_arrays(**{TABLE: lambda v: v[:8]}), r"ben: expected \[2, 32\], got \[1, "),
    (check_voices, with_field(META, "prompt.voices.1.hash", "0"), "ben: hash of"),
    (
        check_voices,
        with_tensor("voices.safetensors", "1.emotion", put(0, 0.75)),
        "ben: hash of",
    ),
]


@pytest.mark.parametrize(("check", "damage", "message"), DAMAGES)
def test_damage_is_found(
    check: Callable[[Exported], str],
    damage: Damage,
    message: str,
    export_of: ExportOf,
    tmp_path: Path,
) -> None:
    checkpoint, folder = export_of("english", "float16")
    copy = damaged(folder, tmp_path / "copy", damage)
    with pytest.raises(rt.Error, match=message):
        check(Exported(copy, open_t3(checkpoint), None))


def test_another_checkpoint_is_found(export_of: ExportOf, tmp_path: Path) -> None:
    _, folder = export_of("english", "float16")
    other = open_t3(write_export(tmp_path / "other", "english", "float16")[0])
    checks = Exported(folder, other, None)
    assert check_voices(checks)  # the same seed
    changed = Exported(folder, open_t3(write_t3(tmp_path / "changed", "english", seed=8)), None)
    for check in (check_weights, check_embeddings, check_voices):
        with pytest.raises(rt.FormatError):
            check(changed)


def test_a_prompt_table_of_its_own(export_of: ExportOf, tmp_path: Path) -> None:
    checkpoint, folder = export_of("english", "float16")
    copy = damaged(folder, tmp_path / "copy", with_arrays(prompt_vocab_size=put(0, 1)))
    source = open_t3(checkpoint)
    assert check_prompt_table(Exported(copy, source, folder / "prompt_table.npz"))
    with pytest.raises(rt.FormatError, match="prompt_vocab_size"):
        check_prompt_table(Exported(folder, source, copy / "prompt_table.npz"))
