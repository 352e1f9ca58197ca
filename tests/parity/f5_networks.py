"""Random networks of flow matching for tests of engines: their flags, inputs and distances."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .f5_reference import Reference

Array = NDArray[Any]
BINS, FRAMES, PROMPT, WORDS = 100, 40, 14, 19
LIMITS: dict[str, Any] = {
    "max_seq_len": 128,
    "max_input_len": 64,
    "max_encoder_input_len": 64,
    "max_num_tokens": 512,
}
V0: dict[str, Any] = {"text_mask_padding": False, "pe_attn_head": 1}
V1: dict[str, Any] = {"text_mask_padding": True, "pe_attn_head": None}
NETWORKS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "v0": ("tiny", "v0", V0),
    "v1": ("tiny", "v1", V1),
    "upsampled": ("tiny", "v1", {**V1, "text_embedding_average_upsampling": True}),
    "normed": ("tiny_norm", "v1", V1),
}


def distance(got: Array, expected: Array) -> float:
    """The largest difference, of the largest value."""
    assert got.shape == expected.shape
    return float(np.abs(got - expected).max() / np.abs(expected).max())


def inputs(frames: int = FRAMES, words: int = WORDS, seed: int = 0) -> dict[str, Any]:
    random = np.random.default_rng([seed, frames])
    return {
        "text_ids": random.integers(0, 64, words).astype(np.int32),
        "context_embeddings": random.normal(-2, 2, (PROMPT, BINS)).astype(np.float32),
        "noise": random.normal(size=(frames, BINS)).astype(np.float32),
    }


def vocoder_of(folder: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    network = Reference(folder)
    prefix = "vocoder." if "vocoder" in network.model else ""
    weights = {
        name.removeprefix(prefix): value
        for name, value in network.weights.items()
        if name.startswith(prefix)
    }
    return weights, network.model.get("vocoder", network.model)
