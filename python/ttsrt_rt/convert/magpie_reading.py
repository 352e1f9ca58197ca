"""A Magpie configuration while it is being read, the shapes beside it, what the caller decides.

Which generation a configuration is of is told here too, by the fields it has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.errors import ConfigError, FormatError

GENERATIONS = ("2503", "nemo3")


@dataclass(frozen=True)
class MagpieOptions:
    """What the caller may decide over the configuration; None leaves it to the files.

    Attributes:
        generation: "2503" or "nemo3": whose defaults and quirks a request gets.
        encoder_causal: whether the text encoder looks back only.
        codebook_size: codec entries of one codebook, for legacy tables that do not tell.
        frame_rate: codec frames per second.
        cross_heads: heads of cross-attention, for layouts that do not tell (the fork's).
    """

    generation: str | None = None
    encoder_causal: bool | None = None
    codebook_size: int | None = None
    frame_rate: float | None = None
    cross_heads: int | None = None


@dataclass(frozen=True)
class Shapes:
    """Shapes of the source tensors by their original names."""

    shapes: Mapping[str, tuple[int, ...]]

    def __contains__(self, name: str) -> bool:
        return name in self.shapes

    def get(self, name: str, rank: int) -> tuple[int, ...]:
        """The shape of a tensor that must exist with `rank` axes, none of them empty.

        Raises:
            FormatError: missing, of another rank, or empty.
        """
        if name not in self.shapes:
            raise FormatError(f"{name}: expected a tensor with {rank} axes, got nothing")
        shape = self.shapes[name]
        if len(shape) != rank or 0 in shape:
            raise FormatError(f"{name}: expected {rank} axes, none empty, got {list(shape)}")
        return shape


@dataclass
class Reading:
    """A configuration being read, with what it is read by; `notices` are for the caller's eyes."""

    config: Block
    shapes: Shapes
    options: MagpieOptions
    speakers: Mapping[str, int] = field(default_factory=dict)
    notices: list[str] = field(default_factory=list)


def find_model_block(config: Mapping[str, object], where: str) -> Block:
    """The model block of a YAML: the top level, or under `cfg`, `cfg.value` or `model`.

    Raises:
        ConfigError: none of them looks like one.
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
    """A size that the configuration may also state; the tensors have `known`."""
    if block.has(name) and block.values[name] != known:
        raise block.fail(name, f"{known} as in the tensors")


def is_2503(reading: Reading) -> bool:
    """Whether this is the 2503 generation, whose rules a request follows by default.

    Told by what a configuration has, not by a name: the later code writes `inference_parameters`,
    frame stacking or a local transformer type, has `decoder_ce`, or is stamped with version 2.5 or
    later.
    """
    if reading.options.generation is not None:
        if reading.options.generation not in GENERATIONS:
            raise ConfigError(
                f"generation: expected one of {', '.join(GENERATIONS)}, "
                f"got {reading.options.generation!r}"
            )
        return reading.options.generation == "2503"
    config = reading.config
    later = ("inference_parameters", "frame_stacking_factor", "local_transformer_type")
    if config.values.get("model_type") == "decoder_ce" or any(config.has(name) for name in later):
        return False
    version = str(config.values.get("nemo_version", "0.0")).split(".")
    numbers = [int(part) if part.isdecimal() and len(part) < 6 else 0 for part in version[:2]]
    return [*numbers, 0, 0][:2] < [2, 5]
