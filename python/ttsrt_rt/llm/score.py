"""Scores ids that are given: the negative logarithms of their probabilities.

The library has no method for it, so an executor that keeps every stage's values runs the ids as
forced ones, some at a time, and the logits of each step are among what it keeps.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ttsrt_rt import _core
from ttsrt_rt.errors import ConfigError
from ttsrt_rt.executor import Executor
from ttsrt_rt.options import ExecutorOptions

__all__ = ["Scorer"]

STEPS = 128  # at a time, which bounds the values that are kept
OF_THE_EXECUTOR = ("device", "num_threads", "pin_threads", "kv_cache_dtype")


class Scorer:
    """Scores ids with an executor of its own, which is opened when it is first needed and shares
    the weights of the engine. Thread safe.
    """

    def __init__(
        self, engine: _core.Engine, limits: Mapping[str, Any], options: ExecutorOptions
    ) -> None:
        """Remembers what it needs; nothing is opened.

        Args:
            engine: the opened engine.
            limits: of the engine.
            options: of the executor beside it.
        """
        self._engine = engine
        self._max_input_len = int(limits["max_input_len"])
        self._max_seq_len = int(limits["max_seq_len"])
        self._options: dict[str, Any] = {
            name: value for name, value in options.items() if name in OF_THE_EXECUTOR
        }
        self._executor: Executor | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Releases the device; may be called again."""
        with self._lock:
            if self._executor is not None:
                self._executor.close()

    def score(self, ids: list[int]) -> npt.NDArray[np.float32]:
        """Returns the scores of all ids but the first.

        Raises:
            ConfigError: there are fewer than two ids, or more than the engine takes.
        """
        if not 2 <= len(ids) <= self._max_seq_len + 1:
            raise ConfigError(
                f"prompt: expected 2 to {self._max_seq_len + 1} ids to score, got {len(ids)}"
            )
        with self._lock:
            if self._executor is None:
                self._executor = Executor(
                    self._engine, trace=True, max_batch_size=1, **self._options
                )
            executor = self._executor
        begins = list(range(0, min(len(ids) - 1, self._max_input_len), STEPS))
        ends = [*begins[1:], len(ids) - 1]
        parts = [_part(executor, ids, *each) for each in zip(begins, ends, strict=True)]
        return np.concatenate(parts).astype(np.float32)


def _part(executor: Executor, ids: list[int], begin: int, end: int) -> npt.NDArray[np.float64]:
    """Scores ids[begin + 1] to ids[end]."""
    wanted = np.asarray(ids[begin + 1 : end + 1], np.int32)
    result = executor.generate(text_ids=ids[: begin + 1], forced_codes=wanted[:, None], prior=None)
    rows = [each.values[0] for each in result.trace if each.name == "logits"]
    logits = np.stack(rows).astype(np.float64)
    largest = logits.max(axis=1)
    sums = largest + np.log(np.exp(logits - largest[:, None]).sum(axis=1))
    scores: npt.NDArray[np.float64] = sums - logits[np.arange(len(wanted)), wanted]
    return scores
