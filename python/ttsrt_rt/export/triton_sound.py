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
from ttsrt_rt.export.triton_model import add_voice, parameters_of, sound_tensors, voice_of
from ttsrt_rt.handle import Handle

__all__ = ["Sound"]


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
        utils = self.utils
        codes = utils.get_input_tensor_by_name(request, "codes").as_numpy()
        given = utils.get_input_tensor_by_name(request, "voice")
        try:
            if not (codes < self._executor.engine.info.codebook_vocab).any():
                return None
            voice = self._voice(None if given is None else given.as_numpy().reshape(-1)[0])
            return self._executor.submit(codes=codes.reshape(-1, 1), voice=voice)
        except Error as error:
            return error

    def _voice(self, given: object) -> int | str:
        """The voice of a request, or the first one.

        Raises:
            ConfigError: There is none.
        """
        if given is not None:
            return voice_of(given)
        names = self._executor.voices()
        if not names:
            raise ConfigError("voice: expected one, as this engine brings none, got none")
        return names[0]

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
