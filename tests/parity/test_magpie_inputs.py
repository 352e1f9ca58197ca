"""Equivalent inputs of every kind give the same result: ids, features and encoder output for the
text; codes, embeddings and a named voice for the context.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import ttsrt_rt as rt
from tests.devices import DEVICES
from ttsrt_rt.convert.checkpoint import open_checkpoint
from ttsrt_rt.golden import Golden

DATA = Path(__file__).resolve().parents[1] / "data" / "magpie"
# One run for each kind of context; "memory" models accept only codes.
WITH_ROWS = [
    "tiny2503.cfg_prior_kv",
    "tinyce.odd_cfg_prior_kv",
    "tinyce.odd_cfg_prior_nokv",
    "tinycetext.text_cfg_prior_kv",
    "tinyhf.lt_cfg_prior_kv",
    "tinyold.cfg_prior_kv",
]
RECORDED_ROWS = [name for name in WITH_ROWS if not name.endswith("nokv")]
WITH_CODES = [
    "tiny2503.cfg_prior_kv",
    "tinyce.odd_cfg_prior_kv",
    "tinymulti.cfg_prior_kv",
    "tinyold.cfg_prior_kv",
]
WITHOUT_ROWS = ["tinymulti.cfg_prior_kv"]

Opened = tuple[rt.Executor, rt.Request, rt.Result]
ExpectSame = Callable[[rt.Result, rt.Result], None]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=WITH_ROWS + WITHOUT_ROWS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def opened(name: str, device: str, engine_of: Callable[[str], Path]) -> Iterator[Opened]:
    """An executor that traces, the second request of a golden run, and its result."""
    run = Golden(DATA / f"{name}.npz")
    with rt.Executor(engine_of(name.split(".")[0]), device=device, trace=True) as executor:
        request = run.requests(executor)[1]
        result = executor.generate(request)
        np.testing.assert_array_equal(result.codes, run.codes(1))
        yield executor, request, result


def traced(result: rt.Result, stage: str) -> NDArray[np.float32]:
    return next(np.array(entry.values) for entry in result.trace if entry.name == stage)


def test_encoder_output(opened: Opened, expect_same: ExpectSame) -> None:
    executor, request, expected = opened
    rows = traced(expected, "encoder_out")
    expect_same(executor.generate(replace(request, text_ids=None, encoder_output=rows)), expected)


def test_text_features(
    opened: Opened,
    name: str,
    checkpoint_of: Callable[[str], Path],
    expect_same: ExpectSame,
) -> None:
    executor, request, expected = opened
    checkpoint = open_checkpoint(checkpoint_of(name.split(".")[0]))
    rows = checkpoint.weights["text_embedding"].read()[np.asarray(request.text_ids)]
    expect_same(executor.generate(replace(request, text_ids=None, text_features=rows)), expected)


NO_CONTEXT = {"voice": None, "context_codes": None, "context_text_ids": None}


def test_context_embeddings(opened: Opened, name: str, expect_same: ExpectSame) -> None:
    executor, request, expected = opened
    rows = traced(expected, "context_embedding")
    given = replace(request, **NO_CONTEXT, context_embeddings=rows)
    if name in WITHOUT_ROWS:
        with pytest.raises(rt.ConfigError, match="give context_codes"):
            executor.generate(given)
        return
    expect_same(executor.generate(given), expected)


@pytest.mark.parametrize("name", WITH_ROWS, indirect=True)
def test_a_voice_added_from_embeddings(opened: Opened, expect_same: ExpectSame) -> None:
    executor, request, expected = opened
    executor.add_voice("mine", traced(expected, "context_embedding"))
    expect_same(executor.generate(replace(request, **NO_CONTEXT | {"voice": "mine"})), expected)


@pytest.mark.parametrize("name", RECORDED_ROWS, indirect=True)
def test_arrays_of_the_original(name: str, device: str, engine_of: Callable[[str], Path]) -> None:
    """The encoder output and context rows of the original, as inputs, give the original's codes."""
    path = DATA / f"{name}.npz"
    run = Golden(path)
    with np.load(path) as arrays:
        text = arrays["encoder_out"][1, : int(arrays["text_lens"][1])]
        context = arrays["context_embedding"][1]
    with rt.Executor(engine_of(name.split(".")[0]), device=device) as executor:
        request = run.requests(executor)[1]
        given = replace(request, **NO_CONTEXT, text_ids=None, encoder_output=text)
        result = executor.generate(replace(given, context_embeddings=context))
    np.testing.assert_array_equal(result.codes, run.codes(1))
    np.testing.assert_array_equal(result.focus, run.focus(1)[1])  # type: ignore[index]


@pytest.mark.parametrize("name", WITH_CODES, indirect=True)
def test_a_voice_added_from_codes(opened: Opened, expect_same: ExpectSame) -> None:
    executor, request, expected = opened
    executor.add_voice("mine", codes=request.context_codes)
    assert executor.stats().voice_bytes > 0
    expect_same(executor.generate(replace(request, **NO_CONTEXT | {"voice": "mine"})), expected)
    executor.remove_voice("mine")
    assert executor.stats().voice_bytes == 0
