"""The layers that AWQ runs, against NumPy's; folding that changes nothing; threads and devices."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from tests.python.convert.llm_models import LLAMA, PHI
from tests.python.llm.numpy_layer import NumpyLayer, Rope
from tests.python.llm.test_awq import OPTIONS, ids_of, layer_of, write_float_model
from ttsrt_rt.llm.awq import quantize_awq
from ttsrt_rt.llm.awq_layer import Taps, sites_of
from ttsrt_rt.llm.awq_search import fold

FORMS = pytest.mark.parametrize(
    ("base", "changed"),
    [
        (LLAMA, {}),
        (LLAMA, {"num_key_value_heads": 4, "attention_bias": True, "mlp_bias": True}),
        (LLAMA, {"rope_scaling": {"type": "linear", "factor": 4.0}, "head_dim": 24}),
        (PHI, {}),
    ],
    ids=["llama", "llama with biases", "llama with other heads", "phi"],
)


@FORMS
@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_the_layers_are_those_of_numpy(
    device: str, base: Mapping[str, Any], changed: dict[str, Any], tmp_path: Path
) -> None:
    """Of every tap, every function of a site, and with other weights in their place."""
    layer = layer_of(write_float_model(tmp_path / "model", base, 20.0, **changed), 1, 40, device)
    plain = NumpyLayer(layer.stack, layer.weights, Rope.of(layer.stack, 40))
    random = np.random.default_rng(3)
    rows = random.normal(size=(37, 64)).astype(np.float32)
    taps, wanted = Taps(), Taps()
    pairs = [(layer.run(rows, taps), plain.run(rows, wanted))]
    assert taps.values.keys() == wanted.values.keys()
    pairs += [(taps.values[name][0], wanted.values[name][0]) for name in wanted.values]
    for site in sites_of(layer.stack):
        inputs = wanted.values[site.tap][0]
        other = {
            name: random.normal(size=layer.weights[f"{name}.weight"].shape, scale=0.1).astype(
                np.float32
            )
            for name in site.linears
        }
        for given in ({}, other, {}):
            made = layer.function(site.function, inputs, given)
            pairs.append((made, plain.function(site.function, inputs, given)))
    for made, expected in pairs:
        assert made.dtype == np.float32 and made.shape == expected.shape
        assert np.abs(made - expected).max() <= 2e-5 * np.abs(expected).max()


@pytest.mark.parametrize("base", [LLAMA, PHI], ids=["llama", "phi"])
def test_threads_and_devices(base: Mapping[str, Any], tmp_path: Path) -> None:
    """Threads change no byte of what is made; another device changes losses by their last bits."""
    source = write_float_model(tmp_path / "model", base, 20.0)
    made = {}
    for device, threads in (("cpu", 1), ("cpu", 3), ("reference", 1)):
        name = f"{device}{threads}"
        made[name] = quantize_awq(
            source,
            tmp_path / name,
            ids_of(64),
            options=OPTIONS,
            device=device,
            num_threads=threads,
            progress=False,
        )
    assert made["cpu1"] == made["cpu3"]
    for file in ("model.safetensors", "config.json", "awq_report.json"):
        assert (tmp_path / "cpu1" / file).read_bytes() == (tmp_path / "cpu3" / file).read_bytes()
    for one, other in zip(made["cpu1"], made["reference1"], strict=True):
        assert one.plain_loss == pytest.approx(other.plain_loss, rel=1e-4)
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
    with pytest.raises(rt.ConfigError, match='device: expected "cpu" or "reference"'):
        quantize_awq(
            source, tmp_path / "gpu", ids_of(64), options=OPTIONS, device="cuda", progress=False
        )
    assert not (tmp_path / "gpu").exists()


@FORMS
def test_folding_changes_nothing(
    base: Mapping[str, Any], changed: dict[str, Any], tmp_path: Path
) -> None:
    layer = layer_of(write_float_model(tmp_path / "model", base, 20.0, **changed), 0, 24)
    rows = np.random.default_rng(3).normal(size=(24, 64)).astype(np.float32)
    exact = layer.run(rows, Taps())
    random = np.random.default_rng(4)
    names = [site.name for site in sites_of(layer.stack)]
    has_values = changed.get("num_key_value_heads") == 4 or base is PHI
    assert ("attn_out" in names) is has_values
    for site in sites_of(layer.stack):
        width = layer.weights[f"{site.linears[0]}.weight"].shape[1]
        scales = np.exp(random.normal(size=width)).astype(np.float32)
        if site.fold is not None:
            fold(layer, site, scales)
            off = np.abs(layer.run(rows, Taps()) - exact).max()
            assert off <= 1e-5 * np.abs(exact).max(), site.name


def test_all_four_layers_that_read_the_norm_of_phi_share_its_scales(tmp_path: Path) -> None:
    layer = layer_of(write_float_model(tmp_path / "model", PHI), 0, 8)
    first = sites_of(layer.stack)[0]
    assert first.linears == (
        "self_attn.q_proj",
        "self_attn.k_proj",
        "self_attn.v_proj",
        "mlp.fc1",
    )
    assert (first.fold, first.function) == ("input_layernorm", "both")
    assert sites_of(layer.stack)[-1].fold is None  # between fc1 and fc2 is no product


FORKING = """
import os, signal, sys
import numpy as np
import ttsrt_rt as rt
from ttsrt_rt import _core

layer = _core.LlmLayer(sys.argv[1], 16, "cpu", 3)
child = os.fork()
if child == 0:
    signal.alarm(30)
    try:
        layer.run("layer", np.zeros((1, 64), np.float32))
    except rt.ClosedError:
        sys.exit(0)
    sys.exit(1)
assert os.waitpid(child, 0)[1] == 0
"""


def test_a_forked_child_runs_no_layer_of_its_parent(tmp_path: Path) -> None:
    stack = layer_of(write_float_model(tmp_path / "model", LLAMA), 0, 8).stack
    done = subprocess.run(
        [sys.executable, "-c", FORKING, json.dumps(asdict(stack))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
