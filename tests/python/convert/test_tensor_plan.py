"""Plans of copied tensors: checks of the source, stacking, types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ttsrt_rt.convert.casting import bits_to_float32, float32_to_bits
from ttsrt_rt.convert.lazy_tensor import LazyTensor
from ttsrt_rt.convert.tensor_plan import TensorPlan, make_tensors, same, stacked
from ttsrt_rt.errors import FormatError


def lazy(name: str, values: Any, dtype: str = "float32") -> LazyTensor:
    array = np.asarray(values)
    return LazyTensor(name, dtype, array.shape, array.nbytes, lambda: array)


def tensors(**values: Any) -> dict[str, LazyTensor]:
    return {name: lazy(name, np.asarray(each, np.float32)) for name, each in values.items()}


def nothing(_name: str) -> bool:
    return False


def test_stacks_copies_and_reshapes() -> None:
    source = tensors(a=[[1, 2]], b=[[3, 4], [5, 6]], c=[[[7, 8]]])
    plans = {
        "ab": stacked([("a", (1, 2)), ("b", (2, 2))], lambda values: values[0][::-1]),
        "flat": same("c", (1, 1, 2), (2,)),
    }
    made = make_tensors(plans, source, None, nothing)
    np.testing.assert_array_equal(made["ab"].read(), [[5, 6], [3, 4], [1, 2]])
    np.testing.assert_array_equal(made["flat"].read(), [7, 8])
    assert made["ab"].shape == (3, 2)


def test_computing_plans_get_float32() -> None:
    values = np.array([1.5, -2.0], np.float32)
    source = {"a": lazy("a", float32_to_bits(values), "bfloat16")}

    def double(parts: Any) -> Any:
        assert parts[0].dtype == np.float32
        return parts[0] * 2

    plans = {"twice": TensorPlan((2,), (("a", (2,)),), double, computes=True)}
    made = make_tensors(plans, source, None, nothing)["twice"]
    assert made.dtype == "bfloat16"
    np.testing.assert_array_equal(bits_to_float32(made.read()), values * 2)
    cast = make_tensors(plans, source, "float16", nothing)["twice"].read()
    assert cast.dtype == np.float16


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (tensors(b=[1]), "1 tensors are missing: a"),
        (tensors(a=[1, 2]), r"a: expected \[1\], got \[2\]"),
        (tensors(a=[1], b=[1]), "1 unexpected tensors: b"),
        ({"a": lazy("a", np.zeros(1, np.int32), "int32")}, "expected floating-point values"),
    ],
)
def test_wrong_sources_are_refused(source: dict[str, LazyTensor], message: str) -> None:
    with pytest.raises(FormatError, match=message):
        make_tensors({"ours": same("a", (1,))}, source, None, nothing)


def test_types_may_not_be_mixed_in_one_tensor() -> None:
    source = tensors(a=[1]) | {"b": lazy("b", np.zeros(1, np.float16), "float16")}
    with pytest.raises(FormatError, match="b: expected float32 like a, got float16"):
        make_tensors({"ab": stacked([("a", (1,)), ("b", (1,))])}, source, None, nothing)


def test_unused_tensors_are_passed_over_and_values_checked() -> None:
    source = tensors(a=[np.nan], buffer=[1])
    made = make_tensors({"a": same("a", (1,))}, source, None, lambda name: name == "buffer")
    with pytest.raises(FormatError, match="a: expected finite values"):
        made["a"].read()
