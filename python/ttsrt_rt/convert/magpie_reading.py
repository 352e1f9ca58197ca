"""The inputs of reading a Magpie configuration: the file, the tensor shapes, the caller's options.

This module also detects the generation of a configuration, from the fields that it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import ConfigError, FormatError
from ttsrt_rt.quoting import show

GENERATIONS = ("2503", "nemo3")


@dataclass(frozen=True)
class MagpieOptions:
    """Options with which the caller overrides the configuration; None keeps what the files say.

    Attributes:
        generation: "2503" or "nemo3": the generation whose defaults and rules apply to requests.
        encoder_causal: whether the text encoder attends only to earlier positions.
        codebook_size: codec entries of one codebook, for legacy tables that do not determine it.
        frame_rate: codec frames per second.
        cross_heads: heads of cross-attention, for layouts that do not state it (the fork's).
    """

    generation: str | None = None
    encoder_causal: bool | None = None
    codebook_size: int | None = None
    frame_rate: float | None = None
    cross_heads: int | None = None


@dataclass(frozen=True)
class Shapes:
    """The shapes of the source tensors by their original names."""

    shapes: Mapping[str, tuple[int, ...]]

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def get(self, name: str, rank: int) -> tuple[int, ...]:
        """Returns the shape of a tensor that must exist with `rank` axes, none of them empty.

        Raises:
            FormatError: the tensor is missing, of another rank, or empty.
        """
        if name not in self.shapes:
            raise FormatError(f"{name}: expected a tensor with {rank} axes, got nothing")
        shape = self.shapes[name]
        if len(shape) != rank or 0 in shape:
            raise FormatError(f"{name}: expected {rank} axes, none empty, got {list(shape)}")
        return shape


@dataclass
class Reading:
    """The inputs of reading one configuration; readers add warnings for the caller to `notices`,
    and to `remarks` what the checkpoint's `source` block shall tell.
    """

    config: Block
    shapes: Shapes
    options: MagpieOptions
    speakers: Mapping[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)
    remarks: dict[str, str | int] = field(default_factory=dict)


def find_model_block(config: Mapping[str, object], where: str) -> Block:
    """Finds the model block of a YAML file: the top level, or `cfg`, `cfg.value` or `model`.

    Raises:
        ConfigError: none of these is a model block.
    """
    root = Block(config, where, ConfigError)
    candidates = [root]
    for name in ("cfg", "model"):
        if isinstance(root.values.get(name), Mapping):
            inner = root.block(name)
            candidates.append(inner)
            if isinstance(inner.values.get("value"), Mapping):
                candidates.append(inner.block("value"))
    for block in candidates:
        if block.has("model_type") or (block.has("encoder") and block.has("decoder")):
            return block
    raise ConfigError(
        f"{where}expected a model block (model_type, decoder, ...) at the top, "
        "under cfg or cfg.value"
    )


def agree(block: Block, name: str, known: int) -> None:
    """Checks that a size in the configuration, if given, equals `known`, that of the tensors."""
    if block.has(name) and block.values[name] != known:
        raise block.fail(name, f"{known} as in the tensors")


def is_2503(reading: Reading) -> bool:
    """Whether the checkpoint is of the 2503 generation, whose rules are then the default.

    The fields of the configuration decide, not a name: configurations of the later code have
    `inference_parameters`, frame stacking, a local transformer type or `decoder_ce`, or state
    version 2.5 or later.
    """
    if reading.options.generation is not None:
        if reading.options.generation not in GENERATIONS:
            raise ConfigError(
                f"generation: expected one of {', '.join(GENERATIONS)}, "
                f"got {show(reading.options.generation)}"
            )
        return reading.options.generation == "2503"
    config = reading.config
    later = ("inference_parameters", "frame_stacking_factor", "local_transformer_type")
    if config.values.get("model_type") == "decoder_ce" or any(config.has(name) for name in later):
        return False
    version = str(config.values.get("nemo_version", "0.0")).split(".")
    numbers = [int(part) if part.isdecimal() and len(part) < 6 else 0 for part in version[:2]]
    return [*numbers, 0, 0][:2] < [2, 5]
