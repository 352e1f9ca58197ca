"""Times of our executor: an evaluation of one guided utterance, and of several at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ttsrt_rt.errors import InternalError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.options import DType, Quantization
    from ttsrt_rt.result import Result

__all__ = ["KINDS", "Inputs", "Ours", "Spent", "build_engine"]

KINDS: dict[str, tuple[DType, Quantization]] = {
    "float32": ("float32", "none"),
    "bfloat16": ("bfloat16", "none"),
    "w8a16": ("bfloat16", "w8a16"),
}
_FEW, _MANY = 2, 5  # evaluations of the runs whose difference is timed
_STRENGTH = 2.0
_SWAY = -1.0
_BINS = 100
_MOST_ITERATIONS = 1 << 12


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


@dataclass(frozen=True)
class Spent:
    """What a run took.

    Attributes:
        ms: Milliseconds at the client.
        device_ms: Of its launches on the device.
    """

    ms: float
    device_ms: float


class Ours:
    """An executor of one engine.

    Args:
        engine: What `build_engine` wrote.
        inputs: Of the utterances.
        threads: Of the executor.
        device: That it runs on.
    """

    def __init__(self, engine: Path, inputs: Inputs, *, threads: int, device: str = "cpu"):
        from ttsrt_rt.executor import Executor

        self._inputs, self._engine = inputs, engine
        self._options: dict[str, Any] = {"device": device, "num_threads": threads}
        self._executor: Executor = Executor(
            engine,
            **self._options,
            prefill_slice_seconds=0.0,
            iter_stats_max_iterations=_MOST_ITERATIONS,
        )

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

        with Executor(self._engine, **self._options, trace=True) as executor:
            made = executor.generate(**self._fields(1))
        return next(each.values for each in made.trace if each.name == "flow.velocity")

    def evaluation_ms(self, count: int) -> float:
        """Milliseconds of an evaluation of `count` guided utterances at once.

        Raises:
            InternalError: A request failed.
        """
        return self.evaluation(count, _FEW, _MANY).ms

    def evaluation(self, count: int, few: int, many: int) -> Spent:
        """An evaluation of `count` guided utterances: the difference of runs of `few` and `many`.

        Raises:
            InternalError: A request failed.
        """
        short, long = (self._spent(count, self._fields(steps))[0] for steps in (few, many))
        return Spent(
            (long.ms - short.ms) / (many - few), (long.device_ms - short.device_ms) / (many - few)
        )

    def utterance(self, steps: int) -> tuple[Spent, float]:
        """One guided utterance on the original's grid of times, and its seconds of sound.

        Raises:
            InternalError: The request failed, or the engine makes no sound.
        """
        from ttsrt_rt.request import Flow

        flow = Flow(steps=steps, cfg_strength=_STRENGTH, sway_sampling_coef=_SWAY)
        spent, results = self._spent(1, {**self._fields(steps), "flow": flow})
        audio, rate = results[0].audio, results[0].sample_rate
        if audio is None or rate is None:
            raise InternalError(f"{self._engine}: the engine made no sound")
        return spent, audio.size / rate

    def _spent(self, count: int, fields: dict[str, Any]) -> tuple[Spent, list[Result]]:
        from ttsrt_rt.request import Request

        requests = [Request(**fields) for _ in range(count)]
        before = self._executor.stats().num_iterations
        begin = time.perf_counter()
        results: list[Result] = self._executor.generate(requests)
        spent = time.perf_counter() - begin
        for result in results:
            if result.error:
                raise InternalError(f"a request failed: {result.error}")
        iterations = self._executor.stats().iterations
        device_ms = sum(each.device_latency_ms for each in iterations if each.iter > before)
        return Spent(1e3 * spent, device_ms), results
