"""Converts folders of language models: formats agree, files go along, the rest is refused."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.devices import NATIVE
from ttsrt_rt.cli import main
from ttsrt_rt.convert import convert, open_weights
from ttsrt_rt.convert.llm_convert import looks_like_llm
from ttsrt_rt.convert.sources import find_source
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.llm.front_end import read_llm_front_end

from .llm_models import LLAMA, PHI, arrays_of, write_config, write_llm, write_model, write_shards

DATA = Path(__file__).resolve().parents[2] / "data" / "llm"


def weights_of(checkpoint: Path) -> bytes:
    return (checkpoint / "model.safetensors").read_bytes()


@pytest.mark.parametrize("base", [LLAMA, PHI], ids=["llama", "phi"])
def test_all_formats_give_the_same(tmp_path: Path, base: dict[str, Any]) -> None:
    arrays = arrays_of(write_config(tmp_path / "config", base))
    made = []
    for name in ("model.safetensors", "pytorch_model.bin", "safetensors", "bin"):
        folder = write_config(tmp_path / name, base)
        if "." in name:
            write_model(folder, arrays, name)
        else:
            write_shards(folder, arrays, 3, name)
        made.append(convert(folder, tmp_path / f"{name}.ckpt", progress=False))
    assert len({weights_of(each) for each in made}) == 1
    with open_weights(made[0] / "model.safetensors") as weights:
        names = [f"model.layers.1.self_attn.{part}_proj.weight" for part in "qkv"]
        expected = np.concatenate([arrays[name] for name in names])
        assert np.array_equal(weights["decoder.layers.1.self_qkv"].read(), expected)
        assert ("head_bias" in weights) == (base is PHI)


def test_a_file_of_the_folder_stands_for_it(tmp_path: Path) -> None:
    folder = write_llm(tmp_path / "model")
    expected = weights_of(convert(folder, tmp_path / "a", progress=False))
    for name in ("config.json", "model.safetensors"):
        assert looks_like_llm(folder / name)
        made = convert(folder / name, tmp_path / name, progress=False)
        assert weights_of(made) == expected


def test_biases_and_wide_heads_of_a_llama(tmp_path: Path) -> None:
    fields = {"attention_bias": True, "mlp_bias": True, "head_dim": 24}
    made = convert(write_llm(tmp_path / "model", **fields), tmp_path / "ckpt", progress=False)
    with open_weights(made / "model.safetensors") as weights:
        assert weights["decoder.layers.0.self_qkv_bias"].shape == (24 * 8,)
        assert weights["decoder.layers.0.ffn_in_bias"].shape == (128,)


@pytest.mark.parametrize("has_copy", [True, False])
def test_a_tied_head_is_the_table(tmp_path: Path, has_copy: bool) -> None:
    folder = write_config(tmp_path / "model", LLAMA, tie_word_embeddings=True)
    arrays = arrays_of(folder)
    if has_copy:
        arrays["lm_head.weight"] = np.zeros((40, 32), np.float32)
    arrays["model.layers.0.self_attn.rotary_emb.inv_freq"] = np.ones(4, np.float32)
    write_model(folder, arrays)
    with open_weights(
        convert(folder, tmp_path / "c", progress=False) / "model.safetensors"
    ) as made:
        assert np.array_equal(made["head"].read(), arrays["model.embed_tokens.weight"])


def test_the_rows_of_the_table_decide(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_config(tmp_path / "model", LLAMA, vocab_size=41)
    arrays = arrays_of(folder)
    write_config(folder, LLAMA)
    write_model(folder, arrays)
    with caplog.at_level(logging.WARNING):
        made = convert(folder, tmp_path / "ckpt", progress=False)
    assert json.loads((made / "config.json").read_text("utf-8"))["model"]["vocab"] == 41
    assert "vocab_size is 40, but the table has 41 rows" in caplog.text


def changed_arrays(folder: Path, kind: str) -> Path:
    """Writes a model with one thing wrong."""
    arrays = arrays_of(write_config(folder, LLAMA))
    if kind == "missing":
        del arrays["lm_head.weight"]
    elif kind == "unexpected":
        arrays["model.layers.2.input_layernorm.weight"] = np.ones(32, np.float32)
    elif kind == "shape":
        arrays["model.norm.weight"] = np.ones(33, np.float32)
    elif kind == "dtype":
        arrays["model.norm.weight"] = np.ones(32, np.int32)
    else:
        arrays["model.layers.0.mlp.up_proj.weight"][3, 4] = np.nan
    write_model(folder, arrays)
    return folder


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"1 tensors are missing: lm_head\.weight"),
        ("unexpected", r"1 unexpected tensors: model\.layers\.2\.input_layernorm\.weight"),
        ("shape", r"model\.norm\.weight: expected \[32\], got \[33\]"),
        ("dtype", r"model\.norm\.weight: expected floating-point values, got int32"),
        ("nan", r"up_proj\.weight: expected finite values, got NaN or infinity at element 100"),
    ],
)
def test_wrong_tensors_are_named(tmp_path: Path, kind: str, message: str) -> None:
    with pytest.raises(FormatError, match=message):
        convert(changed_arrays(tmp_path / "model", kind), tmp_path / "ckpt", progress=False)
    assert not (tmp_path / "ckpt").exists()


@pytest.mark.parametrize("kind", ["phi3", "mixformer-sequential", "phi-msft", "mistral", "bert"])
def test_other_models_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    folder = write_llm(tmp_path / "model")
    write_config(folder, LLAMA, model_type=kind, auto_map={"AutoModel": "code.Model"})
    with pytest.raises(ConfigError, match=f"model_type: expected one of llama, phi, got '{kind}'"):
        convert(folder, tmp_path / "ckpt", progress=False)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("adapter_config.json", "merge the adapter first"),
        ("consolidated.00.pth", "Meta's own layout"),
        ("model.Q4_K_M.gguf", r"weights of llama\.cpp"),
        ("model.onnx", "an ONNX graph"),
    ],
)
def test_other_layouts_are_told_apart(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(ConfigError, match=message):
        find_source(tmp_path)


def test_options_of_another_family_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cross_heads: expected none for model"):
        convert(write_llm(tmp_path / "model"), tmp_path / "ckpt", cross_heads=1, progress=False)


def test_a_cast_and_a_replaced_checkpoint(tmp_path: Path) -> None:
    folder = write_llm(tmp_path / "model")
    convert(folder, tmp_path / "ckpt", progress=False)
    with pytest.raises(ConfigError, match="overwrite"):
        convert(folder, tmp_path / "ckpt", progress=False)
    made = convert(folder, tmp_path / "ckpt", dtype="bfloat16", overwrite=True, progress=False)
    with open_weights(made / "model.safetensors") as weights:
        assert {tensor.dtype for tensor in weights.values()} == {"bfloat16"}


def test_files_of_the_tokenizer_go_along(tmp_path: Path) -> None:
    checkpoint = convert(DATA / "tiny_llama_tied", tmp_path / "ckpt", progress=False)
    rt.build(checkpoint, tmp_path / "engine", progress=False)
    names = {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
    for folder, name in ((checkpoint, "config.json"), (tmp_path / "engine", "engine.json")):
        described = json.loads((folder / name).read_text("utf-8"))
        front = read_llm_front_end(described, "here")
        assert front.stop_ids == (2,)
        assert set(front.files) == names
        for each in names:
            assert front.files[each] == (DATA / "tiny_llama_tied" / each).read_bytes()


def test_slow_tokenizers_stay_behind_a_fast_one(tmp_path: Path) -> None:
    folder = write_llm(tmp_path / "model")
    (folder / "merges.txt").write_text("a b\n", "utf-8")
    made = convert(folder, tmp_path / "a", progress=False)
    described = json.loads((made / "config.json").read_text("utf-8"))
    assert set(described["front_end"]["files"]) == {"merges.txt"}
    shutil.copy(DATA / "tiny_llama" / "tokenizer.json", folder)
    made = convert(folder, tmp_path / "b", progress=False)
    described = json.loads((made / "config.json").read_text("utf-8"))
    assert set(described["front_end"]["files"]) == {"tokenizer.json"}


def test_the_end_that_the_tokenizer_names(tmp_path: Path) -> None:
    folder = write_llm(tmp_path / "model")
    tokenizer = {"added_tokens": [{"id": 7, "content": "<end>"}], "model": {"vocab": {"<e>": 8}}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")
    for number, (token, expected) in enumerate(
        [("<end>", [2, 7]), ({"content": "<e>"}, [2, 8]), ("<other>", [2]), (5, [2])]
    ):
        (folder / "tokenizer_config.json").write_text(json.dumps({"eos_token": token}), "utf-8")
        made = convert(folder, tmp_path / str(number), progress=False)
        described = json.loads((made / "config.json").read_text("utf-8"))
        assert described["front_end"]["stop_ids"] == expected


def test_a_damaged_tokenizer_is_named(tmp_path: Path) -> None:
    folder = write_llm(tmp_path / "model")
    (folder / "tokenizer_config.json").write_text("{", "utf-8")
    with pytest.raises(FormatError, match=r"tokenizer_config\.json: expected JSON"):
        convert(folder, tmp_path / "ckpt", progress=False)


def test_a_model_in_the_cache_of_hugging_face(tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "abc"
    write_llm(snapshot)
    made = convert(tmp_path / "models--a--b", tmp_path / "ckpt", progress=False)
    assert json.loads((made / "config.json").read_text("utf-8"))["family"] == "llm"


def test_a_changed_folder_is_converted_again(tmp_path: Path) -> None:
    """A file of a folder stands for all of it in the cache of engines, too."""
    folder = write_llm(tmp_path / "model")
    fields: dict[str, Any] = {"text_ids": [3, 4], "max_frames": 4, "prior": None}

    def ran() -> list[int]:
        source = folder / "model.safetensors"
        with rt.Executor.from_checkpoint(
            source, cache_dir=tmp_path / "cache", device=NATIVE, progress=False
        ) as executor:
            found: list[int] = executor.generate(**fields).codes[:, 0].tolist()
            return found

    first = ran()
    write_config(folder, LLAMA, eos_token_id=first[1])
    assert ran() == first[: first.index(first[1])]


def test_long_texts_are_shown_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = convert(DATA / "tiny_llama", tmp_path / "ckpt", progress=False)
    assert main(["inspect", str(checkpoint)]) == 0
    shown = capsys.readouterr().out
    assert "front_end.files.tokenizer.json: " in shown
    assert max(len(line) for line in shown.splitlines()) < 500


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_llm(tmp_path / "model", PHI)
    assert main(["convert", str(folder), str(tmp_path / "ckpt"), "--family", "llm"]) == 0
    assert "checkpoint:" in capsys.readouterr().out


def test_more_positions_than_the_model_was_trained_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_llm(tmp_path / "model")
    usual = rt.convert(source, tmp_path / "usual", progress=False)
    with pytest.raises(rt.ConfigError, match="max_seq_len"):
        rt.build(usual, tmp_path / "engine", max_seq_len=100, progress=False)
    assert main(["convert", str(source), str(tmp_path / "long"), "--allow_long", "100"]) == 0
    assert "texts may have 100 positions; the model was trained for 64" in caplog.text
    rt.build(tmp_path / "long", tmp_path / "engine", max_seq_len=100, progress=False)
    ids = np.random.default_rng(0).integers(3, 40, 90)
    with rt.Executor(tmp_path / "engine", device=NATIVE) as executor:
        assert np.isfinite(executor.score(ids)).all()
    for wrong in (64, 63, 1 << 21, True, "100"):
        with pytest.raises(rt.ConfigError, match="allow_long: expected 65 to 1048576 positions"):
            rt.convert(source, tmp_path / "wrong", allow_long=wrong, progress=False)  # type: ignore[arg-type]
    windowed = write_llm(tmp_path / "windowed", sliding_window=64)
    with pytest.raises(rt.ConfigError, match="sliding_window: expected none beside allow_long"):
        rt.convert(windowed, tmp_path / "wrong", allow_long=100, progress=False)
