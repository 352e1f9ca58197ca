"""From a configuration to an engine: what is stored, and what takes effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.cli import main
from ttsrt_rt.llm import Generator, build_engine, convert_model
from ttsrt_rt.llm.config import config_of
from ttsrt_rt.llm.pipeline import executor_options_of

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"


def config(folder: Path, model: str = "tiny_llama", **quantization: Any) -> dict[str, Any]:
    return {
        "model_name": model,
        "model_dir": str(DATA / model),
        "output": {"checkpoint_dir": str(folder / "ckpt"), "engine_dir": str(folder / "engine")},
        "quantization": quantization,
        "engine": {"max_batch_size": 2, "max_input_len": 60, "max_output_len": 40},
    }


def described(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "engine.json").read_text("utf-8"))
    return found


QUANTIZED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {"dtype": "bfloat16", "quantization": "none"}),
    ({"mode": "fp16"}, {"dtype": "float16", "quantization": "none"}),
    ({"mode": "int8"}, {"dtype": "bfloat16", "quantization": "w8a16", "wide_heads": True}),
    ({"mode": "int8", "lm_head": "w8a16"}, {"quantization": "w8a16"}),
    (
        {"mode": "int4_weight_only", "group_size": 32},
        {"quantization": "w4a16", "group_size": 32, "zero_points": True, "wide_heads": True},
    ),
    (
        {"mode": "w4a16", "group_size": 64, "symmetric": True},
        {"group_size": 64, "wide_heads": True},
    ),
]


@pytest.mark.parametrize(("quantization", "expected"), QUANTIZED)
def test_an_engine_is_what_the_configuration_says(
    quantization: dict[str, Any], expected: dict[str, Any], tmp_path: Path
) -> None:
    values = config(tmp_path, **quantization)
    assert convert_model(values, progress=False) == tmp_path / "ckpt"
    assert build_engine(values, progress=False) == tmp_path / "engine"
    found = described(tmp_path / "engine")
    assert {name: found.get(name) for name in expected} == expected
    for name in ("zero_points", "wide_heads"):
        assert found.get(name, False) == expected.get(name, False)
    assert found["limits"]["max_seq_len"] == 100
    assert found["source"]["model_name"] == "tiny_llama"
    # The checkpoint carries it, so that `build` of it alone gives the same weights.
    rt.build(tmp_path / "ckpt", tmp_path / "again", progress=False)
    both = [
        (folder / "weights.safetensors").read_bytes()
        for folder in (tmp_path / "engine", tmp_path / "again")
    ]
    assert both[0] == both[1]
    # What is given wins over what the checkpoint carries.
    rt.build(tmp_path / "ckpt", tmp_path / "wide", dtype="float32", progress=False)
    assert described(tmp_path / "wide")["quantization"] == "none"


def test_an_engine_carries_the_type_of_its_cache(tmp_path: Path) -> None:
    values = config(tmp_path, kv_cache="int8")
    convert_model(values, progress=False)
    build_engine(values, progress=False)
    with Generator(tmp_path / "engine", device=NATIVE) as generator:
        assert generator.executor.info.kv_cache_dtype == "int8"
    with Generator(tmp_path / "engine", device=NATIVE, kv_cache_dtype="float32") as generator:
        assert generator.executor.info.kv_cache_dtype == "float32"


def test_bytes_of_the_cache_become_positions(tmp_path: Path) -> None:
    values = config(tmp_path)
    values["engine"] |= {"max_batch_size": 8, "max_cache_bytes": 1 << 16}
    convert_model(values, progress=False)
    build_engine(values, progress=False)
    (most,) = executor_options_of(config_of(values), tmp_path / "engine").values()
    with Generator(
        tmp_path / "engine", device=NATIVE, max_tokens_in_paged_kv_cache=most
    ) as generator:
        info = generator.executor.info
        assert info.cache_tokens == most
    with Generator(tmp_path / "engine", device=NATIVE) as generator:
        whole = generator.executor.info
        assert whole.cache_tokens == 8 * 112  # of 16 positions a block
    bytes_of_position = (whole.state_bytes - info.state_bytes) / (8 * 112 - most)
    assert (1 << 16) - 16 * bytes_of_position < most * bytes_of_position <= 1 << 16
    values["engine"]["use_paged_kv_cache"] = False
    assert executor_options_of(config_of(values), tmp_path / "engine") == {}


def test_speculation_is_an_option_of_the_executor(tmp_path: Path) -> None:
    values = {**config(tmp_path), "speculation": {"mode": "ngram", "num_draft_tokens": 6}}
    assert executor_options_of(config_of(values), tmp_path) == {
        "speculation": {
            "mode": "ngram",
            "num_draft_tokens": 6,
            "max_ngram": 3,
            "match": "last",
            "speculate_below": 8,
        }
    }


def test_a_draft_engine_is_an_option_of_the_executor(tmp_path: Path) -> None:
    speculation = {"mode": "draft", "draft_engine": "small", "num_draft_tokens": 2}
    made = executor_options_of(config_of({**config(tmp_path), "speculation": speculation}), "big")
    assert made["draft_engine"] == "small"
    assert made["speculation"]["mode"] == "draft"
    assert "draft_engine" not in made["speculation"]
    off = {**speculation, "mode": "ngram"}  # named, but not asked for
    made = executor_options_of(config_of({**config(tmp_path), "speculation": off}), "big")
    assert "draft_engine" not in made


def test_what_build_does_not_offer_is_named(tmp_path: Path) -> None:
    made = config(tmp_path, mode="int4", use_awq=True)
    with pytest.raises(rt.ConfigError, match=r"calibration_file: expected a text"):
        convert_model(made, progress=False)
    whole_rows = config(tmp_path, mode="int4", group_size=-1)
    with pytest.raises(rt.ConfigError, match=r"group_size: expected 32, 64 or 128 for 4 bits"):
        convert_model(whole_rows, progress=False)


def test_stored_options_are_checked(tmp_path: Path) -> None:
    checkpoint = convert_model(config(tmp_path, mode="int8"), progress=False)
    found = json.loads((checkpoint / "config.json").read_text("utf-8"))
    found["source"]["build"]["dtype"] = 3
    (checkpoint / "config.json").write_text(json.dumps(found), "utf-8")
    with pytest.raises(rt.FormatError, match=r"source.build: expected some of .* got 'dtype': 3"):
        rt.build(checkpoint, tmp_path / "engine", progress=False)


def test_what_is_not_made_is_refused(tmp_path: Path) -> None:
    with pytest.raises(rt.ConfigError, match=r"output.checkpoint_dir: expected a folder"):
        convert_model({"model_dir": str(DATA / "tiny_llama")})
    with pytest.raises(rt.NotFoundError, match="expected a checkpoint"):
        build_engine(config(tmp_path))


def yaml_of(folder: Path, **quantization: Any) -> Path:
    import yaml

    path = folder / "c.yaml"
    path.write_text(yaml.safe_dump(config(folder, **quantization)), "utf-8")
    return path


def test_the_commands_take_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(yaml_of(tmp_path, mode="int8"))
    assert main(["convert", "--config", path]) == 0
    assert main(["build", "--config", path, "--max_batch_size", "3"]) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-2:] == [
        f"checkpoint: {tmp_path / 'ckpt'}",
        f"engine: {tmp_path / 'engine'}",
    ]
    assert "max_batch_size: 3, by the command line" in told.err
    found = described(tmp_path / "engine")
    assert (found["quantization"], found["limits"]["max_batch_size"]) == ("w8a16", 3)


def test_flags_of_the_old_script(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["convert", "--model_dir", str(DATA / "tiny_phi"), "--dtype", "float32"]
    command += ["--output_dir", str(tmp_path / "ckpt"), "--use_weight_only", "--int8_kv_cache"]
    command += ["--weight_only_precision", "int4", "--group_size", "32"]
    assert main(command) == 0
    assert (
        main(
            [
                "build",
                "--checkpoint_dir",
                str(tmp_path / "ckpt"),
                "--output_dir",
                str(tmp_path / "engine"),
            ]
        )
        == 0
    )
    found = described(tmp_path / "engine")
    assert (found["quantization"], found["group_size"], found["dtype"]) == ("w4a16", 32, "float32")
    assert found["source"]["run"] == {"kv_cache_dtype": "int8"}


def test_excluded_matrices_stay_floats(tmp_path: Path) -> None:
    checkpoint = rt.convert(DATA / "tiny_llama", tmp_path / "ckpt", progress=False)
    flags = ["--checkpoint_dir", str(checkpoint), "--output_dir", str(tmp_path / "engine")]
    kept = ["*.self_out", "head"]
    assert main(["build", *flags, "--quantization", "w8a16", "--exclude_modules", *kept]) == 0
    tensors = described(tmp_path / "engine")["components"]["decoder"]["tensors"]
    layouts = {name: each["layout"] for name, each in tensors.items()}
    assert layouts["decoder.layers.1.self_out"] == layouts["head"] == "panel16"
    assert layouts["decoder.layers.1.self_qkv"] == "panel16_w8a16"
    with Generator(tmp_path / "engine", device="cpu") as generator:
        assert len(generator.generate([5, 6, 7], max_tokens=4, ignore_eos=True).ids) == 4
    for wrong in (["none"], ["decoder.layers.0.norm"]):
        with pytest.raises(rt.ConfigError, match="exclude_modules: expected names of matrices"):
            rt.build(
                checkpoint,
                tmp_path / "other",
                quantization="w8a16",
                exclude_modules=wrong,
                progress=False,
            )
    with pytest.raises(rt.ConfigError, match="expected none without a quantization"):
        rt.build(checkpoint, tmp_path / "other", exclude_modules=["head"], progress=False)


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["convert"], "expected a source, or --config or --model_dir"),
        (["convert", "--model_dir", "m"], "--output_dir: expected a folder"),
        (["convert", "s", "o", "--model_dir", "m"], "expected it or the source alone"),
        (["build", "--config", "no.yaml"], "no.yaml"),
        (["build", "--config", "no.yaml", "--head_quantization", "w8a16"], "--head_quantization"),
        (["build", "--config", "no.yaml", "--no_wide_heads"], "--no_wide_heads: expected none"),
        (["build", "--output_dir", "e"], "required: --checkpoint_dir"),
    ],
)
def test_mistakes_are_told(
    command: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code: object = main(command)
    except SystemExit as end:
        code = end.code
    assert code == 2
    assert told in capsys.readouterr().err


def whole_file(folder: Path) -> Path:
    """A configuration with every name that the pipeline's has, at the sizes of a miniature."""
    file = folder / "whole.yaml"
    calibration = folder / "calibration.txt"
    calibration.write_text("The river is wide, and the mill grinds corn. " * 40, "utf-8")
    file.write_text(
        f"""
model_name: TinyLlama/TinyLlama-1.1B-Chat-v1.0
model_dir: {DATA / "tiny_llama"}
output: {{checkpoint_dir: {folder / "ckpt"}, engine_dir: {folder / "engine"}}}
dtype: auto
quantization:
  mode: int4_weight_only
  use_awq: true
  awq_block_size: 32
  group_size: 64
  symmetric: false
  lm_head: none
  calibration_samples: 8
  calibration_length: 32
  calibration_file: {calibration}
  apply_clip: true
  kv_cache: int8
engine:
  max_batch_size: 3
  max_input_len: 160
  max_output_len: 40
  max_num_tokens: 160
  use_paged_kv_cache: true
  tokens_per_block: 32
  kv_cache_free_gpu_mem_fraction: 0.9
  max_cache_bytes: 2147483648
  backend: native
speculation:
  {{mode: none, num_draft_tokens: 4, max_ngram: 3, draft_engine: null, speculate_below: 8}}
generation: {{max_tokens: 5, temperature: 0.0, top_k: 50, top_p: 1.0, seed: 0, stop: []}}
benchmark:
  {{prompts: random, batch_sizes: [1, 2], input_len: 12, output_len: 4, iterations: 1, warmup: 1}}
""",
        "utf-8",
    )
    return file


def test_a_file_with_every_name_of_the_pipeline_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a CPU, where a share of a GPU's memory says nothing."""
    pytest.importorskip("tokenizers")
    file = str(whole_file(tmp_path))
    assert main(["convert", "--config", file]) == 0
    assert main(["build", "--config", file]) == 0
    found = described(tmp_path / "engine")
    assert (found["quantization"], found["group_size"]) == ("w4a16", 32)
    capsys.readouterr()
    device = ["--device", NATIVE]
    run = ["run", "--config", file, "--prompt", "Hello", "--output", str(tmp_path / "made.json")]
    assert main([*run, *device]) == 0
    made = json.loads((tmp_path / "made.json").read_text("utf-8"))
    assert 1 <= len(made["ids"]) <= 5
    assert main(["memory", "--config", file, *device]) == 0
    report = tmp_path / "report"
    bench = ["bench", "llm", "--config", file, "--output_dir", str(report), "--no_plots"]
    assert main([*bench, *device]) == 0
    results = json.loads((report / "benchmark.json").read_text("utf-8"))
    assert results["options"]["batch_sizes"] == [1, 2]
    assert results["options"]["output_len"] == 4


def test_a_share_of_a_gpus_memory_is_for_gpus(tmp_path: Path) -> None:
    values = config(tmp_path)
    values["engine"]["kv_cache_free_gpu_mem_fraction"] = 0.5
    of = config_of(values)
    assert executor_options_of(of, tmp_path, "cpu") == {}
    assert executor_options_of(of, tmp_path, "cuda:1") == {"kv_cache_free_gpu_mem_fraction": 0.5}
    has_gpu = any(each.available and "cuda" in each.name for each in rt.list_devices())
    assert bool(executor_options_of(of, tmp_path)) is has_gpu


def test_flags_beside_a_configuration_take_effect_or_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, made = str(DATA / "tiny_llama"), str(tmp_path / "made")
    command = ["convert", "--model_dir", source, "--output_dir", made]
    assert main([*command, "--frame_rate", "21.5"]) == 2
    assert "--frame_rate: expected none for a language model" in capsys.readouterr().err
    assert main([*command, "--allow_long", "1000"]) == 0
    found = json.loads((tmp_path / "made" / "config.json").read_text("utf-8"))
    assert found["model"]["decoder"]["max_positions"] == 1000
