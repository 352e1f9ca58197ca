"""Tokens per second of Hugging Face's `generate` for T3's shape."""

from __future__ import annotations

import gc
import time
from typing import Any

import torch

from bench.gpu_steps.cases import Scale
from bench.t3_peers.shape import Shape

__all__ = ["generate_rates"]

_TURNS = 3
_OF_FILES = {"architectures", "model_type", "dtype"}  # fields that only a file needs


def generate_rates(shape: Shape, scale: Scale, device: str, *, is_static: bool) -> list[float]:
    """Greedy tokens per second behind a prompt, one per turn.

    Args:
        shape: Of the model, which gets random bfloat16 weights.
        scale: Lengths.
        device: Where it runs.
        is_static: Whether the cache has a fixed size, with which `generate` compiles the model.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    told = shape.hugging_face()
    config = LlamaConfig(**{name: told[name] for name in told.keys() - _OF_FILES})
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(device):
            model = LlamaForCausalLM(config).eval()
    finally:
        torch.set_default_dtype(before)
    rows = scale.position - scale.steps // 2
    ids = torch.randint(0, shape.bos, (1, rows), device=device)
    options: dict[str, Any] = {
        "max_new_tokens": scale.steps,
        "min_new_tokens": scale.steps,
        "do_sample": False,
    }
    if is_static:
        options["cache_implementation"] = "static"
    found = []
    for turn in range(_TURNS + 1):
        begin = time.perf_counter()
        made = model.generate(ids, attention_mask=torch.ones_like(ids), pad_token_id=0, **options)
        count = int(made.shape[1]) - rows  # the read of the result waits for the device
        made.cpu()
        if turn > 0:
            found.append(count / (time.perf_counter() - begin))
    del model
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return found
