"""The Triton model `s3gen`: Chatterbox's own vocoder, from speech tokens to a waveform.

It calls the original package, which must be installed where the server runs. The folder of the
original files has the weights (`s3gen_meanflow.safetensors`, or `s3gen.safetensors`, or `s3gen.pt`)
and the references: `conds.pt` of the built-in voice, and `NAME.conds.pt` for other voices.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from ttsrt_rt.errors import ConfigError, NotFoundError
from ttsrt_rt.export.triton_fields import SOUND_OUTPUTS, Tensor
from ttsrt_rt.export.triton_model import parameters_of

__all__ = ["S3GEN_INPUTS", "S3GEN_OUTPUTS", "Vocoder", "require_package"]

PACKAGE = "chatterbox"
SAMPLE_RATE = 24000
_CODES = 6561  # ids from here on are no sound
_WEIGHTS = ("s3gen_meanflow.safetensors", "s3gen.safetensors", "s3gen.pt")

S3GEN_INPUTS = (
    Tensor("codes", "INT32", (-1, -1)),
    Tensor("voice", "STRING", is_optional=True),
)
S3GEN_OUTPUTS = SOUND_OUTPUTS


def require_package() -> None:
    """Checks that the original package is installed.

    Raises:
        ConfigError: It is not.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise ConfigError(
            "codec: the vocoder of Chatterbox needs the package chatterbox-tts, which is not "
            "installed; pip install chatterbox-tts, or export without a codec"
        )


def find_weights(folder: Path) -> Path:
    """Returns the vocoder's weights in the folder of the original files.

    Raises:
        NotFoundError: There are none.
    """
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise NotFoundError(f"codec_dir: {folder}: expected one of {', '.join(_WEIGHTS)}, got none")


class Vocoder:
    """What Triton calls; `utils` is the module `triton_python_backend_utils`."""

    utils: ClassVar[Any] = None

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the vocoder and the references.

        Raises:
            ConfigError: The package is not installed, or a file is missing.
        """
        require_package()
        given = parameters_of(args)
        folder, device = Path(given["codec_dir"]), given.get("codec_device", "cpu")
        weights = find_weights(folder)
        self._torch = importlib.import_module("torch")
        module = importlib.import_module(f"{PACKAGE}.models.s3gen")
        is_meanflow = "meanflow" in weights.name
        self._steps = {"n_cfm_timesteps": 2} if is_meanflow else {}
        s3gen = module.S3Gen(**({"meanflow": True} if is_meanflow else {}))
        s3gen.load_state_dict(self._load(weights), strict=False)
        self._s3gen = s3gen.to(device).eval()
        self._device = device
        self._references = {
            path.name.removesuffix("conds.pt").removesuffix("."): self._reference(path)
            for path in sorted(folder.glob("*conds.pt"))
        }

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Vocodes each request's codes, one after another."""
        return [self._vocode(request) for request in requests]

    def _vocode(self, request: Any) -> Any:
        utils = self.utils
        try:
            codes = utils.get_input_tensor_by_name(request, "codes").as_numpy().reshape(-1)
            given = utils.get_input_tensor_by_name(request, "voice")
            name = "" if given is None else given.as_numpy().reshape(-1)[0].decode()
            waveform = self._waveform(codes[codes < _CODES], self._find_reference(name))
        except ConfigError as error:
            problem = utils.TritonError(str(error), utils.TritonError.INVALID_ARG)
            return utils.InferenceResponse(output_tensors=[], error=problem)
        rate = np.array([SAMPLE_RATE], np.int32)
        tensors = [utils.Tensor("waveform", waveform), utils.Tensor("sample_rate", rate)]
        return utils.InferenceResponse(output_tensors=tensors)

    def _find_reference(self, name: str) -> Any:
        reference = self._references.get(name, self._references.get(""))
        if reference is None:
            raise ConfigError(f"voice: expected one with a conds.pt in codec_dir, got {name!r}")
        return reference

    def _waveform(self, codes: Any, reference: Any) -> Any:
        if not len(codes):
            return np.zeros(0, np.float32)
        torch = self._torch
        tokens = torch.from_numpy(codes.astype(np.int64))[None].to(self._device)
        with torch.inference_mode():
            made, _ = self._s3gen.inference(speech_tokens=tokens, ref_dict=reference, **self._steps)
        return np.ascontiguousarray(made.squeeze(0).detach().cpu().numpy(), np.float32)

    def _load(self, path: Path) -> Any:
        if path.suffix == ".pt":
            return self._torch.load(path, map_location="cpu", weights_only=True)
        return importlib.import_module("safetensors.torch").load_file(path)

    def _reference(self, path: Path) -> Any:
        stored = self._torch.load(path, map_location=self._device, weights_only=True)
        return stored["gen"]
