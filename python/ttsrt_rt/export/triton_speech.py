"""The Triton model `ttsrt_speech`: text ids in, one waveform out.

It asks the model `ttsrt` for codes and then the vocoder for the waveform, inside the server: an
ensemble can't hold a decoupled model. Without a vocoder, `ttsrt` makes the sound, too. Clients that
want codes or sound as they are made ask `ttsrt`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ttsrt_rt.errors import InternalError
from ttsrt_rt.export.triton_fields import CODE_OUTPUTS, INPUTS, SOUND_OUTPUTS, Tensor
from ttsrt_rt.export.triton_model import parameters_of
from ttsrt_rt.export.triton_s3gen import S3GEN_OUTPUTS

__all__ = ["SPEECH_OUTPUTS", "Speech"]

SPEECH_OUTPUTS = (*S3GEN_OUTPUTS, Tensor("codes", "INT32", (-1, -1)))


class Speech:
    """What Triton calls; `utils` is the module `triton_python_backend_utils`."""

    utils: ClassVar[Any] = None

    def initialize(self, args: dict[str, str]) -> None:
        """Reads the names of the two models, and which inputs the vocoder takes."""
        given = parameters_of(args)
        self._model, self._vocoder = given["model"], given.get("vocoder")
        self._taken = given.get("vocoder_takes", "voice").split(",")

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Speaks each request, one after another."""
        return [self._speak(request) for request in requests]

    def _speak(self, request: Any) -> Any:
        utils = self.utils
        try:
            parts = self._parts(request)
            codes = _joined(parts["codes"], np.zeros((0, 1), np.int32))
            tensors = [utils.Tensor("codes", codes)]
            if self._vocoder is None:  # the model makes the sound itself
                sound = _joined(parts["waveform"], np.zeros(0, np.float32))
                made = [utils.Tensor("waveform", sound)]
                made.append(utils.Tensor("sample_rate", parts["sample_rate"][-1]))
                return utils.InferenceResponse(output_tensors=[*made, *tensors])
            wanted = [each.name for each in S3GEN_OUTPUTS]
            inner = utils.InferenceRequest(
                model_name=self._vocoder,
                requested_output_names=wanted,
                inputs=[*tensors, *self._given(request, self._taken)],
            )
            spoken = inner.exec()
            _check(spoken)
            outputs = [utils.get_output_tensor_by_name(spoken, name) for name in wanted]
        except InternalError as error:
            problem = utils.TritonError(str(error), utils.TritonError.INTERNAL)
            return utils.InferenceResponse(output_tensors=[], error=problem)
        return utils.InferenceResponse(output_tensors=[*outputs, *tensors])

    def _parts(self, request: Any) -> dict[str, list[Any]]:
        """The arrays of all responses of the model, by their names."""
        utils = self.utils
        sound = SOUND_OUTPUTS if self._vocoder is None else ()
        names = [each.name for each in (*CODE_OUTPUTS, *sound)]
        fields = [each.name for each in INPUTS]
        if self._vocoder is not None:
            fields.remove("flow")  # it makes the sound
        inner = utils.InferenceRequest(
            model_name=self._model,
            requested_output_names=names,
            inputs=self._given(request, fields),
        )
        parts: dict[str, list[Any]] = {name: [] for name in names}
        for response in inner.exec(decoupled=True):
            _check(response)
            for name in names:
                part = utils.get_output_tensor_by_name(response, name)
                if part is not None and part.as_numpy().size:
                    parts[name].append(part.as_numpy())
        return parts

    def _given(self, request: Any, names: Sequence[str]) -> list[Any]:
        """Those of the inputs that a request has."""
        found = [self.utils.get_input_tensor_by_name(request, name) for name in names]
        return [each for each in found if each is not None]


def _joined(parts: list[Any], empty: Any) -> Any:
    return np.concatenate(parts) if parts else empty


def _check(response: Any) -> None:
    """Passes on what another model refuses: Triton tells the message, and INTERNAL as its code."""
    if response.has_error():
        raise InternalError(response.error().message())
