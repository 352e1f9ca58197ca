"""TensorRT-LLM folders of several ranks: cut by the rules of its converters, written again here,
and merged to the same checkpoint as the folder of Hugging Face; what does not fit is refused.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.convert.llm_models import LLAMA, PHI, Arrays, write_model
from tests.python.convert.test_llm_older import (
    DIM,
    HEADS,
    LAYERS,
    check_equal,
    tensorrt,
    tensorrt_config,
    write_original,
)

LAYER = "transformer.layers."


def part_of(name: str, value: Any, rank: int, parts: int, kv_heads: int, embedding: int) -> Any:
    """What the converter of TensorRT-LLM gives one tensor-parallel rank."""
    inner = name.split(".", 3)[-1] if name.startswith(LAYER) else name
    if ".qkv." in name:
        sizes = np.cumsum([HEADS * DIM, kv_heads * DIM])
        query, key, value_ = np.split(value, sizes)
        if kv_heads < parts:
            copies = parts // kv_heads
            rest = key.shape[1:]
            key, value_ = (
                each.reshape(kv_heads, DIM, *rest).repeat(copies, axis=0).reshape(-1, *rest)
                for each in (key, value_)
            )
        return np.concatenate([np.split(each, parts)[rank] for each in (query, key, value_)])
    if inner.startswith(("mlp.fc.", "mlp.gate.")):
        return np.split(value, parts)[rank]
    if inner in ("attention.dense.weight", "mlp.proj.weight"):
        return np.ascontiguousarray(np.split(value, parts, axis=1)[rank])
    if name.startswith("lm_head.") or (name == EMBEDDING and embedding == 0):
        missing = -len(value) % parts
        padding = np.zeros((missing, *value.shape[1:]), value.dtype)
        return np.split(np.concatenate([value, padding]), parts)[rank]
    if name == EMBEDDING and embedding == 1:
        return np.ascontiguousarray(np.split(value, parts, axis=1)[rank])
    return value


EMBEDDING = "transformer.vocab_embedding.weight"
OUTER = {0: (EMBEDDING,), 1: ("transformer.ln_f.weight", "transformer.ln_f.bias")}


def ranks(
    arrays: Arrays, parts: int, stages: list[int], kv_heads: int, embedding: int = -1
) -> list[Arrays]:
    """Files of all ranks; `stages` are the numbers of layers of each."""
    made: list[Arrays] = []
    first = 0
    for stage, count in enumerate(stages):
        chosen: Arrays = {}
        for name, value in arrays.items():
            if name.startswith(LAYER):
                number, inner = name.removeprefix(LAYER).split(".", 1)
                if first <= int(number) < first + count:
                    chosen[f"{LAYER}{int(number) - first}.{inner}"] = value
            elif (name == EMBEDDING and stage == 0) or (
                name != EMBEDDING and stage == len(stages) - 1
            ):
                chosen[name] = value
        first += count
        made += [
            {
                name: part_of(name, value, rank, parts, kv_heads, embedding)
                for name, value in chosen.items()
            }
            for rank in range(parts)
        ]
    return made


def write_ranks(folder: Path, files: list[Arrays], config: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    for rank, arrays in enumerate(files):
        write_model(folder, arrays, f"rank{rank}.safetensors")
    return folder


def mapping(parts: int, stages: int = 1) -> dict[str, Any]:
    return {"world_size": parts * stages, "tp_size": parts, "pp_size": stages}


@pytest.mark.parametrize("is_phi", [False, True], ids=["llama", "phi"])
@pytest.mark.parametrize(
    ("parts", "stages", "embedding"),
    [(2, [2], -1), (4, [2], 0), (2, [2], 1), (1, [1, 1], -1), (2, [1, 1], 0), (4, [2, 0], 1)],
)
def test_ranks_are_merged_exactly(
    is_phi: bool, parts: int, stages: list[int], embedding: int, tmp_path: Path
) -> None:
    """With 4 parts, two ranks of Llama have the same head of keys; 42 ids are padded to 44."""
    sizes = {"vocab_size": 42}
    arrays = write_original(
        tmp_path / "original", PHI if is_phi else LLAMA, rope_theta=5000.0, **sizes
    )
    whole = tensorrt(dict(arrays), is_phi)
    files = ranks(whole, parts, stages, HEADS if is_phi else 2, embedding)
    config = tensorrt_config(is_phi, mapping=mapping(parts, len(stages)), **sizes)
    folder = write_ranks(tmp_path / "ranks", files, config)
    check_equal(tmp_path / "original", folder)
    assert rt.convert(folder / "rank0.safetensors", tmp_path / "same", progress=False)


def two_ranks(folder: Path, **changed: Any) -> tuple[list[Arrays], dict[str, Any]]:
    arrays = tensorrt(write_original(folder, LLAMA), False)
    return ranks(arrays, 2, [LAYERS], 2), tensorrt_config(False, mapping=mapping(2), **changed)


DENSE = f"{LAYER}0.attention.dense.weight"


def check_refused(
    tmp_path: Path, files: list[Arrays], config: dict[str, Any], message: str
) -> None:
    folder = write_ranks(tmp_path / "ranks", files, config)
    with pytest.raises((rt.ConfigError, rt.FormatError), match=message):
        rt.convert(folder, tmp_path / "ours", progress=False)
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"mapping": {"world_size": 2, "tp_size": 1}}, "world_size: expected 1, tp_size 1 times"),
        (
            {"mapping": {"tp_size": 2}},
            "world_size: expected 2, tp_size 2 times pp_size 1, got None",
        ),
        ({"mapping": {"world_size": 2, "tp_size": 2, "cp_size": 2}}, "cp_size: expected 1"),
        ({"mapping": mapping(3)}, "num_attention_heads: expected a multiple of tp_size 3"),
        ({"mapping": mapping(4)}, r"rank2\.safetensors: expected the weights of this rank"),
        ({"mapping": mapping(1)}, r"rank1\.safetensors: expected files of 1 ranks"),
        ({"num_key_value_heads": 4}, "expected 48 rows of queries, keys and values in a part"),
        ({"vocab_size": 50}, "expected 50 rows in all parts together"),
    ],
)
def test_mappings_that_do_not_fit(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    files, config = two_ranks(tmp_path / "original")
    count = 3 if "3" in str(changed.get("mapping", {}).get("tp_size")) else 2
    check_refused(tmp_path, [*files, files[0]][:count], {**config, **changed}, message)


def test_parts_that_do_not_fit(tmp_path: Path) -> None:
    def damaged(name: str, value: Any) -> list[Arrays]:
        files, _ = two_ranks(tmp_path / "original")
        changed = {**files[1], name: value}
        return [files[0], {key: each for key, each in changed.items() if each is not None}]

    _, config = two_ranks(tmp_path / "original")
    files, _ = two_ranks(tmp_path / "original")
    dense, norm = files[1][DENSE], files[1]["transformer.ln_f.weight"]
    for name, value, message in [
        (DENSE, dense[:-1], "but for axis 1 in all parts"),
        (DENSE, dense.astype(np.float16), "but for axis 1 in all parts, got float16"),
        (DENSE, None, "expected the same tensors in rank 0 and rank 1"),
        ("extra.weight", norm, "expected the same tensors in rank 0 and rank 1"),
        ("transformer.ln_f.weight", norm + 1, "expected the same values in all parts"),
        ("transformer.ln_f.weight", norm[:-1], r"expected float32 \[32\] in all parts"),
    ]:
        check_refused(tmp_path, damaged(name, value), config, message)


def test_copies_of_keys_must_be_equal(tmp_path: Path) -> None:
    arrays = tensorrt(write_original(tmp_path / "original", LLAMA), False)
    files = ranks(arrays, 4, [LAYERS], 2)
    name = f"{LAYER}1.attention.qkv.weight"
    files[1][name] = files[1][name].copy()
    files[1][name][DIM, 0] += 1
    config = tensorrt_config(False, mapping=mapping(4))
    check_refused(tmp_path, files, config, "keys and values of parts 0 and 1 to be equal")


def test_stages_number_their_layers_from_0(tmp_path: Path) -> None:
    arrays = tensorrt(write_original(tmp_path / "original", LLAMA), False)
    files = ranks(arrays, 1, [1, 1], 2)
    files[1] = {name.replace(f"{LAYER}0.", f"{LAYER}1."): each for name, each in files[1].items()}
    config = tensorrt_config(False, mapping=mapping(1, 2))
    check_refused(tmp_path, files, config, "layers of stage 1 to be numbered from 0")
    files = ranks(arrays, 1, [1, 1], 2)
    files[1][EMBEDDING] = files[0][EMBEDDING]
    check_refused(tmp_path, files, config, "in one stage, got it in two")
