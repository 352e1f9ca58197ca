"""Conversion of requests to the library's: types, shapes, and names in messages."""

from __future__ import annotations

import array
import dataclasses
import inspect
from typing import Any

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt import _core
from ttsrt_rt.native_request import to_native

PRIOR_FIELDS = dataclasses.fields(rt.AttentionPrior)


class DlpackOnly:
    """An array that supports only DLPack."""

    def __init__(self, values: np.ndarray[Any, Any]) -> None:
        self._values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self._values.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._values.__dlpack_device__()


@pytest.mark.parametrize(
    "ids",
    [
        [1, 2, 3],
        (1, 2, 3),
        range(1, 4),
        np.array([1, 2, 3], np.uint8),
        np.array([9, 1, 9, 2, 9, 3])[1::2],
        array.array("q", [1, 2, 3]),
        memoryview(array.array("i", [1, 2, 3])),
        DlpackOnly(np.array([1, 2, 3], np.int64)),
    ],
    ids=lambda ids: type(ids).__name__,
)
def test_ids_from_many_kinds_of_arrays(ids: Any) -> None:
    native = to_native(rt.Request(text_ids=ids))
    assert native.text_ids.dtype == np.int32
    assert native.text_ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rows_from_any_float(dtype: type) -> None:
    rows = np.arange(6, dtype=dtype).reshape(2, 3)
    for values in (rows, rows.T.copy().T, DlpackOnly(rows)):
        native = to_native(rt.Request(encoder_output=values))
        assert native.encoder_output.tolist() == rows.tolist()


def test_a_request_owns_its_values() -> None:
    ids = np.array([1, 2, 3], np.int32)
    native = to_native(rt.Request(text_ids=ids))
    ids[:] = 0
    assert native.text_ids.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"text_ids": [1.0, 2.0]}, r"text_ids: expected integers, got float64"),
        ({"text_ids": []}, r"text_ids: expected \[n\], not empty, got \[0\]"),
        ({"text_ids": [[1, 2]]}, r"text_ids: expected \[n\], not empty, got \[1, 2\]"),
        ({"text_ids": [[1], [1, 2]]}, r"text_ids: expected an array, got list"),
        ({"text_ids": [2**31]}, r"text_ids: expected int32 numbers, got 2147483648"),
        ({"text_ids": [2**70]}, r"text_ids: expected integers, got object"),
        ({"text_ids": "abc"}, r"text_ids: expected an array of numbers"),
        ({"context_codes": [1, 2]}, r"context_codes: expected \[rows, columns\]"),
        (
            {"encoder_output": [[1, 2]]},
            r"encoder_output: expected floating-point numbers, got int64",
        ),
        ({"encoder_output": np.zeros((0, 4))}, r"encoder_output: expected .* got \[0, 4\]"),
        (
            {"context_embeddings": np.zeros((2, 2), complex)},
            r"context_embeddings: .* got complex128",
        ),
        (
            {"top_k": 2.5},
            r"top_k: expected an integer or None, got 2.5",
        ),
        (
            {"top_k": 2**40},
            r"top_k: expected an integer from -2147483648 to 2147483647 or None, got 1099511627776",
        ),
        ({"seed": -1}, r"seed: expected an integer from 0 to 18446744073709551615, got -1"),
        ({"temperature": "hot"}, r"temperature: expected a number or None, got 'hot'"),
        ({"voice": b"x"}, r"voice: expected text or a number, got bytes: b'x'"),
        ({"voice": True}, r"voice: expected an integer or a string or None, got True"),
        ({"voice": 1.5}, r"voice: expected an integer or a string or None, got 1.5"),
        ({"prior": "off"}, r"prior: expected AttentionPrior, got 'off'"),
        (
            {"prior": rt.AttentionPrior(lookahead="far")},  # type: ignore[arg-type]
            r"prior\.lookahead: expected an integer or None, got 'far'",
        ),
        ({"maskgit": {"steps": 3}}, r"maskgit: expected MaskGit, got \{'steps': 3\}"),
        ({"block": {"steps": 3}}, r"block: expected BlockDiffusion, got \{'steps': 3\}"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(rt.ConfigError, match=message):
        to_native(rt.Request(**fields))


# Python puts ids in their place before the library sees a request.
TEXT = ("text", "language", "text_options", "flow_text")


def test_defaults_are_the_librarys() -> None:
    """A request with defaults equals the library's request with defaults."""
    ours, theirs = to_native(rt.Request()), _core.Request()
    for field in dataclasses.fields(rt.Request):
        if field.name in ("block", "maskgit", "prior", *TEXT):
            continue
        left, right = getattr(ours, field.name), getattr(theirs, field.name)
        same = left.tolist() == right.tolist() if isinstance(left, np.ndarray) else left == right
        assert same, field.name
    assert ours.use_default_prior and ours.prior is None
    assert ours.maskgit is None and theirs.maskgit is None
    assert ours.block is None and theirs.block is None
    assert to_native(rt.Request(block=rt.BlockDiffusion(steps=6))).block.steps == 6
    assert all(getattr(_core.AttentionPrior(), f.name) is None for f in PRIOR_FIELDS)
    assert all(getattr(rt.AttentionPrior(), f.name) is None for f in PRIOR_FIELDS)


def test_every_field_of_the_library_is_in_the_request() -> None:
    """Fails for a field that was added in options.h or request.h but not in request.py."""

    def names(kind: type) -> set[str]:
        return {name for name in vars(kind) if not name.startswith("_")} - {"to_dict"}

    def fields(kind: Any) -> set[str]:
        return {field.name for field in dataclasses.fields(kind)}

    ours = {"use_default_prior", "later_chunks"}  # what Python sets itself
    assert names(_core.Request) - ours == fields(rt.Request) - {*TEXT}
    assert names(_core.AttentionPrior) == fields(rt.AttentionPrior)
    assert names(_core.MaskGit) == fields(rt.MaskGit)
    assert names(_core.BlockDiffusion) == fields(rt.BlockDiffusion)
    assert names(_core.Metrics) == fields(rt.Metrics) - {"dropped_text"}


def test_prior_kinds() -> None:
    assert to_native(rt.Request(prior="default")).use_default_prior
    off = to_native(rt.Request(prior=None))
    assert not off.use_default_prior and off.prior is None
    own = to_native(rt.Request(prior=rt.AttentionPrior(lookahead=9, apply_layers=[1, 2])))
    assert own.prior is not None and own.prior.lookahead == 9 and own.prior.apply_layers == [1, 2]


def test_requests_are_frozen_and_keyword_only() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        rt.Request(text_ids=[1]).seed = 3  # type: ignore[misc]
    with pytest.raises(TypeError):
        rt.Request([1])  # type: ignore[misc]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(rt.Request, "cgf_scale"), (rt.AttentionPrior, "lookahed"), (rt.MaskGit, "step")],
)
def test_a_misspelt_field_lists_those_known(kind: Any, name: str) -> None:
    with pytest.raises(rt.ConfigError, match=rf"{kind.__name__}: expected .*; got '{name}'"):
        kind(**{name: 2})
    assert "text_ids" in inspect.signature(rt.Request).parameters


@pytest.mark.parametrize("name", ["voice", "eos_method", "seed", "max_frames"])
def test_bytes_are_no_text(executor: rt.Executor, name: str) -> None:
    fields: dict[str, Any] = {"text_ids": [3, 4], "voice": 0, name: b"x"}
    with pytest.raises(rt.ConfigError, match=f"{name}: expected .*got bytes"):
        executor.submit(**fields)
