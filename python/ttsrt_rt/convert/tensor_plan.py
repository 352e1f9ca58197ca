"""Makes tensors of a checkpoint from one or several original tensors by copying values: stacked,
sliced, reordered, transposed.

The plan is made first, from the model's sizes alone; values are read only while the file is
written. Copying needs no arithmetic, so values of any type go through unchanged. A plan that
computes says so, and gets float32.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ttsrt_rt.convert.casting import cast
from ttsrt_rt.convert.lazy_tensor import Array, LazyTensor
from ttsrt_rt.convert.mapped_tensor import MappedTensor, read_as, target_dtype
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import list_names

__all__ = [
    "Planned",
    "TensorPlan",
    "check_sources",
    "dtype_of",
    "make_tensors",
    "same",
    "stacked",
]

FLOATS = ("float32", "float16", "bfloat16", "float64")

Shape = tuple[int, ...]
Make = Callable[[Sequence[Array]], Array]


class Planned(Protocol):
    """Whatever names the original tensors of one of ours."""

    @property
    def sources(self) -> tuple[tuple[str, Shape], ...]:
        """The original tensors, with their shapes."""


@dataclass(frozen=True)
class TensorPlan:
    """How one of our tensors is made.

    Attributes:
        shape: its shape.
        sources: the original tensors, with their shapes.
        make: returns its values from those of the sources; None: the only source, reshaped.
        computes: whether `make` calculates, so that it needs float32.
    """

    shape: Shape
    sources: tuple[tuple[str, Shape], ...]
    make: Make | None = None
    computes: bool = False


def same(source: str, shape: Shape, ours: Shape | None = None) -> TensorPlan:
    """Returns the plan of a tensor that is stored as it is, in another shape if `ours` is given."""
    return TensorPlan(shape if ours is None else ours, ((source, shape),))


def stacked(sources: Sequence[tuple[str, Shape]], make: Make | None = None) -> TensorPlan:
    """Returns the plan of tensors that are stacked on their first axis.

    Args:
        sources: the original tensors, with their shapes.
        make: what is done with the stacked values; None: nothing.
    """
    rows = sum(shape[0] for _, shape in sources)

    def stack(values: Sequence[Array]) -> Array:
        whole = np.concatenate(values)
        return whole if make is None else make([whole])

    return TensorPlan((rows, *sources[0][1][1:]), tuple(sources), stack)


def make_tensors(
    plans: Mapping[str, TensorPlan],
    tensors: Mapping[str, LazyTensor],
    dtype: str | None,
    is_unused: Callable[[str], bool],
) -> dict[str, MappedTensor]:
    """Maps `tensors`, keyed by original names without wrappers, to ours.

    Args:
        plans: how each of our tensors is made, by its name.
        tensors: all tensors of the source.
        dtype: casts the weights; None keeps the dtype of the source.
        is_unused: whether an original tensor has no use here.

    Raises:
        FormatError: a tensor is missing, unexpected, or of a wrong shape or dtype.
    """
    check_sources(plans, tensors, is_unused)
    return {
        name: _mapped(name, plan, [tensors[source] for source, _ in plan.sources], dtype)
        for name, plan in plans.items()
    }


def check_sources(
    plans: Mapping[str, Planned],
    tensors: Mapping[str, LazyTensor],
    is_unused: Callable[[str], bool],
) -> None:
    """Compares the tensors of a source with those that plans take.

    Args:
        plans: how each of our tensors is made, by its name.
        tensors: all tensors of the source.
        is_unused: whether an original tensor has no use here.

    Raises:
        FormatError: a tensor is missing, unexpected, or of a wrong shape or dtype.
    """
    wanted = {name: shape for plan in plans.values() for name, shape in plan.sources}
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise FormatError(f"{len(missing)} tensors are missing: {list_names(missing)}")
    others = sorted(name for name in tensors if name not in wanted and not is_unused(name))
    if others:
        raise FormatError(f"{len(others)} unexpected tensors: {list_names(others)}")
    for name, shape in wanted.items():
        if tensors[name].shape != shape:
            raise FormatError(f"{name}: expected {list(shape)}, got {list(tensors[name].shape)}")
        if tensors[name].dtype not in FLOATS:
            raise FormatError(f"{name}: expected floating-point values, got {tensors[name].dtype}")


def dtype_of(sources: Sequence[LazyTensor]) -> str:
    """The one dtype of original tensors that become one of ours.

    Raises:
        FormatError: they have several.
    """
    for source in sources:
        if source.dtype != sources[0].dtype:
            raise FormatError(
                f"{source.name}: expected {sources[0].dtype} like {sources[0].name}, got "
                f"{source.dtype}"
            )
    return sources[0].dtype


def _mapped(
    name: str, plan: TensorPlan, sources: Sequence[LazyTensor], dtype: str | None
) -> MappedTensor:
    target = target_dtype(dtype_of(sources), dtype)
    between = "float32" if plan.computes else target

    def read() -> Array:
        values = [read_as(source, between) for source in sources]
        made = values[0] if plan.make is None else plan.make(values)
        made = np.ascontiguousarray(made).reshape(plan.shape)
        return cast(name, made, between, target)

    return MappedTensor(name, target, plan.shape, read)
