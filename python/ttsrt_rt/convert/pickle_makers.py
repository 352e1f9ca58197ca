"""Makes the values that a pickle's calls stand for, for the few functions that are supported.

The kind of each argument is checked here; sizes and bounds of a tensor are checked later, and only
for tensors that a state dict holds. Backward hooks must be an empty dict, as torch writes them.
Conjugate and negative views are rejected, because their values differ from the stored ones.
"""

from __future__ import annotations

from typing import Any

from ttsrt_rt.convert.lazy_tensor import MAX_DIMENSIONS
from ttsrt_rt.convert.pickle_globals import Maker
from ttsrt_rt.convert.pickle_values import (
    Dict,
    DtypeName,
    Placeholder,
    Sequence,
    StorageRef,
    TensorRef,
    describe,
)
from ttsrt_rt.errors import FormatError

__all__ = ["make"]


def make(maker: Maker, arguments: list[Any], where: str) -> object:
    """Makes the value that `maker` stands for.

    Raises:
        FormatError: the arguments are not those that torch writes.
    """
    if maker is Maker.ORDERED_DICT:
        expect(not arguments, where, "an OrderedDict without arguments", arguments)
        return Dict()
    if maker is Maker.TENSOR:
        return make_tensor(arguments, where)
    if maker is Maker.TENSOR_WITH_DTYPE:
        return make_tensor_with_dtype(arguments, where)
    if maker is Maker.PARAMETER:
        return make_parameter(arguments, where)
    if maker is Maker.SIZE:
        is_size = len(arguments) == 1 and isinstance(arguments[0], Sequence)
        expect(is_size and arguments[0].is_tuple, where, "a torch.Size of a tuple", arguments)
        return arguments[0]
    is_text = len(arguments) == 2 and isinstance(arguments[0], str)
    expect(is_text and arguments[1] == "latin1", where, "_codecs.encode to latin1", arguments)
    return Placeholder("builtins.bytes")


def make_tensor(arguments: list[Any], where: str) -> TensorRef:
    """Handles `_rebuild_tensor_v2`: storage, offset, size, stride, grad, hooks[, metadata]."""
    expect(len(arguments) in (6, 7), where, "6 or 7 arguments of a tensor", arguments)
    storage = arguments[0]
    is_typed = isinstance(storage, StorageRef) and storage.dtype != ""
    expect(is_typed, where, "a tensor of a typed storage", arguments)
    check_extras(arguments[4:], where)
    shape, strides = sizes(arguments, where)
    return TensorRef(storage, storage.dtype, arguments[1], shape, strides)


def make_tensor_with_dtype(arguments: list[Any], where: str) -> TensorRef:
    """Handles `_rebuild_tensor_v3`: as v2, with the dtype before the optional metadata."""
    expect(len(arguments) in (7, 8), where, "7 or 8 arguments of a tensor", arguments)
    storage, dtype = arguments[0], arguments[6]
    is_untyped = isinstance(storage, StorageRef) and storage.dtype == ""
    expect(is_untyped, where, "a tensor of an untyped storage", arguments)
    expect(isinstance(dtype, DtypeName), where, "a dtype of the tensor", [dtype])
    if not dtype.tag:
        raise FormatError(f"{where}: expected a real dtype, got torch.{dtype.name}")
    check_extras(arguments[4:6] + arguments[7:], where)
    shape, strides = sizes(arguments, where)
    return TensorRef(storage, dtype.tag, arguments[1], shape, strides)


def make_parameter(arguments: list[Any], where: str) -> object:
    """Handles `_rebuild_parameter(data, requires_grad, backward_hooks[, state])`; returns data."""
    expect(len(arguments) in (3, 4), where, "3 or 4 arguments of a parameter", arguments)
    data, requires_grad, hooks = arguments[:3]
    expect(isinstance(data, (TensorRef, Placeholder)), where, "a parameter of a tensor", [data])
    check_extras([requires_grad, hooks], where)
    return data


def check_extras(extras: list[Any], where: str) -> None:
    """Checks that requires_grad is a bool and that hooks and metadata, if given, are empty."""
    requires_grad, hooks, *metadata = extras
    expect(isinstance(requires_grad, bool), where, "requires_grad as a bool", [requires_grad])
    expect(isinstance(hooks, Dict) and hooks.is_empty, where, "no backward hooks", [hooks])
    for each in metadata:
        is_plain = each is None or (isinstance(each, Dict) and each.is_empty)
        expect(is_plain, where, "no tensor metadata (conjugate or negative view)", [each])


def sizes(arguments: list[Any], where: str) -> tuple[tuple[object, ...], tuple[object, ...]]:
    """Returns shape and strides from the arguments of a tensor."""
    shape, strides = arguments[2], arguments[3]
    for each in (shape, strides):
        is_tuple = isinstance(each, Sequence) and each.is_tuple
        expect(is_tuple, where, "a tuple of sizes", [each])
    # One stored tuple may serve many tensors, so only as much of a long one is copied as shows that
    # it is too long.
    most = MAX_DIMENSIONS + 1
    return tuple(shape.items[:most]), tuple(strides.items[:most])


def expect(is_met: bool, where: str, expected: str, got: list[Any]) -> None:
    """Raises an error unless the arguments are those that torch writes."""
    if not is_met:
        kinds = ", ".join(describe(each) for each in got[:8]) or "nothing"
        raise FormatError(f"{where}: expected {expected}, got {kinds}")
