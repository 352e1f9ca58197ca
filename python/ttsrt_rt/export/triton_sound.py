"""The Triton model `s3gen` of the export `native`: from speech tokens to a waveform, by an engine
of ours. It needs no PyTorch and no package of the original.

Requests that Triton gives together run together. The voices are those of the engine and the voice
files of the repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from ttsrt_rt.errors import ConfigError, Error
from ttsrt_rt.executor import Executor
from ttsrt_rt.export.triton_fields import INPUTS, Tensor
from ttsrt_rt.export.triton_model import add_voice, fields_of, parameters_of, sound_tensors
from ttsrt_rt.handle import Handle

__all__ = ["NATIVE_INPUTS", "TAKEN", "Sound"]

TAKEN = ("voice", "seed", "flow")  # the inputs of `ttsrt_speech` that go on to this model
NATIVE_INPUTS = (
    Tensor("codes", "INT32", (-1, -1)),
    *(each for each in INPUTS if each.name in TAKEN),
)


class Sound:
    """What Triton calls; `utils` is the module `triton_python_backend_utils`."""

    utils: ClassVar[Any] = None

    def initialize(self, args: dict[str, str]) -> None:
        """Opens the engine and adds the voices of the repository.

        Raises:
            ConfigError, FormatError, DeviceError: As `Executor`; Triton reports the message.
        """
        self._executor = Executor(parameters_of(args)["codec_dir"], device="cpu")
        folder = Path(args["model_repository"]) / args["model_version"] / "voices"
        for path in sorted(folder.glob("*.safetensors")):
            add_voice(self._executor, path)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Makes the sound of each request's codes."""
        handles = [self._submit(request) for request in requests]
        return [self._response(handle) for handle in handles]

    def finalize(self) -> None:
        """Cancels what runs, and ends the threads."""
        self._executor.close()

    def _submit(self, request: Any) -> Handle | Error | None:
        """The request in flight; None where no code is sound."""
        try:
            fields = fields_of(self.utils, request, NATIVE_INPUTS)
            codes = fields.pop("codes")
            if not (codes < self._executor.engine.info.codebook_vocab).any():
                return None
            fields.setdefault("voice", self._first_voice())
            return self._executor.submit(codes=codes.reshape(-1, 1), **fields)
        except Error as error:
            return error

    def _first_voice(self) -> str | None:
        """The voice of requests that name none; None where there is none."""
        return next(iter(self._executor.voices()), None)

    def _response(self, made: Handle | Error | None) -> Any:
        utils = self.utils
        if isinstance(made, Handle):
            try:
                result = made.result()
            except Error as error:
                made = error
            else:
                rate = result.sample_rate or 0
                tensors = sound_tensors(utils.Tensor, result.audio, rate)
                return utils.InferenceResponse(output_tensors=tensors)
        if made is None:
            rate = self._executor.engine.info.sample_rate or 0
            return utils.InferenceResponse(output_tensors=sound_tensors(utils.Tensor, None, rate))
        codes = utils.TritonError
        code = codes.INVALID_ARG if isinstance(made, ConfigError) else codes.INTERNAL
        problem = codes(str(made), code)
        return utils.InferenceResponse(output_tensors=[], error=problem)
