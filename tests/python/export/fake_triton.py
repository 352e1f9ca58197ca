"""A stand-in for Triton's module of the Python backend: as much as our models use."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ttsrt_rt.export.triton_fields import INPUTS

TRITONSERVER_RESPONSE_COMPLETE_FINAL = 1


class Tensor:
    def __init__(self, name: str, values: Any) -> None:
        self._name, self._values = name, values

    def name(self) -> str:
        return self._name

    def as_numpy(self) -> Any:
        return self._values


class TritonError:
    INTERNAL, INVALID_ARG, UNAVAILABLE, CANCELLED = (
        "internal",
        "invalid",
        "unavailable",
        "cancelled",
    )

    def __init__(self, message: str, code: str = INTERNAL) -> None:
        self._message, self._code = message, code

    def message(self) -> str:
        return self._message

    def code(self) -> str:
        return self._code


class InferenceResponse:
    def __init__(self, output_tensors: list[Tensor], error: TritonError | None = None) -> None:
        self.tensors, self._error = {each.name(): each for each in output_tensors}, error

    def has_error(self) -> bool:
        return self._error is not None

    def error(self) -> TritonError | None:
        return self._error

    def values(self, name: str) -> Any:
        return self.tensors[name].as_numpy()


class Sender:
    """Keeps what is sent; a test may take it, or say that the client has gone."""

    def __init__(self) -> None:
        self.sent: queue.Queue[tuple[InferenceResponse, int]] = queue.Queue()
        self.is_gone = False

    def send(self, response: InferenceResponse, flags: int = 0) -> None:
        self.sent.put((response, flags))

    def is_cancelled(self) -> bool:
        return self.is_gone

    def take(self) -> tuple[InferenceResponse, int]:
        return self.sent.get(timeout=60)

    def all(self) -> list[InferenceResponse]:
        """Waits for the final response; nothing may come after it."""
        responses = []
        while True:
            response, flags = self.take()
            responses.append(response)
            if flags == TRITONSERVER_RESPONSE_COMPLETE_FINAL:
                assert self.sent.empty()
                return responses


class Request:
    def __init__(self, **fields: Any) -> None:
        self.tensors = {
            name: Tensor(name, as_tensor(name, value)) for name, value in fields.items()
        }
        self.sender = Sender()

    def get_response_sender(self) -> Sender:
        return self.sender


class InferenceRequest:
    """A request of one model to another; `answers` has a function for each model's name."""

    answers: dict[str, Callable[[dict[str, Tensor]], list[InferenceResponse]]] = {}  # noqa: RUF012

    def __init__(
        self, model_name: str, requested_output_names: list[str], inputs: Iterable[Tensor]
    ) -> None:
        self._model, self.inputs = model_name, {each.name(): each for each in inputs}

    def exec(self, decoupled: bool = False) -> Any:
        responses = self.answers[self._model](self.inputs)
        return iter(responses) if decoupled else responses[0]


def get_input_tensor_by_name(request: Request, name: str) -> Tensor | None:
    return request.tensors.get(name)


def get_output_tensor_by_name(response: InferenceResponse, name: str) -> Tensor | None:
    return response.tensors.get(name)


def as_tensor(name: str, value: Any) -> Any:
    """Returns a field of a request as the array that Triton would give."""
    kinds = {"INT32": np.int32, "UINT64": np.uint64, "FP32": np.float32}
    kind = next((each.kind for each in INPUTS if each.name == name), None)
    if isinstance(value, str):
        return np.array([value.encode()], np.object_)
    if isinstance(value, np.ndarray) or kind is None:
        return value
    return np.array(value if name == "text_ids" else [value], kinds[kind])


def arguments(folder: Path, **parameters: str) -> dict[str, str]:
    """Returns what Triton gives to `initialize` of the model in `folder`."""
    stated = {name: {"string_value": value} for name, value in parameters.items()}
    return {
        "model_config": json.dumps({"parameters": stated}),
        "model_repository": str(folder),
        "model_version": "1",
    }
