"""Times of our executor: an evaluation of one guided utterance, and of several at once."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.errors import InternalError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.options import DType, Quantization
    from ttsrt_rt.result import Result

__all__ = ["KINDS", "Inputs", "Ours", "build_engine"]

KINDS: dict[str, tuple[DType, Quantization]] = {
    "float32": ("float32", "none"),
    "bfloat16": ("bfloat16", "none"),
    "w8a16": ("bfloat16", "w8a16"),
}
_FEW, _MANY = 2, 5  # evaluations of the runs whose difference is timed
_STRENGTH = 2.0
_BINS = 100


class Inputs:
    """What all programs get: noise, a prompt and a text of so many frames.

    Args:
        frames: Of the utterance, a third of which is the prompt.
        vocab: Ids of the text are below it.
    """

    def __init__(self, frames: int, vocab: int):
        random = np.random.default_rng(frames)
        self.frames = frames
        self.noise = random.standard_normal((frames, _BINS), np.float32)
        self.prompt = random.normal(-2.0, 2.0, (frames // 3, _BINS)).astype(np.float32)
        self.ids = random.integers(0, vocab, frames // 6).astype(np.int32)


def build_engine(checkpoint: Path, engine: Path, kind: str, frames: int, crowd: int) -> None:
    """Builds the engine of one precision for `crowd` utterances of so many frames at once."""
    from ttsrt_rt.build import build

    dtype, quantization = KINDS[kind]
    build(
        checkpoint,
        engine,
        dtype=dtype,
        quantization=quantization,
        max_batch_size=crowd,
        max_seq_len=frames,
        max_num_tokens=2 * crowd * frames,
    )


class Ours:
    """An executor of one engine.

    Args:
        engine: What `build_engine` wrote.
        inputs: Of the utterances.
        threads: Of the executor.
    """

    def __init__(self, engine: Path, inputs: Inputs, *, threads: int):
        from ttsrt_rt.executor import Executor

        self._inputs, self._engine, self._threads = inputs, engine, threads
        self._executor: Executor = Executor(engine, device="cpu", num_threads=threads)

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.close()

    def _fields(self, steps: int) -> dict[str, Any]:
        from ttsrt_rt.request import Flow

        flow = Flow(steps=steps, cfg_strength=_STRENGTH, sway_sampling_coef=0.0, use_epss=False)
        return {
            "text_ids": self._inputs.ids,
            "context_embeddings": self._inputs.prompt,
            "noise": self._inputs.noise,
            "flow": flow,
        }

    def velocity(self) -> NDArray[np.float32]:
        """The velocities of both branches at the noise, [2 * frames, bins]."""
        from ttsrt_rt.executor import Executor

        with Executor(
            self._engine, device="cpu", num_threads=self._threads, trace=True
        ) as executor:
            made = executor.generate(**self._fields(1))
        return next(each.values for each in made.trace if each.name == "flow.velocity")

    def evaluation_ms(self, count: int) -> float:
        """Milliseconds of an evaluation of `count` guided utterances at once.

        Raises:
            InternalError: A request failed.
        """
        few, many = (self._seconds(count, steps) for steps in (_FEW, _MANY))
        return 1e3 * (many - few) / (_MANY - _FEW)

    def _seconds(self, count: int, steps: int) -> float:
        from ttsrt_rt.request import Request

        requests = [Request(**self._fields(steps)) for _ in range(count)]
        begin = time.perf_counter()
        results: list[Result] = self._executor.generate(requests)
        spent = time.perf_counter() - begin
        for result in results:
            if result.error:
                raise InternalError(f"a request failed: {result.error}")
        return spent
