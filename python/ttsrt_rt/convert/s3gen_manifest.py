"""The tensors of an S3Gen checkpoint, and its defaults, from config.json.

The library declares the flow and the vocoder, which engines have, where there is a flow. The list
here has all parts, whatever is there: names and shapes follow from the sizes in "model", by the
plans with which the converter makes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ttsrt_rt.convert.fields import Block
from ttsrt_rt.convert.manifest import DeclaredTensor
from ttsrt_rt.convert.s3gen_model import S3Gen, read_s3gen_json
from ttsrt_rt.convert.s3gen_tensors import plan_s3gen
from ttsrt_rt.errors import FormatError
from ttsrt_rt.quoting import show

__all__ = ["FAMILY", "S3GenDefaults", "declared_s3gen", "read_s3gen_config", "usual_defaults"]

FAMILY = "s3gen"
WEIGHT_DTYPES = ("float32", "bfloat16", "float16")
ROLES = {1: "vector", 2: "matrix"}
SILENCE = 4299
MAX_STEPS, MAX_GUIDANCE, MAX_SILENCE, MAX_CROPPED = 128, 100.0, 100, 5


@dataclass(frozen=True)
class S3GenDefaults:
    """The object "defaults" of config.json.

    Attributes:
        steps: evaluations of the flow.
        guidance: how much further than the conditioned direction the flow goes: 0 has none.
        silence_token, silence_tokens: what is appended to the tokens of a text, and how often.
        cropped_tokens: how many of the last tokens take part and are not heard. Version 0.1.7 of
            the original has none; later sources crop one of multilingual models.
    """

    steps: int
    guidance: float
    silence_token: int
    silence_tokens: int
    cropped_tokens: int = 0


def usual_defaults(model: S3Gen) -> S3GenDefaults | None:
    """Returns the defaults of the original's public interface; None without a flow."""
    if model.flow is None:
        return None
    silence = min(SILENCE, model.flow.vocab - 1)
    if model.flow.kind == "meanflow":
        return S3GenDefaults(2, 0.0, silence, 3)
    return S3GenDefaults(10, 0.7, silence, 0)


def read_s3gen_config(config: Mapping[str, Any]) -> tuple[S3Gen, S3GenDefaults | None]:
    """Reads config.json and checks every number.

    Raises:
        FormatError: it is of another family, or a field is missing, out of its limits, or
            contradicts another one.
    """
    if config.get("family") != FAMILY:
        raise FormatError(f"family: expected {FAMILY!r}, got {show(config.get('family'))}")
    model = read_s3gen_json(Block(config.get("model"), "model"))
    block = Block(config.get("defaults"), "defaults")
    if model.flow is None:
        if block.values:
            raise FormatError(f"defaults: expected none without a flow, got {show(block.values)}")
        return model, None
    last = model.flow.vocab - 1
    is_guided = model.flow.kind == "cfm"
    return model, S3GenDefaults(
        steps=block.integer("steps", 1, MAX_STEPS),
        guidance=block.number("guidance", 0.0, MAX_GUIDANCE if is_guided else 0.0),
        silence_token=block.integer("silence_token", 0, last),
        silence_tokens=block.integer("silence_tokens", 0, MAX_SILENCE),
        cropped_tokens=cropped_of(block),
    )


def cropped_of(block: Block) -> int:
    """The field "cropped_tokens" of defaults, which may be missing."""
    if "cropped_tokens" not in block.values:
        return 0
    return block.integer("cropped_tokens", 0, MAX_CROPPED)


def declared_s3gen(config: Mapping[str, Any]) -> dict[str, DeclaredTensor]:
    """Returns the tensors of a checkpoint with this config.json, by name.

    Raises:
        FormatError: as for `read_s3gen_config`.
    """
    model, _ = read_s3gen_config(config)
    return {
        name: DeclaredTensor(
            name,
            plan.shape,
            WEIGHT_DTYPES,
            "table" if name == "token_embedding" else ROLES.get(len(plan.shape), "convolution"),
        )
        for name, plan in plan_s3gen(model).items()
    }
