"""Options: names of data types, names of options, and types that agree with the library."""

from __future__ import annotations

import dataclasses
import inspect
import os
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

import ttsrt_rt as rt
from ttsrt_rt import _core, options
from ttsrt_rt.convert import magpie_model
from ttsrt_rt.convert.registry import FAMILIES
from ttsrt_rt.options import check_names, dtype_name, path_of
from ttsrt_rt.request import MaskGit, PriorFields, RequestFields

KNOWN = ("float32", "bfloat16", "float16")


class TorchLike:
    """Looks like a type of PyTorch."""

    def __repr__(self) -> str:
        return "torch.bfloat16"


TorchLike.__module__, TorchLike.__name__ = "torch", "dtype"


def fields_of(kind: type) -> set[str]:
    return {name for name, value in vars(kind).items() if isinstance(value, property)}


def test_data_types_by_name_and_by_type() -> None:
    assert dtype_name("bfloat16", "dtype", KNOWN) == "bfloat16"
    assert dtype_name(np.float32, "dtype", KNOWN) == "float32"
    assert dtype_name(np.dtype("float16"), "dtype", KNOWN) == "float16"
    assert dtype_name(TorchLike(), "dtype", KNOWN) == "bfloat16"
    assert dtype_name(np.int8, "dtype", get_args(options.CacheDType)) == "int8"


@pytest.mark.torch
def test_data_types_of_pytorch() -> None:
    from tests.needs_torch import torch

    assert dtype_name(torch.float16, "dtype", KNOWN) == "float16"
    assert dtype_name(torch.bfloat16, "dtype", KNOWN) == "bfloat16"


@pytest.mark.parametrize(
    ("value", "right"),
    [
        *(("fp16", "float16"), ("half", "float16"), ("bf16", "bfloat16"), ("FP32", "float32")),
        *(("float", "float32"), ("Float32", "float32"), ("BF16", "bfloat16")),
    ],
)
def test_another_spelling_is_refused_with_the_right_one(value: str, right: str) -> None:
    with pytest.raises(rt.ConfigError) as caught:
        dtype_name(value, "dtype", KNOWN)
    assert str(caught.value) == (
        f'dtype: expected "float32", "bfloat16" or "float16", got {value!r}; write {right!r}'
    )


@pytest.mark.parametrize(
    "value", ["int8", "fp8", "", np.float64, float, 5, None, object(), "x" * 999]
)
def test_what_is_no_data_type(value: object) -> None:
    with pytest.raises(rt.ConfigError, match=r"^dtype: expected ") as caught:
        dtype_name(value, "dtype", KNOWN)
    assert len(str(caught.value)) < 400


def test_one_spelling_everywhere(engine: Path, checkpoint_of: Any, tmp_path: Path) -> None:
    checkpoint = checkpoint_of("tinyhf")
    calls = {
        "build": lambda: rt.build(checkpoint, tmp_path / "a", dtype="bf16"),  # type: ignore[arg-type]
        "convert": lambda: rt.convert(checkpoint, tmp_path / "b", dtype="bf16"),  # type: ignore[arg-type]
        "executor": lambda: rt.Executor(engine, kv_cache_dtype="bf16"),  # type: ignore[arg-type]
        "unknown option": lambda: rt.build(checkpoint, tmp_path / "a", dtyp="float32"),  # type: ignore[call-arg]
    }
    for name, call in calls.items():
        with pytest.raises(rt.ConfigError):
            call()
        assert not (tmp_path / "a").exists(), name
    rt.build(checkpoint, tmp_path / "a", dtype=np.float16)
    with rt.Executor(tmp_path / "a", device="reference", kv_cache_dtype=np.float32) as executor:
        assert executor.info.kv_cache_dtype == "float32"
        assert executor.engine.info.dtype == "float16"
        assert {t.dtype for t in executor.engine.tensors()} >= {"float16", "float32"}


def test_an_unknown_option_lists_the_known_ones() -> None:
    check_names("build", {"dtype": 1}, options.BuildOptions.__annotations__)
    with pytest.raises(rt.ConfigError, match=r"build: expected options among dtype, .*got 'dtyp'"):
        check_names("build", {"dtyp": 1}, options.BuildOptions.__annotations__)


def test_paths() -> None:
    assert path_of("a/b", "x") == path_of(b"a/b", "x") == path_of(Path("a/b"), "x") == Path("a/b")
    assert os.fsencode(path_of(b"caf\xe9", "x")) == b"caf\xe9"
    for value in (None, 5, ["a"], "a\0b"):
        with pytest.raises(rt.ConfigError, match=r"^x: expected a path, got "):
            path_of(value, "x")


def test_options_are_the_librarys() -> None:
    build = set(options.BuildOptions.__annotations__)
    assert build | {"overwrite"} == fields_of(_core.BuildOptions)
    run = set(options.ExecutorOptions.__annotations__)
    assert run == fields_of(_core.ExecutorOptions)
    both = build | run | set(options.ConvertOptions.__annotations__) - {"overwrite", "progress"}
    assert set(options.CheckpointOptions.__annotations__) == both - {"codec_dir"} | {"codec"}


def test_options_are_the_converters() -> None:
    names = set()
    for _, converter in FAMILIES.values():
        parameters = inspect.signature(converter).parameters.values()
        names |= {each.name for each in parameters if each.kind is each.KEYWORD_ONLY}
    assert names == set(options.ConvertOptions.__annotations__)


def test_fields_are_those_of_a_request() -> None:
    for typed, kind in ((RequestFields, rt.Request), (PriorFields, rt.AttentionPrior)):
        names = {name: of.__forward_arg__ for name, of in typed.__annotations__.items()}
        assert names == {field.name: field.type for field in dataclasses.fields(kind)}


def test_words_are_the_librarys(engine: Path) -> None:
    assert get_args(options.DType) == KNOWN
    assert set(get_args(options.EosMethod)) == set(magpie_model.EOS_METHODS)
    assert get_args(options.PriorMode) == magpie_model.PRIOR_MODES
    assert get_args(options.Suppress) == magpie_model.SUPPRESSIONS
    assert rt.AttentionPrior.of(rt.Engine.open(engine)).mode in get_args(options.PriorMode)
    assert MaskGit().sampling in get_args(options.MaskGitSampling)
    devices = {device.name.partition(":")[0] for device in rt.list_devices()}
    assert devices | {"auto"} <= set(options.DEVICES)
