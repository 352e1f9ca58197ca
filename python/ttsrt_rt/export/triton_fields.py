"""The tensors of the Triton models, and the text of `config.pbtxt`.

The inputs are fields of `Request`, under the same names. All may be left out, but a text is needed:
as ids, or as a text where the engine has a front end. `flow` is the mode of `Flow`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

__all__ = [
    "CODE_OUTPUTS",
    "INPUTS",
    "MODEL_NAME",
    "S3GEN_NAME",
    "SOUND_OUTPUTS",
    "SPEECH_NAME",
    "Tensor",
    "config",
]

MODEL_NAME = "ttsrt"
S3GEN_NAME = "s3gen"
SPEECH_NAME = "ttsrt_speech"


@dataclass(frozen=True)
class Tensor:
    """A tensor of a model: its name, Triton's type without "TYPE_", and its dimensions."""

    name: str
    kind: str
    dims: tuple[int, ...] = (1,)
    is_optional: bool = False


def _optional(name: str, kind: str) -> Tensor:
    return Tensor(name, kind, is_optional=True)


INPUTS = (
    Tensor("text_ids", "INT32", (-1,), is_optional=True),
    _optional("text", "STRING"),
    _optional("language", "STRING"),
    _optional("voice", "STRING"),
    _optional("flow", "STRING"),
    _optional("seed", "UINT64"),
    _optional("cfg_scale", "FP32"),
    _optional("temperature", "FP32"),
    _optional("emotion", "FP32"),
    _optional("max_frames", "INT32"),
    _optional("min_frames", "INT32"),
    _optional("top_k", "INT32"),
    _optional("top_p", "FP32"),
    _optional("min_p", "FP32"),
    _optional("repetition_penalty", "FP32"),
    _optional("chunk_frames", "INT32"),
    _optional("priority", "INT32"),
    _optional("deadline", "FP32"),
)

CODE_OUTPUTS = (
    Tensor("codes", "INT32", (-1, -1)),  # [new frames, codebooks]
    Tensor("first_frame", "INT32"),
    Tensor("finish_reason", "STRING"),  # empty before the last response
)
# Of engines that make sound: the new samples, which may be none.
SOUND_OUTPUTS = (Tensor("waveform", "FP32", (-1,)), Tensor("sample_rate", "INT32"))


def config(
    name: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    parameters: Mapping[str, str],
    *,
    is_decoupled: bool,
) -> str:
    """Returns the text of a model's `config.pbtxt`, for the Python backend and one instance.

    Args:
        name: Of the model and of its folder.
        inputs: Its inputs.
        outputs: Its outputs.
        parameters: Strings for the model's `initialize`.
        is_decoupled: Whether a request has any number of responses.
    """
    parts = [f"name: {json.dumps(name)}", 'backend: "python"', "max_batch_size: 0"]
    if is_decoupled:
        parts.append("model_transaction_policy { decoupled: true }")
    parts += [f"input {_tensor(each)}" for each in inputs]
    parts += [f"output {_tensor(each)}" for each in outputs]
    parts.append("instance_group [ { count: 1, kind: KIND_CPU } ]")
    for key, value in parameters.items():
        shown = json.dumps(value, ensure_ascii=False)
        parts.append(f"parameters {{ key: {json.dumps(key)} value {{ string_value: {shown} }} }}")
    return "\n".join(parts) + "\n"


def _tensor(tensor: Tensor) -> str:
    dims = ", ".join(map(str, tensor.dims))
    optional = ", optional: true" if tensor.is_optional else ""
    return f'{{ name: "{tensor.name}", data_type: TYPE_{tensor.kind}, dims: [ {dims} ]{optional} }}'
