"""The original S3Gen in PyTorch: tokens and a voice to a sound, as `chatterbox-tts` makes it."""

from __future__ import annotations

import importlib
import importlib.util
import io
import sys
import types
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt.errors import ConfigError

__all__ = ["Original"]

_PACKAGE = "chatterbox"
_STEPS = {"cfm": 10, "meanflow": 2}

Floats = npt.NDArray[np.float32]


class Original:
    """One model, in float32."""

    def __init__(self, path: Path, kind: str, threads: int) -> None:
        """Reads the weights.

        Args:
            path: with the original keys.
            kind: "cfm" or "meanflow".
            threads: of PyTorch.

        Raises:
            ConfigError: the package is not installed.
        """
        package = _package()
        self._torch = importlib.import_module("torch")
        self._torch.set_num_threads(threads)
        made = package.S3Gen(**({"meanflow": True} if kind == "meanflow" else {}))
        weights = importlib.import_module("safetensors.torch").load_file(path)
        made.load_state_dict(weights, strict=False)
        self._model, self._kind = made.eval(), kind

    def speak(self, tokens: npt.NDArray[np.int32], voice: dict[str, Any]) -> Floats:
        """Returns the sound of tokens, float32 [samples].

        Args:
            tokens: int32 [tokens], with what is appended to them.
            voice: `embedding`, `prompt_token` and `prompt_feat`, as `add_voice` takes them.
        """
        torch = self._torch
        prompt = torch.from_numpy(voice["prompt_token"].astype(np.int64))[None]
        reference = {
            "prompt_token": prompt,
            "prompt_token_len": torch.tensor([prompt.shape[1]]),
            "prompt_feat": torch.from_numpy(voice["prompt_feat"])[None],
            "prompt_feat_len": None,
            "embedding": torch.from_numpy(voice["embedding"])[None],
        }
        given = torch.from_numpy(tokens.astype(np.int64))[None]
        with torch.inference_mode(), redirect_stdout(io.StringIO()):  # it tells what it does
            made, _ = self._model.inference(
                speech_tokens=given, ref_dict=reference, n_cfm_timesteps=_STEPS[self._kind]
            )
        sound: Floats = made.squeeze(0).numpy()
        return sound


def _package() -> Any:
    """The part of the package that makes sound, without the text model that its own `__init__`
    imports.
    """
    found = importlib.util.find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        raise ConfigError(
            "chatterbox-tts: expected the package, which is the original, got none; --no_torch "
            "measures without it"
        )
    if _PACKAGE not in sys.modules:
        stub = types.ModuleType(_PACKAGE)
        stub.__path__ = list(found.submodule_search_locations)
        sys.modules[_PACKAGE] = stub
    return importlib.import_module(f"{_PACKAGE}.models.s3gen")
