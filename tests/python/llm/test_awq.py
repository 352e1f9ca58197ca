"""AWQ: scales and losses against AutoAWQ's, packing that loses nothing, going on after a stop, and
what it is for: less error where a few channels are large.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.convert.llm_models import LLAMA, PHI, arrays_of, write_config, write_model
from ttsrt_rt.convert import open_weights
from ttsrt_rt.convert.llm_config import read_llm_config
from ttsrt_rt.convert.llm_source import open_llm_weights
from ttsrt_rt.convert.mapped_tensor import read_as
from ttsrt_rt.llm.awq import AwqOptions, quantize_awq
from ttsrt_rt.llm.awq_layer import Floats, Layer, LayerRunner, Taps, sites_of
from ttsrt_rt.llm.awq_search import clip, round_to_grid, search

GROUP = 32
SMALL: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 64}
OPTIONS = AwqOptions(group_size=GROUP, samples=8, length=24)


def write_float_model(
    folder: Path, base: Mapping[str, Any], outliers: float = 1.0, **changed: Any
) -> Path:
    """A random model of the usual sizes of weights; `outliers` times a few channels of norms."""
    write_config(folder, base, **{**SMALL, **changed})
    random = np.random.default_rng(2)
    arrays = arrays_of(folder)
    for name, value in arrays.items():
        if value.ndim == 2:
            arrays[name] = value / np.float32(np.sqrt(value.shape[1]))
        elif "norm" in name and name.endswith("weight"):
            arrays[name] = 1 + value / 8
            if "final" not in name and name != "model.norm.weight":
                arrays[name][random.choice(len(value), 3, replace=False)] *= np.float32(outliers)
        else:
            arrays[name] = value / 8
    arrays["model.embed_tokens.weight"] *= 4
    arrays["lm_head.weight"] *= 4
    write_model(folder, arrays)
    return folder


def ids_of(vocab: int, blocks: int = 8, length: int = 24, seed: int = 1) -> list[list[int]]:
    return np.random.default_rng(seed).integers(3, vocab, (blocks, length)).tolist()  # type: ignore[no-any-return]


def layer_of(folder: Path, number: int, positions: int, device: str = "cpu") -> Layer:
    config, begin = read_llm_config(folder), f"model.layers.{number}."
    from contextlib import ExitStack

    with ExitStack() as files:
        tensors = open_llm_weights(files, folder)
        weights = {
            name[len(begin) :]: read_as(tensor, "float32")
            for name, tensor in tensors.items()
            if name.startswith(begin)
        }
    return Layer(LayerRunner(config.decoder, positions, device=device), weights)


def means_of(rows: list[Floats]) -> Floats:
    return np.abs(np.concatenate(rows)).mean(axis=0, dtype=np.float64).astype(np.float32)


@pytest.mark.skipif("TTSRT_GOLDEN" not in os.environ, reason="needs TTSRT_GOLDEN: AutoAWQ's search")
def test_losses_and_scales_are_those_of_autoawq() -> None:
    folder = Path(os.environ["TTSRT_GOLDEN"]) / "llm"
    golden = np.load(folder / "awq_search_tiny_llama.npz")
    with open_weights(folder / "tiny_llama" / "model-00001-of-00002.safetensors") as weights:
        table = read_as(weights["model.embed_tokens.weight"], "float32")
    hidden = [table[ids] for ids in golden["batches"]]
    for number in range(3):
        layer, taps = layer_of(folder / "tiny_llama", number, 64), Taps()
        hidden = [layer.run(rows, taps) for rows in hidden]
        for site in sites_of(layer.stack):
            rows, at = taps.values[site.tap], f"layer{number}.{site.name}."
            found = search(layer, site, means_of(rows), rows, int(golden["group"]))
            assert np.allclose(found.losses, golden[f"{at}loss"], rtol=1e-3, atol=0)
            assert found.best == int(golden[f"{at}best"])
            assert np.allclose(found.scales, golden[f"{at}scale"], rtol=1e-5)
            assert np.allclose(found.x_mean, golden[f"{at}x_mean"], rtol=1e-5)
            assert np.allclose(found.w_mean, golden[f"{at}w_mean"], rtol=1e-5)
            plain = float(golden[f"{at}loss_rounding_only"])
            assert abs(found.plain_loss / plain - 1) <= 1e-3


def test_clipping_makes_no_error_larger(tmp_path: Path) -> None:
    layer = layer_of(write_float_model(tmp_path / "model", LLAMA), 0, 24)
    name, taps = "mlp.down_proj.weight", Taps()
    layer.weights[name] = layer.weights[name].copy()
    layer.weights[name][0, 0] = 3.0  # a weight that its input does not deserve
    rows = np.random.default_rng(3).normal(size=(24, 64)).astype(np.float32)
    layer.run(rows, taps)
    taps.values["mlp_out"][0][:, 0] *= 1e-3
    exact, queries = layer.weights[name].copy(), layer.weights["self_attn.q_proj.weight"].copy()
    clip(layer, sites_of(layer.stack), taps, {}, GROUP)
    assert np.array_equal(layer.weights["self_attn.q_proj.weight"], queries)
    assert layer.weights[name][0, 0] < 2.5
    inputs = taps.values["mlp_out"][0].astype(np.float64)

    def errors(weight: Floats) -> Any:
        off = (round_to_grid(weight, GROUP)[0] - exact).astype(np.float64)
        parts = [slice(at, at + GROUP) for at in range(0, exact.shape[1], GROUP)]
        return np.stack([((inputs[:, p] @ off[:, p].T) ** 2).sum(axis=0) for p in parts])

    assert (errors(layer.weights[name]) <= errors(exact) * (1 + 1e-6)).all()


@pytest.mark.parametrize("base", [LLAMA, PHI], ids=["llama", "phi"])
def test_a_folder_is_converted_and_built_without_rounding_again(
    base: Mapping[str, Any], tmp_path: Path
) -> None:
    source = write_float_model(tmp_path / "model", base, 30.0)
    losses = quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=False)
    assert [each.layer for each in losses] == sorted(each.layer for each in losses)
    assert all(each.loss <= each.plain_loss for each in losses)
    assert any(each.loss < 0.7 * each.plain_loss for each in losses)
    rt.convert(tmp_path / "awq", tmp_path / "checkpoint", progress=False)
    rt.build(
        tmp_path / "checkpoint",
        tmp_path / "engine",
        quantization="w4a16",
        zero_points=True,
        group_size=GROUP,
        head_quantization="w8a16",
        progress=False,
    )
    name = "decoder.layers.1.ffn_out"
    with open_weights(tmp_path / "checkpoint" / "model.safetensors") as weights:
        expected = weights[name].read()
    engine = json.loads((tmp_path / "engine" / "engine.json").read_text("utf-8"))
    assert engine["head_quantization"] == "w8a16"
    layouts = engine["components"]["decoder"]["tensors"]
    assert (layouts["head"]["layout"], layouts[name]["layout"]) == (
        "panel16_w8a16",
        "panel16_w4a16",
    )
    assert np.array_equal(engine_values(tmp_path / "engine", name, expected.shape), expected)


def engine_values(engine: Path, name: str, shape: tuple[int, ...]) -> Floats:
    """What a w4a16 matrix of an engine stands for (cpp/src/ops/weight.h)."""
    outputs, inputs = shape
    panels, groups = (outputs + 15) // 16, inputs // GROUP
    with open_weights(engine / "weights.safetensors") as weights:
        words = weights[name].read().reshape(-1).view("<u2").reshape(panels, inputs // 8, 16, 2)
        scales = weights[f"{name}.scales"].read().reshape(panels, groups, 16).astype(np.float32)
        zeros = weights[f"{name}.zeros"].read().reshape(panels, groups, 16).astype(np.float32)
    codes = np.stack([(words >> (4 * nibble)) & 15 for nibble in range(4)], axis=-2)
    # [panels, inputs / 8, 16, nibble, word]: input 2 * nibble + word of a block of 8
    codes = codes.transpose(0, 1, 3, 4, 2).reshape(panels, inputs, 16).astype(np.float32)
    of_input = np.arange(inputs) // GROUP
    values = (codes - zeros[:, of_input]) * scales[:, of_input]
    return np.ascontiguousarray(values.transpose(0, 2, 1).reshape(-1, inputs)[:outputs])


class Stopped(Exception):
    """What a progress function raises to stop a run."""


def test_a_stopped_run_goes_on_at_its_layer(tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA, num_hidden_layers=3)
    whole = quantize_awq(source, tmp_path / "whole", ids_of(64), options=OPTIONS, progress=False)
    names: list[str] = []

    def stop(done: int, of: int, name: str) -> None:
        names.append(name)
        if name == "layer 1, attn_in":
            raise Stopped

    target = tmp_path / "parts"
    with pytest.raises(Stopped):
        quantize_awq(source, target, ids_of(64), options=OPTIONS, progress=stop)
    assert not target.exists()
    assert (tmp_path / "parts.work" / "layer_0000.safetensors").is_file()
    later: list[tuple[int, int, str]] = []
    made = quantize_awq(
        source, target, ids_of(64), options=OPTIONS, progress=lambda *each: later.append(each)
    )
    assert later[0][2] == "layer 1, attn_in"
    assert later[-1] == (12, 12, "layer 2")
    assert made == whole
    file = "model.safetensors"
    assert (target / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert not (tmp_path / "parts.work").exists()


def test_other_arguments_begin_again(tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA)

    def stop(done: int, of: int, name: str) -> None:
        if name == "layer 1, attn_in":
            raise Stopped

    for _ in range(2):
        with pytest.raises(Stopped):
            quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=stop)
    names: list[str] = []
    quantize_awq(
        source,
        tmp_path / "awq",
        ids_of(64, seed=2),
        options=OPTIONS,
        progress=lambda done, of, name: names.append(name),
    )
    assert names[0] == "layer 0, attn_in"


def test_wrong_arguments_are_refused(tmp_path: Path) -> None:
    source = write_float_model(tmp_path / "model", LLAMA)
    with pytest.raises(rt.ConfigError, match="group_size: expected 32, 64 or 128, got 48"):
        quantize_awq(source, tmp_path / "a", ids_of(64), options=AwqOptions(group_size=48))
    with pytest.raises(rt.ConfigError, match="calibration: expected ids below 64"):
        quantize_awq(source, tmp_path / "a", [[1] * 8 + [64]], options=OPTIONS)
    with pytest.raises(rt.ConfigError, match="calibration: expected lists of ids"):
        quantize_awq(source, tmp_path / "a", [[1], [2, 3]], options=OPTIONS)
    with pytest.raises(rt.ConfigError, match="calibration: expected blocks of at most 64 ids"):
        quantize_awq(source, tmp_path / "a", ids_of(64, length=65), options=OPTIONS)
    with pytest.raises(rt.ConfigError, match="length: expected an integer from 1 to 4096"):
        quantize_awq(source, tmp_path / "a", ids_of(64), options=AwqOptions(length=65536))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model"]
    quantize_awq(source, tmp_path / "a", ids_of(64), options=OPTIONS, progress=False)
    with pytest.raises(rt.ConfigError, match="holds a quantized model already"):
        quantize_awq(source, tmp_path / "a", ids_of(64), options=OPTIONS)
    quantize_awq(
        source, tmp_path / "a", ids_of(64), options=OPTIONS, overwrite=True, progress=False
    )
    with pytest.raises(rt.ConfigError, match="expected float weights"):
        quantize_awq(tmp_path / "a", tmp_path / "b", ids_of(64), options=OPTIONS)


def logits_of(engine: Path, ids: list[int], **options: Any) -> Any:
    """The logits behind each id but the last, float64 [ids - 1, vocab]."""
    wanted = np.asarray(ids[1:], np.int32)[:, None]
    with rt.Executor(engine, device="cpu", trace=True, **options) as executor:
        result = executor.generate(text_ids=ids[:1], forced_codes=wanted, prior=None)
    rows = [each.values[0] for each in result.trace if each.name == "logits"]
    return np.stack(rows).astype(np.float64)


def divergence(reference: Any, other: Any) -> float:
    """The mean Kullback-Leibler divergence of the probabilities of rows of logits."""

    def logs(rows: Any) -> Any:
        off = rows - rows.max(axis=1, keepdims=True)
        return off - np.log(np.exp(off).sum(axis=1, keepdims=True))

    exact = logs(reference)
    return float((np.exp(exact) * (exact - logs(other))).sum(axis=1).mean())


@pytest.mark.parametrize("base", [LLAMA, PHI], ids=["llama", "phi"])
def test_awq_is_nearer_than_rounding_where_channels_are_large(
    base: Mapping[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_float_model(tmp_path / "model", base, 40.0)
    quantize_awq(source, tmp_path / "awq", ids_of(64), options=OPTIONS, progress=False)
    four: dict[str, Any] = {
        "quantization": "w4a16",
        "zero_points": True,
        "group_size": GROUP,
        "wide_heads": True,
    }
    for name, folder, options in (
        ("float", source, {}),
        ("plain", source, four),
        ("awq", tmp_path / "awq", four),
    ):
        rt.convert(folder, tmp_path / f"{name}-checkpoint", dtype="float32", progress=False)
        rt.build(
            tmp_path / f"{name}-checkpoint",
            tmp_path / f"{name}-engine",
            max_seq_len=64,
            progress=False,
            **options,
        )
    texts = ids_of(64, blocks=3, length=48, seed=7)
    rows = {
        name: np.concatenate([logits_of(tmp_path / f"{name}-engine", ids) for ids in texts])
        for name in ("float", "plain", "awq")
    }
    rows["int8 cache"] = np.concatenate(
        [logits_of(tmp_path / "float-engine", ids, kv_cache_dtype="int8") for ids in texts]
    )
    found = {name: divergence(rows["float"], each) for name, each in rows.items()}
    with capsys.disabled():
        print("\n" + ", ".join(f"{name}: KL {value:.2e}" for name, value in found.items()))
    assert found["awq"] < 0.8 * found["plain"]
    assert found["int8 cache"] < 0.1 * found["plain"]


def test_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tokenizers")
    from ttsrt_rt.cli import main

    monkeypatch.chdir(tmp_path)
    source = Path(__file__).resolve().parents[2] / "data" / "llm" / "tiny_llama"
    text = tmp_path / "calibration.jsonl"
    text.write_text(json.dumps({"text": "The river is wide. " * 40}) + "\n", "utf-8")
    arguments = ["quantize", str(source), "awq", "--group_size", "32"]
    small = ["--calibration_samples", "4", "--calibration_length", "32"]
    assert main([*arguments, "--calibration_file", str(text), *small]) == 0
    assert "quantized: awq" in capsys.readouterr().out
    assert main(["convert", "awq", "checkpoint"]) == 0
    found = json.loads((tmp_path / "awq" / "awq_report.json").read_text("utf-8"))
    assert len(found["losses"]) == 9
    assert main([*arguments, "--calibration_file", "builtin", *small]) == 2
    assert main([*arguments, "--calibration_file", "builtin", *small, "--overwrite"]) == 0
    assert main(["quantize", str(source), "b", "--calibration_file", "missing.txt"]) == 2
