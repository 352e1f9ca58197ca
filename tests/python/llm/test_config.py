"""Configurations of language models: names, bounds, bases, spellings, and what ships."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.house import ROOT
from ttsrt_rt.llm.config import config_of, read_config
from ttsrt_rt.llm.config_sections import MODES

SHIPPED = sorted((ROOT / "examples" / "llm" / "configs").glob("*.yaml"))


def written(folder: Path, text: str, name: str = "c.yaml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_ships_is_read(path: Path) -> None:
    config = read_config(path)
    expected = {"fp16": "none", "int8": "w8a16", "int4": "w4a16"}[path.stem.rpartition("_")[2]]
    assert config.engine_quantization == expected
    assert config.model_dir is not None
    assert config.folder("engine_dir").endswith(path.stem)


def test_all_models_and_precisions_ship() -> None:
    models = ("tinyllama", "phi2", "llama2_7b")
    assert {path.stem for path in SHIPPED} == {
        f"{model}_{kind}" for model in models for kind in ("fp16", "int8", "int4")
    }


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"quantisation": {}}, r"quantisation.*is quantization meant\?"),
    ({"quantization": {"grup_size": 64}}, r"quantization: .*grup_size.*is group_size meant\?"),
    ({"quantization": {"group_size": 48}}, r"quantization.group_size: expected .* got 48"),
    ({"quantization": {"mode": "int5"}}, r"quantization.mode: expected one of .* got 'int5'"),
    ({"quantization": {"use_awq": 1}}, r"quantization.use_awq: expected true or false, got 1"),
    ({"quantization": {"use_awq": True}}, r"use_awq: expected a mode of 4 bits"),
    (
        {"quantization": {"mode": "int4_weight_only", "use_awq": True, "symmetric": True}},
        r"quantization.symmetric: expected false beside use_awq",
    ),
    ({"quantization": {"lm_head": "w8a16"}}, r"lm_head: expected none beside the mode none"),
    ({"engine": {"max_batch_size": 0}}, r"engine.max_batch_size: expected an integer of 1\.\.4096"),
    ({"engine": {"max_batch_size": 1e9}}, r"engine.max_batch_size: .*got 1000000000"),
    ({"engine": {"max_batch_size": True}}, r"engine.max_batch_size: .*got True"),
    ({"engine": {"max_seq_len": 8}}, r"engine.max_seq_len: expected at least max_input_len"),
    ({"engine": {"backend": "tensorrt"}}, r"engine.backend: expected native"),
    ({"engine": []}, r"engine: expected names and values"),
    ({"generation": {"temperature": float("nan")}}, r"generation.temperature: expected a number"),
    ({"generation": {"temperature": 1e-9}}, r"generation.temperature: expected .*, or 0, got"),
    ({"generation": {"top_p": 0}}, r"generation.top_p: expected a number of 1e-37\.\.1, got 0"),
    ({"generation": {"repetition_penalty": 0}}, r"generation.repetition_penalty: expected"),
    ({"generation": {"stop": ["a"] * 20}}, r"generation.stop: stop: expected at most 16 texts"),
    ({"generation": {"stop": "a" * 257}}, r"generation.stop: stop: expected texts of 1 to 256"),
    ({"quantization": {"awq_block_size": -1}}, r"quantization.awq_block_size: expected .* got -1"),
    ({"quantization": {"calibration_length": 65536}}, r"calibration_length: expected .* 8\.\.4096"),
    ({"speculation": {"match": "best"}}, r"speculation.match: expected one of last, first"),
    ({"generation": {"stop": ["a", 3]}}, r"generation.stop\[1\]: expected a text, got 3"),
    ({"benchmark": {"batch_sizes": []}}, r"batch_sizes: expected at least one integer"),
    ({"speculation": {"mode": "draft"}}, r"speculation.draft_engine: expected an engine"),
    ({"dtype": "fp8"}, r"dtype: expected one of auto, float32, float16, bfloat16"),
    ({"dtype": "float32", "quantization": {"mode": "fp16"}}, r"dtype: expected float16 beside"),
    ({3: 4}, r"the top: expected the names .* got 3"),
]


@pytest.mark.parametrize(("values", "told"), WRONG, ids=[told[:40] for _, told in WRONG])
def test_what_is_wrong_is_named(values: dict[Any, Any], told: str) -> None:
    with pytest.raises(rt.ConfigError, match=told) as failed:
        config_of(values, "here")
    assert str(failed.value).startswith("here: ")


def test_groups_of_both_keys() -> None:
    both = {"mode": "int4_weight_only", "awq_block_size": 128, "group_size": 64}
    assert config_of({"quantization": both}).group == 64
    assert config_of({"quantization": {**both, "use_awq": True}}).group == 128
    assert config_of({"quantization": {**both, "mode": "int4_awq"}}).uses_awq
    assert config_of({"quantization": {**both, "mode": "int8"}}).group is None


def test_spellings() -> None:
    assert {MODES[each] for each in ("int8", "int8_weight_only", "w8a16")} == {"w8a16"}
    assert config_of({"quantization": {"mode": "fp16"}}).wanted_dtype == "float16"
    assert config_of({"quantization": {"mode": "int8_kv"}}).kv_cache_dtype == "int8"
    assert config_of({"quantization": {"kv_cache": "int8"}}).kv_cache_dtype == "int8"
    assert config_of({}).kv_cache_dtype is None
    assert config_of({"engine": {"max_input_len": 10, "max_output_len": 5}}).engine.seq_len == 15


def test_a_base_gives_what_a_file_leaves_out(tmp_path: Path) -> None:
    base = "model_dir: m\nengine: {max_batch_size: 3, max_input_len: 20}\n"
    written(tmp_path, base, "base.yaml")
    config = read_config(written(tmp_path, "base: base.yaml\nengine: {max_batch_size: 5}\n"))
    assert (config.model_dir, config.engine.max_batch_size) == ("m", 5)
    assert config.engine.max_input_len == 20
    for name in ("../base.yaml", "", "a/base.yaml", ".."):
        with pytest.raises(rt.ConfigError, match="base: expected the name of a file"):
            read_config(written(tmp_path, f"base: '{name}'\n"))
    written(tmp_path, "base: base.yaml\n", "middle.yaml")
    with pytest.raises(rt.ConfigError, match="expected a file without a base"):
        read_config(written(tmp_path, "base: middle.yaml\n"))


HOSTILE = [
    ("!!python/object/apply:os.system ['true']", "tag"),
    ("a: &a [*a]", "alias"),
    ("engine: {max_batch_size: 1, max_batch_size: 2}", "."),
    ("- 1", "expected names and values, got a list"),
    ("", "expected names and values, got null"),
    ("\x00", "."),
]


@pytest.mark.parametrize(("text", "told"), HOSTILE)
def test_files_are_data(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises((rt.ConfigError, rt.FormatError), match=told):
        read_config(written(tmp_path, text))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(rt.NotFoundError, match=r"none\.yaml"):
        read_config(tmp_path / "none.yaml")


def test_a_model_is_looked_for_and_not_downloaded(tmp_path: Path) -> None:
    values = {"model_name": "org/Small-1B", "model_dir": str(tmp_path)}
    with pytest.raises(rt.ConfigError, match="models are not downloaded"):
        config_of(values).source()
    (tmp_path / "Small-1B").mkdir()
    (tmp_path / "Small-1B" / "config.json").write_text("{}")
    assert config_of(values).source() == tmp_path / "Small-1B"
    with pytest.raises(rt.ConfigError, match="models are not downloaded"):
        config_of({**values, "model_name": "../Small-1B"}).source()
    with pytest.raises(rt.ConfigError, match="model_dir: expected the folder"):
        config_of({}).source()
