"""What texts and probabilities are compared of: our engines, and a model of transformers."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ttsrt_rt._core import Engine
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.quality.compare import Logits, nll_of
from ttsrt_rt.text.llm_tokenizer import LlmTokenizer

__all__ = ["EngineSource", "HfSource", "Source", "open_source"]

STEPS = 128  # positions of one traced request, which keeps the values of all of them
LARGE_BYTES = 2_000_000_000  # of weights of 4 bits: more than Phi-2's, less than Llama-2-7B's
_OF_BOTH = ("device", "num_threads", "kv_cache_dtype")


class Source(Protocol):
    """A model.

    Attributes:
        name, quantization: in words.
        max_len: ids of prompt and text together.
        max_input_len: ids of a prompt.
        vocab: ids of its table.
    """

    name: str
    quantization: str
    max_len: int
    max_input_len: int
    vocab: int

    @property
    def tokenizer(self) -> LlmTokenizer:
        """Its tokenizer."""

    def greedy(self, prompts: Sequence[list[int]], tokens: int) -> list[tuple[list[int], str]]:
        """The ids and the text that follow each prompt, up to an end or so many ids."""

    def logits(self, ids: Sequence[int]) -> Logits:
        """float32 [ids - 1, vocab]: row t scores ids[t + 1]."""

    def nll(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        """The negative logarithms of the probabilities of ids[1:]."""

    def close(self) -> None:
        """Releases it."""


class EngineSource:
    """One of our engines."""

    def __init__(self, folder: str | os.PathLike[str], **options: Any) -> None:
        """Opens it; options are those of `Generator`."""
        from ttsrt_rt.llm.generator import Generator

        self._generator = Generator(folder, **options)
        self._traced: Executor | None = None
        self._options = {name: value for name, value in options.items() if name in _OF_BOTH}
        info = self._generator.executor.engine.info
        cache = self._generator.executor.info.kv_cache_dtype
        self._options.setdefault("kv_cache_dtype", cache)
        self.name = Path(folder).name
        self.quantization: str = info.quantization if info.quantization != "none" else info.dtype
        if info.quantization == "w4a16" and _is_of_awq(self._generator.executor.engine):
            is_large = info.weight_bytes >= LARGE_BYTES
            self.quantization += ", large awq" if is_large else ", awq"
        if cache == "int8":
            self.quantization += ", int8 cache"
        self.max_len = int(info.max_seq_len)
        self.max_input_len = int(info.max_input_len)
        self.vocab = int(info.text_vocab)

    @property
    def tokenizer(self) -> LlmTokenizer:
        return self._generator.tokenizer

    def greedy(self, prompts: Sequence[list[int]], tokens: int) -> list[tuple[list[int], str]]:
        made = self._generator.generate_batch(prompts, max_tokens=tokens, temperature=0.0)
        for each in made:
            if each.error is not None:
                raise ConfigError(f"{self.name}: {each.error}")
        return [(list(each.ids), each.text) for each in made]

    def logits(self, ids: Sequence[int]) -> Logits:
        if self._traced is None:
            self._traced = Executor(
                self._generator.executor.engine, trace=True, max_batch_size=1, **self._options
            )
        begins = list(range(0, min(len(ids) - 1, self.max_input_len), STEPS))
        ends = [*begins[1:], len(ids) - 1]
        parts = []
        for begin, end in zip(begins, ends, strict=True):
            forced = np.asarray(ids[begin + 1 : end + 1], np.int32)[:, None]
            result = self._traced.generate(
                text_ids=list(ids[: begin + 1]), forced_codes=forced, prior=None
            )
            parts += [each.values[0] for each in result.trace if each.name == "logits"]
        made: Logits = np.stack(parts).astype(np.float32)
        return made

    def nll(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        return np.asarray(self._generator.score(list(ids)), np.float64)

    def close(self) -> None:
        self._generator.close()
        if self._traced is not None:
            self._traced.close()


def _is_of_awq(engine: Engine) -> bool:
    """Whether the codes of an engine are those of AWQ."""
    source = json.loads(engine.description).get("source", {})
    told = source.get("quantization") if isinstance(source, dict) else None
    return isinstance(told, dict) and told.get("method") == "awq"


class HfSource:
    """A folder of a model, by transformers in float32."""

    def __init__(self, folder: str | os.PathLike[str], *, num_threads: int = 0) -> None:
        """Loads it."""
        from ttsrt_rt.llm.hf_model import HfGenerator

        self._model = HfGenerator(folder, dtype="float32", num_threads=num_threads)
        self.name = f"transformers {Path(folder).name}"
        self.quantization = "float32"
        self.max_len = self.max_input_len = self._model.max_positions
        self.vocab = self._model.vocab

    @property
    def tokenizer(self) -> LlmTokenizer:
        return self._model.tokenizer

    def greedy(self, prompts: Sequence[list[int]], tokens: int) -> list[tuple[list[int], str]]:
        made = [self._model.generate(ids, max_tokens=tokens, temperature=0.0) for ids in prompts]
        return [(list(each.ids), each.text) for each in made]

    def logits(self, ids: Sequence[int]) -> Logits:
        return self._model.logits(ids)[: len(ids) - 1]

    def nll(self, ids: Sequence[int]) -> npt.NDArray[np.float64]:
        return nll_of(self.logits(ids), ids)

    def close(self) -> None:
        self._model.close()


def open_source(name: str, *, num_threads: int = 0, **options: Any) -> Source:
    """Opens what `--reference` names: "hf:DIR" or "engine:DIR".

    Raises:
        ConfigError: it is something else.
    """
    kind, _, folder = name.partition(":")
    if kind == "hf" and folder:
        return HfSource(folder, num_threads=num_threads)
    if kind == "engine" and folder:
        return EngineSource(folder, num_threads=num_threads, **options)
    raise ConfigError(f"reference: expected hf:DIR or engine:DIR, got {name}")
