"""Numbers that are finite in a request and not in the model: the request ends by name."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import EXACT_DEVICES

PRECISIONS = ["float32", "bfloat16", "float16", "w8a16", "w4a16", "w8a8", "w4a8"]
CACHES = ["float32", "bfloat16", "float16", "int8"]
FRAMES = 6
# Program, step and stage, as in "prefill, step 0, row 0: self-attention keys and values of ...".
NAMED = r"^(prefill|decode|encode_text|project_memory), step \d+.*: [a-z -]+.*: expected finite"


@pytest.fixture
def build(checkpoint_of: Callable[[str], Path], tmp_path: Path) -> Callable[[str, str], Path]:
    """Builds a golden checkpoint in a dtype, or quantized with float32 tables."""

    def make(case: str, precision: str) -> Path:
        engine = tmp_path / precision
        if precision.startswith("w"):
            rt.build(checkpoint_of(case), engine, quantization=precision)
        else:
            rt.build(checkpoint_of(case), engine, dtype=precision)
        return engine

    return make


def sound(ids: NDArray[np.int32], **fields: Any) -> rt.Request:
    wanted = {"text_ids": ids, "voice": 0, "seed": 7, "max_frames": FRAMES, **fields}
    return rt.Request(**wanted)


def huge(executor: rt.Executor, ids: NDArray[np.int32], **fields: Any) -> rt.Request:
    """A request with a finite context that no activation can hold."""
    rows = np.full((5, executor.engine.info.dim), 3e38, np.float32)
    rows[:, ::2] *= -1
    return sound(ids, **{"voice": None, "context_embeddings": rows, **fields})


def faulty(executor: rt.Executor, ids: NDArray[np.int32]) -> list[rt.Request]:
    text = np.full((len(ids), executor.engine.info.dim), 3e38, np.float32)
    prior = rt.AttentionPrior()
    return [
        huge(executor, ids),
        huge(executor, ids, cfg_scale=1.0, temperature=0.0),
        huge(executor, ids, use_local_transformer=True),
        huge(executor, ids, return_alignment=True, prior=None),
        huge(executor, ids, return_alignment=True, prior=prior),
        sound(ids, text_ids=None, text_features=text),
        sound(ids, text_ids=None, encoder_output=text, prior=prior),
    ]


def expect_ends_by_name(
    executor: rt.Executor, bad: list[rt.Request], good: list[rt.Request]
) -> None:
    """Runs the good requests alone, and then between the bad ones."""
    alone = [executor.generate(request) for request in good]
    for _ in range(2):
        results = executor.generate([*bad, *good, *bad])
        for result in [*results[: len(bad)], *results[-len(bad) :]]:
            assert result.finish_reason == "error"
            assert result.error is not None
            assert re.match(NAMED, result.error), result.error
            assert result.codes.shape == (0, executor.engine.info.codebooks)
            assert result.alignment is None
        for result, expected in zip(results[len(bad) :], alone, strict=False):
            assert result.error is None
            np.testing.assert_array_equal(result.codes, expected.codes)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_huge_contexts_and_texts(
    precision: str, build: Callable[[str, str], Path], text_ids: NDArray[np.int32]
) -> None:
    engine = build("tinyhf", precision)
    good = [sound(text_ids, seed=1), sound(text_ids, use_local_transformer=True, voice=1)]
    for cache in CACHES:
        with rt.Executor(engine, device="cpu", kv_cache_dtype=cache) as executor:
            expect_ends_by_name(executor, faulty(executor, text_ids), good)


@pytest.mark.parametrize("device", EXACT_DEVICES)
def test_maskgit(
    device: str, engine_of: Callable[[str], Path], text_ids: NDArray[np.int32]
) -> None:
    ids = text_ids[:12]  # its vocabulary is smaller
    with rt.Executor(engine_of("tinymaskgit1"), device=device) as executor:
        info = executor.engine.info
        text_ids = text_ids % np.int32(info.text_vocab)
        context = np.random.default_rng(3).normal(size=(4, info.dim)).astype(np.float32)
        good = [
            sound(ids, voice=None, context_embeddings=context, use_local_transformer=local)
            for local in (False, True)
        ]
        bad = [huge(executor, ids, use_local_transformer=True, temperature=t) for t in (0, 1)]
        expect_ends_by_name(executor, bad, good)


def test_a_voice_of_huge_numbers(engine: Path, text_ids: NDArray[np.int32]) -> None:
    with rt.Executor(engine, device="cpu") as executor:
        rows = np.full((4, executor.engine.info.dim), -3e38, np.float32)
        executor.add_voice("loud", rows)
        expected = executor.generate(sound(text_ids)).codes
        for _ in range(2):
            with pytest.raises(rt.InternalError, match=r"prefill, step 0.*expected finite numbers"):
                executor.generate(sound(text_ids, voice="loud"))
            with pytest.raises(rt.InternalError, match="expected finite numbers"):
                list(executor.stream(sound(text_ids, voice="loud")))
        np.testing.assert_array_equal(executor.generate(sound(text_ids)).codes, expected)


def spoil(engine: Path, name: str, value: float) -> None:
    """Overwrites the first numbers of a float32 tensor of an engine."""
    path = engine / "weights.safetensors"
    data = bytearray(path.read_bytes())
    (length,) = struct.unpack("<Q", data[:8])
    tensor = json.loads(data[8 : 8 + length])[name]
    assert tensor["dtype"] == "F32"
    begin = 8 + length + tensor["data_offsets"][0]
    data[begin : begin + 4] = struct.pack("<f", value)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("tensor", "stage"),
    [
        ("final_proj", "decode, step 0: logits: "),
        ("final_proj_bias", "decode, step 0: logits: "),
        ("decoder.layers.0.self_norm", "prefill, step 0, row 0: self-attention keys and values"),
        ("voices", "prefill, step 0, row 0: self-attention keys and values of layer 0"),
    ],
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite(
    tensor: str, stage: str, value: float, engine: Path, tmp_path: Path, text_ids: NDArray[np.int32]
) -> None:
    spoilt = tmp_path / "engine"
    shutil.copytree(engine, spoilt)
    spoil(spoilt, tensor, value)
    with rt.Executor(spoilt, device="cpu") as executor:
        (result,) = executor.generate([sound(text_ids)])
    assert result.finish_reason == "error"
    assert result.error is not None and result.error.startswith(stage), result.error
