"""Times of transformers' LlamaForCausalLM in bfloat16 on the CPU."""

from __future__ import annotations

import inspect
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, DynamicCache

from bench.t3_peers.ours import prompt_of
from bench.t3_peers.shape import Shape, draw

__all__ = ["TorchLlama"]


class TorchLlama:
    """The model in a folder that `write_hugging_face` wrote.

    Args:
        folder: The model.
        shape: Of the model.
        threads: Of PyTorch, for the whole process.
        prompt: Rows before the first token.
        steps: Tokens of a request.
    """

    def __init__(self, folder: Path, shape: Shape, *, threads: int, prompt: int, steps: int):
        torch.set_num_threads(threads)
        self._shape, self._prompt, self._steps = shape, prompt, steps
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16)
        self._model = model.eval()
        named = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in named else "past_key_values"  # by version
        words = draw("text_embedding", (shape.text_vocab, shape.dim))
        self._text = torch.from_numpy(words.view(np.int16)).view(torch.bfloat16)

    def _rows(self, rows: int, seed: int) -> torch.Tensor:
        """The embedded prompt [1, rows, dim]."""
        prompt = prompt_of(self._shape, rows, seed)
        voice = torch.from_numpy(prompt["context_embeddings"]).to(torch.bfloat16)
        text = self._text[torch.from_numpy(prompt["text_ids"]).long()]
        start = self._model.get_input_embeddings()(torch.tensor([self._shape.bos]))
        return torch.cat([voice, text, start]).unsqueeze(0)

    @torch.inference_mode()
    def _run(self, rows: int, steps: int, seed: int) -> tuple[list[int], float, float]:
        """Greedy tokens other than EOS, seconds of the prompt, and seconds of the other steps."""
        embedded = self._rows(rows, seed)
        cached = {self._cache_name: DynamicCache(config=self._model.config), "use_cache": True}
        begin = time.perf_counter()
        out = self._model(inputs_embeds=embedded, logits_to_keep=1, **cached)
        first = time.perf_counter()
        tokens: list[int] = []
        while True:
            logits = out.logits[0, -1]
            logits[self._shape.eos] = -torch.inf
            tokens.append(int(logits.argmax()))
            if len(tokens) == steps:
                break
            ids = torch.tensor([[tokens[-1]]])
            out = self._model(input_ids=ids, **cached)
        return tokens, first - begin, time.perf_counter() - first

    def tokens(self, steps: int, seed: int) -> list[int]:
        """The greedy tokens of the prompt with this seed."""
        drawn: list[int] = self._run(self._prompt, steps, seed)[0]
        return drawn

    def step_ms(self) -> float:
        """Milliseconds of a step after the first."""
        return 1e3 * float(self._run(self._prompt, self._steps, 1)[2]) / (self._steps - 1)

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds of a prompt."""
        return 1e3 * float(self._run(rows, 1, 1)[1])
