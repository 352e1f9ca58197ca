"""The Triton model `ttsrt`: one executor behind Triton's Python backend, decoupled.

The executor batches the requests in flight, so Triton gives each request at once and alone. One
thread with an event loop serves them all: it sends a response for each event and the final flag
with the last one, and asks now and then whether the client has gone. The repository's `model.py`
makes the class that Triton looks for out of `Model` and Triton's own module.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.decoding_options import Flow
from ttsrt_rt.errors import CapacityError, ClosedError, ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.export.triton_fields import INPUTS, Tensor
from ttsrt_rt.export.voices import read_voice_arguments
from ttsrt_rt.handle import Handle
from ttsrt_rt.options import FlowMode
from ttsrt_rt.quoting import show
from ttsrt_rt.result import Event

__all__ = ["Model", "add_voice", "fields_of", "parameters_of", "sound_tensors", "voice_of"]

_LOG = logging.getLogger(__name__)
_POLL_SECONDS = 0.05
_EXECUTOR_OPTIONS = {"device": str, "num_threads": int, "max_queue_size": int, "preempt": str}


def parameters_of(args: dict[str, str]) -> dict[str, str]:
    """Returns the parameters of `config.pbtxt` from what Triton gives to `initialize`."""
    stated = json.loads(args["model_config"]).get("parameters", {})
    return {name: value["string_value"] for name, value in stated.items()}


class Model:
    """What Triton calls; `utils` is the module `triton_python_backend_utils`."""

    utils: ClassVar[Any] = None

    def initialize(self, args: dict[str, str]) -> None:
        """Opens the engine and adds the voices of the repository.

        Raises:
            ConfigError, FormatError, DeviceError: As `Executor`; Triton reports the message.
        """
        given = parameters_of(args)
        options: dict[str, Any] = {
            name: kind(given[name]) for name, kind in _EXECUTOR_OPTIONS.items() if name in given
        }
        self._executor = Executor(given["engine"], **options)
        folder = Path(args["model_repository"]) / args["model_version"] / "voices"
        for path in sorted(folder.glob("*.safetensors")):
            add_voice(self._executor, path)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="ttsrt-triton")
        self._thread.start()

    def execute(self, requests: Sequence[Any]) -> None:
        """Submits the requests and returns; their responses are sent as frames are made."""
        for request in requests:
            sender = request.get_response_sender()
            try:
                handle = self._executor.submit(**fields_of(self.utils, request))
            except Exception as error:  # a request without a response would never end
                self._fail(sender, error)
                continue
            served = asyncio.run_coroutine_threadsafe(self._serve(handle, sender), self._loop)
            served.add_done_callback(_log_failure)

    def finalize(self) -> None:
        """Cancels what runs, and ends the threads."""
        self._executor.close()
        asyncio.run_coroutine_threadsafe(_others_done(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, handle: Handle, sender: Any) -> None:
        """Sends the events of one request, and cancels it when the client has gone."""
        events = aiter(handle)
        try:
            while True:
                event = await self._next(events, handle, sender)
                if event is None or sender.is_cancelled():
                    break
                self._send(sender, event)
                if event.is_last:
                    return
        except Exception as error:
            self._fail(sender, error)
            return
        handle.cancel()
        code = self.utils.TritonError.CANCELLED
        self._refuse(sender, "the request was cancelled", code)

    async def _next(self, events: Any, handle: Handle, sender: Any) -> Event | None:
        """The next event; None when the client has gone."""
        task: asyncio.Future[Event | None] = asyncio.ensure_future(anext(events, None))
        while True:
            await asyncio.wait({task}, timeout=_POLL_SECONDS)
            if task.done():
                return task.result()
            if sender.is_cancelled():
                handle.cancel()
                await task
                return None

    def _send(self, sender: Any, event: Event) -> None:
        tensor = self.utils.Tensor
        reason = event.finish_reason if event.is_last else ""
        outputs = [
            tensor("codes", np.ascontiguousarray(event.codes, dtype=np.int32)),
            tensor("first_frame", np.array([event.first_frame], np.int32)),
            tensor("finish_reason", np.array([(reason or "").encode()], np.object_)),
        ]
        rate = self._executor.engine.info.sample_rate
        if self._executor.engine.info.has_vocoder and rate is not None:
            outputs += sound_tensors(tensor, event.audio, rate)
        response = self.utils.InferenceResponse(output_tensors=outputs)
        final = self.utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if event.is_last else 0
        sender.send(response, flags=final)

    def _fail(self, sender: Any, error: Exception) -> None:
        codes = self.utils.TritonError
        kinds = (
            (ConfigError, codes.INVALID_ARG),
            ((CapacityError, ClosedError), codes.UNAVAILABLE),
        )
        code = next((code for kind, code in kinds if isinstance(error, kind)), codes.INTERNAL)
        self._refuse(sender, str(error), code)

    def _refuse(self, sender: Any, message: str, code: Any) -> None:
        error = self.utils.TritonError(message, code)
        response = self.utils.InferenceResponse(output_tensors=[], error=error)
        sender.send(response, flags=self.utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL)


def sound_tensors(tensor: Any, samples: NDArray[np.float32] | None, rate: int) -> list[Any]:
    """The tensors of `SOUND_OUTPUTS`, as the class `tensor` of Triton makes them."""
    sound = np.zeros(0, np.float32) if samples is None else np.ascontiguousarray(samples)
    return [tensor("waveform", sound), tensor("sample_rate", np.array([rate], np.int32))]


def fields_of(utils: Any, request: Any, inputs: Sequence[Tensor] = INPUTS) -> dict[str, Any]:
    """Returns the fields of `Request` that a Triton request brings.

    Args:
        utils: The module `triton_python_backend_utils`.
        request: Of Triton.
        inputs: The inputs of the model.

    Raises:
        ConfigError: A tensor does not have one value, or one that is no text where it must be.
    """
    fields: dict[str, Any] = {}
    for tensor in inputs:
        given = utils.get_input_tensor_by_name(request, tensor.name)
        if given is None:
            continue
        values = given.as_numpy()
        if tensor.dims != (1,):
            fields[tensor.name] = values
            continue
        if values.size != 1:
            raise ConfigError(
                f"{tensor.name}: expected one value, got {list(map(int, values.shape))}"
            )
        value = values.reshape(-1)[0]
        fields[tensor.name] = _field_of(tensor, value)
    return fields


def _field_of(tensor: Tensor, value: Any) -> object:
    """The field of a request that one value of a tensor is."""
    if tensor.kind != "STRING":
        return value.item()
    if tensor.name == "voice":
        return voice_of(value)
    text = _text_of(tensor.name, value)
    return Flow(mode=cast("FlowMode", text)) if tensor.name == "flow" else text


def add_voice(executor: Executor, path: Path) -> None:
    """Adds a voice named like its file: a voice file, or one array of rows or of codes.

    Raises:
        ConfigError, FormatError: It is none of these, or the model does not take it.
    """
    executor.add_voice(path.stem, **read_voice_arguments(path, executor.engine))


def voice_of(value: object) -> int | str:
    """A voice's name, or the index of a stored voice in decimal digits."""
    name = _text_of("voice", value, "a name or a number")
    return int(name) if name.isascii() and name.isdigit() and len(name) < 10 else name


def _text_of(name: str, value: object, kind: str = "a text") -> str:
    if not isinstance(value, (bytes, str)):
        raise ConfigError(f"{name}: expected {kind}, got {show(value)}")
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name}: expected UTF-8, got {show(value)}") from error


async def _others_done() -> None:
    """Waits for the tasks that serve requests."""
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*tasks, return_exceptions=True)


def _log_failure(served: Future[None]) -> None:
    if served.cancelled():
        return
    error = served.exception()
    if error is not None:
        _LOG.error("a response could not be sent: %s", error)
