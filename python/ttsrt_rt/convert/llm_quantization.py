"""Reads how the weights of a Hugging Face folder are quantized, and gives them as float32.

AWQ ("gemm" and "gemv"), GPTQ and compressed-tensors state a code, a zero point and a half scale for
each weight; float32 holds their product exactly, so nothing is rounded here. Other methods have no
such form, or none that was checked, and are refused by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.lazy_tensor import Array, LazyTensor
from ttsrt_rt.convert.llm_compressed import (
    IN_CONFIG,
    IN_GROUP,
    IN_WEIGHTS,
    NamePatterns,
    check_targets,
    refuse_unknown,
)
from ttsrt_rt.convert.llm_names import MAX_CONFIG_BYTES
from ttsrt_rt.convert.llm_unpack import READERS, Packed
from ttsrt_rt.convert.mapped_tensor import MappedTensor, read_as
from ttsrt_rt.convert.tensor_plan import TensorPlan
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.json_text import read_json
from ttsrt_rt.quoting import show

__all__ = ["Grid", "Quantization", "dequantized", "read_quantization", "with_grids"]

GROUPS = (32, 64, 128)
METHODS = ("awq", "gptq", "compressed-tensors")
OLDER_FILES = (("quantize_config.json", "gptq"), ("quant_config.json", "awq"))
HINT = "convert the model without quantization, and quantize it with ttsrt build --quantization"
PACKED_NAME = {"int8": "weight_scale", "pack": "weight_packed"}
MAX_SKIPPED = 10_000


@dataclass(frozen=True)
class Grid:
    """Scales and zero points of a layer.

    Attributes:
        shape: outputs and groups.
        read: returns both, float16 and uint8, of this shape.
    """

    shape: tuple[int, int]
    read: Callable[[], tuple[Array, Array]]


@dataclass(frozen=True)
class Quantization:
    """How linear layers are quantized.

    Attributes:
        method: one of `METHODS`.
        layout: how codes are packed, a key of `llm_unpack.READERS`.
        group_size: inputs that share a scale; -1 for all of a row.
        symmetric: whether there are no stored zero points (compressed-tensors).
        skipped: parts of the names of layers that stay floats.
        ignored: names of layers that stay floats, as `ignore` of compressed-tensors has them.
        is_reordered: whether groups follow an order of the inputs.
    """

    method: str
    layout: str
    group_size: int
    symmetric: bool = False
    skipped: tuple[str, ...] = ()
    ignored: NamePatterns = field(default_factory=NamePatterns)
    is_reordered: bool = False

    def describe(self) -> dict[str, Any]:
        """Returns what people may want to know of the source."""
        return {"method": self.method, "layout": self.layout, "group_size": self.group_size}

    def has_layer(self, name: str, tensors: Mapping[str, LazyTensor]) -> bool:
        """Whether a linear layer is quantized: its packed tensor exists, and it is not skipped."""
        packed = PACKED_NAME.get(self.layout, "qweight")
        is_skipped = any(part in name for part in self.skipped) or self.ignored.matches(name)
        return f"{name}.{packed}" in tensors and not is_skipped


def read_quantization(folder: Path, config: Block) -> Quantization | None:
    """Returns the quantization that config.json or, of older exports, a file beside it states; None
    where there is none.

    Raises:
        ConfigError: it is of a method or a form that is not read.
        FormatError: a file is not JSON.
    """
    if config.has("quantization_config"):
        block = config.block("quantization_config")
        return _READ[_method(block)](block)
    for name, method in OLDER_FILES:
        path = folder / name
        if path.is_file():
            found = read_json(path, max_bytes=MAX_CONFIG_BYTES)
            return _READ[method](Block(found, f"{path}: ", ConfigError))
    return None


def dequantized(
    tensors: Mapping[str, LazyTensor],
    quantization: Quantization,
    linears: Mapping[str, tuple[int, int]],
    has_bias: Callable[[str], bool],
) -> tuple[dict[str, LazyTensor], dict[str, Grid]]:
    """Returns the tensors of a model with the floats of its quantized layers in place of their
    packed parts, and the grids that these floats are on. Layers that are not quantized become
    float32 too, as neighbours become one matrix.

    Args:
        tensors: all tensors of the source.
        quantization: how its layers are quantized.
        linears: outputs and inputs of the layers that may be quantized, by name.
        has_bias: whether a layer has a bias. Exporters write zeros for layers without one.

    Raises:
        FormatError: a part of a layer is missing or of a wrong shape or dtype; or no layer is
            quantized.
    """
    made = dict(tensors)
    grids: dict[str, Grid] = {}
    num_quantized = 0
    for name, (outputs, inputs) in linears.items():
        if not quantization.has_layer(name, tensors):
            if f"{name}.weight" in made:
                made[f"{name}.weight"] = _widened(made[f"{name}.weight"])
            continue
        num_quantized += 1
        group = inputs if quantization.group_size == -1 else quantization.group_size
        if inputs % group:
            raise FormatError(
                f"{name}: group_size: expected a divisor of {inputs} inputs, got {group}"
            )
        packed = Packed(
            *(name, tensors, outputs, inputs, group),
            symmetric=quantization.symmetric,
            is_reordered=quantization.is_reordered,
        )
        unpacked = READERS[quantization.layout](packed)
        for part in unpacked.used:
            made.pop(f"{name}.{part}", None)
        made[f"{name}.weight"] = _float_tensor(f"{name}.weight", (outputs, inputs), unpacked.read)
        if unpacked.grid is not None:
            grids[f"{name}.weight"] = Grid((outputs, inputs // group), unpacked.grid)
        if not has_bias(name) and f"{name}.bias" in made:
            _check_zeros(made.pop(f"{name}.bias"))
    if not num_quantized:
        raise FormatError(
            f"quantization_config: expected layers packed by {quantization.method}, got none"
        )
    return made, grids


def with_grids(
    mapped: dict[str, MappedTensor], plans: Mapping[str, TensorPlan], grids: Mapping[str, Grid]
) -> dict[str, MappedTensor]:
    """Returns the tensors of a checkpoint with the scales and zero points of its matrices, so that
    a build with groups and zero points keeps the codes of the source.

    Args:
        mapped: the tensors, by name.
        plans: how each was made.
        grids: those of the source's layers, by the names of their weights.
    """
    made = dict(mapped)
    for name, plan in plans.items():
        parts = [grids.get(source) for source, _ in plan.sources]
        known = [part for part in parts if part is not None]
        is_whole = len(known) == len(parts) and len({part.shape[1] for part in known}) == 1
        if not is_whole or len(plan.shape) != 2:
            continue
        shape = (sum(part.shape[0] for part in known), known[0].shape[1])
        for place, (ending, dtype) in enumerate((("scales", "float16"), ("zeros", "uint8"))):
            made[f"{name}.{ending}"] = MappedTensor(
                f"{name}.{ending}", dtype, shape, _joined(known, place)
            )
    return made


def _joined(parts: Sequence[Grid], place: int) -> Callable[[], Array]:
    return lambda: np.concatenate([part.read()[place] for part in parts])


def _float_tensor(name: str, shape: tuple[int, ...], read: Callable[[], Array]) -> LazyTensor:
    return LazyTensor(name, "float32", shape, 4 * int(np.prod(shape)), read)


def _widened(tensor: LazyTensor) -> LazyTensor:
    if tensor.dtype not in ("float16", "bfloat16"):
        return tensor

    def read() -> Array:
        return read_as(tensor, "float32")

    return _float_tensor(tensor.name, tensor.shape, read)


def _check_zeros(bias: LazyTensor) -> None:
    if bias.nbytes > 1 << 20 or bias.read().any():
        raise FormatError(f"{bias.name}: expected none or zeros, as this layer has no bias")


def _method(block: Block) -> str:
    found = block.values.get("quant_method")
    if isinstance(found, str) and found in METHODS:
        return found
    if found is None and block.has("config_groups"):
        return "compressed-tensors"
    raise ConfigError(
        f"{block.place('quant_method')}: expected one of {', '.join(METHODS)}, got {show(found)}; "
        f"{HINT}"
    )


def _awq(block: Block) -> Quantization:
    _check_bits(block, "w_bit" if block.has("w_bit") and not block.has("bits") else "bits")
    version = block.values.get("version", "gemm")
    layout = version.lower() if isinstance(version, str) else version
    if layout not in ("gemm", "gemv"):
        raise block.fail("version", "gemm or gemv; export the model again as gemm")
    if not block.flag("zero_point", True):
        raise block.fail("zero_point", "true, as files without zero points were not checked")
    size = "q_group_size" if block.has("q_group_size") else "group_size"
    return Quantization("awq", f"awq_{layout}", _group(block, size), skipped=_skipped(block))


def _gptq(block: Block) -> Quantization:
    _check_bits(block, "bits")
    kind = block.word("checkpoint_format", ("gptq", "gptq_v2"), "gptq")
    if block.flag("is_marlin_format", False):
        raise block.fail("is_marlin_format", "false; export the model again as gptq")
    if block.values.get("dynamic") not in (None, {}):
        raise block.fail("dynamic", "null, as other bits of some layers are not read")
    if block.flag("lm_head", False):
        raise block.fail("lm_head", "false, as a quantized head is not read")
    if block.has("pack_dtype"):
        block.word("pack_dtype", ("int32",))
    is_reordered = block.flag("desc_act", False)
    return Quantization("gptq", kind, _group(block, "group_size"), is_reordered=is_reordered)


def _compressed(block: Block) -> Quantization:
    refuse_unknown(block, IN_CONFIG)
    kind = block.word("format", ("pack-quantized", "int-quantized"))
    groups = block.block("config_groups")
    if len(groups.values) != 1:
        raise block.fail("config_groups", "one group of layers")
    group = groups.block(next(iter(groups.values)))
    refuse_unknown(group, IN_GROUP)
    check_targets(group)
    for name in ("input_activations", "output_activations"):
        if group.has(name):
            raise group.fail(name, "null, as quantized activations are not read")
    weights = group.block("weights")
    refuse_unknown(weights, IN_WEIGHTS)
    weights.word("type", ("int",))
    is_packed = kind == "pack-quantized"
    bits = 4 if is_packed else 8
    if weights.integer("num_bits", 1, 64) != bits:
        raise weights.fail("num_bits", f"{bits} in the format {kind}")
    strategy = weights.word("strategy", ("group", "channel") if is_packed else ("channel",))
    symmetric = weights.flag("symmetric", True)
    if not symmetric and not is_packed:
        raise weights.fail("symmetric", "true in the format int-quantized")
    size = _group(weights, "group_size") if strategy == "group" else -1
    return Quantization(
        "compressed-tensors",
        "pack" if is_packed else "int8",
        size,
        symmetric,
        ignored=NamePatterns.of(block, "ignore"),
        is_reordered=weights.values.get("actorder") in ("group", True),
    )


_READ: dict[str, Callable[[Block], Quantization]] = {
    "awq": _awq,
    "gptq": _gptq,
    "compressed-tensors": _compressed,
}


def _check_bits(block: Block, name: str) -> None:
    if block.integer(name, 1, 64) != 4:
        raise block.fail(name, f"4; {HINT}")


def _group(block: Block, name: str) -> int:
    size = block.integer(name, -1, 1 << 20)
    if size not in (-1, *GROUPS):
        raise block.fail(name, f"-1, {', '.join(str(each) for each in GROUPS)}")
    return size


def _skipped(block: Block) -> tuple[str, ...]:
    names = block.values.get("modules_to_not_convert")
    if names is None:
        return ()
    if not isinstance(names, list) or not all(isinstance(each, str) and each for each in names):
        raise block.fail("modules_to_not_convert", "a list of names, or null")
    if len(names) > MAX_SKIPPED:
        raise block.fail("modules_to_not_convert", f"at most {MAX_SKIPPED} names")
    return tuple(names)
