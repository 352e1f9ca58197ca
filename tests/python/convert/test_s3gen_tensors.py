"""What becomes of an S3Gen's tensors: nothing is lost, norms are folded, layouts are the
published ones.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.s3gen_source import read_s3gen_model
from ttsrt_rt.convert.s3gen_tensors import is_unused, plan_s3gen
from ttsrt_rt.convert.s3gen_voice_tensors import NORM_EPSILON
from ttsrt_rt.errors import FormatError
from ttsrt_rt.synth.s3gen_layout import S3GEN_SIZES, s3gen_layout, voice_encoder_layout

KEYS = Path(os.environ.get("TTSRT_GOLDEN", "")) / "s3gen" / "keys.json"
FEATURES = {"tokenizer._mel_filters": (128, 201), "tokenizer.window": (400,)}


def layout(size: str) -> dict[str, tuple[int, ...]]:
    model = S3GEN_SIZES[size]
    others = {f"voice_encoder.{name}": each for name, each in voice_encoder_layout(model).items()}
    return {**s3gen_layout(model), **others}


@pytest.mark.parametrize("size", S3GEN_SIZES)
def test_every_tensor_is_used_or_known(size: str) -> None:
    shapes = layout(size)
    plans = plan_s3gen(read_s3gen_model(shapes))
    used = {name: shape for plan in plans.values() for name, shape in plan.sources}
    assert all(shapes[name] == shape for name, shape in used.items())
    others = [name for name in shapes if name not in used]
    assert all(is_unused(name) for name in others)
    assert all(name.endswith(("num_batches_tracked", "_weight", "_bias")) for name in others)


@pytest.mark.parametrize(
    ("size", "tensors", "values"), [("cfm", 2490, 264_042_193), ("meanflow", 2491, 266_139_345)]
)
def test_the_published_numbers_of_tensors(size: str, tensors: int, values: int) -> None:
    shapes = {**s3gen_layout(S3GEN_SIZES[size]), **FEATURES}
    assert len(shapes) == tensors
    assert sum(math.prod(shape) for shape in shapes.values()) == values


def expanded(name: str) -> Iterator[str]:
    """Yields the names that a folded one stands for: {a..b} is a range, {a,b} a list."""
    parts = re.split(r"\{([^}]*)\}", name)
    choices: list[list[str]] = []
    for index, part in enumerate(parts):
        if index % 2 and ".." in part:
            first, last = map(int, part.split(".."))
            choices.append([str(each) for each in range(first, last + 1)])
        else:
            choices.append(part.split(",") if index % 2 else [part])
    yield from ("".join(each) for each in itertools.product(*choices))


@pytest.mark.skipif(not KEYS.is_file(), reason="needs s3gen/keys.json in TTSRT_GOLDEN")
@pytest.mark.parametrize("size", ["cfm", "meanflow"])
def test_layouts_match_the_original(size: str) -> None:
    keys: dict[str, Any] = json.loads(KEYS.read_text("utf-8"))
    folded = keys["s3gen"] + (keys["s3gen_meanflow_adds"] if size == "meanflow" else [])
    wanted = {name: tuple(line[1]) for line in folded for name in expanded(line[0])}
    assert {**s3gen_layout(S3GEN_SIZES[size]), **FEATURES} == wanted


def test_shapes_are_those_of_the_format() -> None:
    plans = plan_s3gen(read_s3gen_model(layout("meanflow")))
    shapes = {name: plan.shape for name, plan in plans.items()}
    assert shapes["token_embedding"] == (6561, 512)
    assert shapes["encoder.layers.5.self_qkv"] == (1536, 512)
    assert shapes["encoder.up_layers.3.content_offset"] == (512,)
    assert shapes["flow.time.mixer"] == (1024, 2048)
    assert shapes["flow.stages.0.skip"] == (256, 320)
    assert shapes["flow.stages.13.in"] == (256, 512, 3)
    assert shapes["flow.stages.6.layers.3.self_qkv"] == (1536, 256)
    assert shapes["vocoder.stages.0.source"] == (256, 18, 30)
    assert shapes["vocoder.stages.2.source"] == (64, 18, 1)
    assert shapes["vocoder.stages.1.up"] == (256, 128, 11)
    assert shapes["vocoder.stages.1.up_bias"] == (128,)
    assert shapes["vocoder.stages.2.chains.2.blocks.1.in"] == (64, 64, 11)
    assert shapes["speech_tokenizer.layers.0.memory"] == (31, 1280)
    assert shapes["speaker_encoder.blocks.1.layers.23.in"] == (128, 992)
    assert shapes["speaker_encoder.blocks.2.out"] == (512, 1024)
    assert shapes["voice_encoder.layers.0.in"] == (1024, 40)


def random_of(name: str, shape: tuple[int, ...]) -> Any:
    values = np.random.default_rng(sum(map(ord, name))).uniform(0.5, 1.5, shape)
    return values.astype(np.float32)


def test_batch_norm_is_folded() -> None:
    plans = plan_s3gen(read_s3gen_model(layout("tiny")))
    at = "speaker_encoder.head"
    weight, bias = plans["speaker_encoder.head.input"], plans["speaker_encoder.head.input_bias"]
    given = {name: random_of(name, shape) for name, shape in weight.sources}
    assert weight.make is not None and bias.make is not None
    folded = weight.make([given[name] for name, _ in weight.sources])
    shift = bias.make([given[name] for name, _ in bias.sources])
    x = np.linspace(-1, 1, 9).reshape(3, 3)
    kernel = given[f"{at}.conv1.weight"][:, 0].astype(np.float64)
    scale = given[f"{at}.bn1.weight"] / np.sqrt(given[f"{at}.bn1.running_var"] + NORM_EPSILON)
    plain = (kernel * x).sum((1, 2)) - given[f"{at}.bn1.running_mean"]
    expected = plain * scale + given[f"{at}.bn1.bias"]
    np.testing.assert_allclose((folded[:, 0] * x).sum((1, 2)) + shift, expected, rtol=1e-5)


def test_variances_below_zero_are_named() -> None:
    plan = plan_s3gen(read_s3gen_model(layout("tiny")))["speaker_encoder.scale"]
    assert plan.make is not None
    values = [
        -random_of(name, shape) if name.endswith("var") else random_of(name, shape)
        for name, shape in plan.sources
    ]
    with pytest.raises(FormatError, match=r"out_nonlinear\.batchnorm\.running_var: expected var"):
        plan.make(values)


def test_keys_of_the_tokenizer_have_no_bias() -> None:
    plan = plan_s3gen(read_s3gen_model(layout("tiny")))["speech_tokenizer.layers.0.self_qkv_bias"]
    assert plan.make is not None
    made = plan.make([np.ones(64, np.float32), np.full(64, 2, np.float32)])
    np.testing.assert_array_equal(made, [1.0] * 64 + [0.0] * 64 + [2.0] * 64)
