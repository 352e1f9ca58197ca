"""Times of the original's DiT in PyTorch on the CPU, with both branches in one batch."""

from __future__ import annotations

import importlib
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.f5_peers.ours import Inputs
from bench.f5_peers.stand_ins import install_stand_ins
from ttsrt_rt.convert import open_weights
from ttsrt_rt.synth.f5_layout import SynthF5

__all__ = ["TorchDit", "gemm_gflop_per_s"]

_RUNS = 3  # forwards of a sample
_GEMM = 2048  # rows, columns and depth of a product


def _original() -> Any:
    """The module of the original's network."""
    install_stand_ins()
    return importlib.import_module("f5_tts.model.backbones.dit")


@torch.inference_mode()
def gemm_gflop_per_s() -> float:
    """The fastest of several large products of bfloat16."""
    a, b = (torch.randn(_GEMM, _GEMM).to(torch.bfloat16) for _ in range(2))
    fastest = float("inf")
    for _ in range(8):
        begin = time.perf_counter()
        torch.mm(a, b)
        fastest = min(fastest, time.perf_counter() - begin)
    return 2e-9 * _GEMM**3 / fastest


class TorchDit:
    """F5-TTS v1 from a file in the original's layout.

    Args:
        source: The file.
        size: Of the network.
        inputs: Of the utterance.
        dtype: "float32" or "bfloat16".
        threads: Of PyTorch, for the whole process.
    """

    def __init__(self, source: Path, size: SynthF5, inputs: Inputs, *, dtype: str, threads: int):
        original = _original()
        torch.set_num_threads(threads)
        model: Any = original.DiT(
            dim=size.dim,
            depth=size.layers,
            heads=size.heads,
            ff_mult=size.ffn_dim / size.dim,
            mel_dim=size.mel_bins,
            text_num_embeds=size.vocab,
            text_dim=size.text_dim,
            conv_layers=size.text_layers,
        )
        prefix = "ema_model.transformer."
        with open_weights(source) as weights:
            state = {
                name.removeprefix(prefix): torch.from_numpy(weights[name].read().copy())
                for name in weights
                if name.startswith(prefix)
            }
        model.load_state_dict(state)
        kind = getattr(torch, dtype)
        self._model = model.to(kind).eval()
        cond = np.zeros_like(inputs.noise)
        cond[: len(inputs.prompt)] = inputs.prompt
        self._given = {
            "x": torch.from_numpy(inputs.noise)[None].to(kind),
            "cond": torch.from_numpy(cond)[None].to(kind),
            "text": torch.from_numpy(inputs.ids.astype(np.int64))[None],
            "time": torch.tensor(0.0, dtype=kind),
            "cfg_infer": True,
            "cache": True,
        }

    @torch.inference_mode()
    def velocity(self) -> NDArray[np.float32]:
        """The velocities of both branches at the noise, [2 * frames, bins]."""
        both = self._model(**self._given).float().numpy()
        return np.concatenate(list(both))

    @torch.inference_mode()
    def evaluation_ms(self) -> float:
        """Milliseconds of an evaluation; the text is embedded once, before it."""
        begin = time.perf_counter()
        for _ in range(_RUNS):
            self._model(**self._given)
        return 1e3 * (time.perf_counter() - begin) / _RUNS
