"""Times of our executor: one request, a guided one, a crowd, and the prompt."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.peers.contest import CROWD
from bench.t3_peers.shape import Shape
from bench.walls.crowds import split_iterations
from ttsrt_rt.errors import InternalError

if TYPE_CHECKING:
    from ttsrt_rt.executor import Executor
    from ttsrt_rt.options import Quantization
    from ttsrt_rt.result import Result

__all__ = ["KINDS", "Ours", "build_engine", "check_threads", "prompt_of"]

KINDS: dict[str, Quantization] = {
    "float32": "none",
    "bfloat16": "none",
    "w8a16": "w8a16",
    "w8a8": "w8a8",
    "w4a16": "w4a16",
    "w4a8": "w4a8",
}
_PREFIX = 34  # rows of a voice, as T3 has them
_MOST_ROWS = 512
_CACHED = 16 * _MOST_ROWS  # positions of all requests
_GUIDED = 1.5
_MOST_ITERATIONS = 1 << 12
_TRIES = 10  # on a busy machine requests may arrive too slowly to meet


def build_engine(checkpoint: Path, engine: Path, kind: str) -> None:
    """Builds the engine of one precision; tables and head are bfloat16 beside quantized layers."""
    from ttsrt_rt.build import build

    build(
        checkpoint,
        engine,
        dtype="float32" if kind == "float32" else "bfloat16",
        quantization=KINDS[kind],
        max_batch_size=CROWD,
        max_seq_len=2 * _MOST_ROWS,
        max_input_len=_PREFIX,
        max_encoder_input_len=_MOST_ROWS,
        max_num_tokens=_MOST_ROWS,
    )


def prompt_of(shape: Shape, rows: int, seed: int) -> dict[str, Any]:
    """The fields of a request whose prompt has so many rows: a voice, a text and one BOS.

    Every seed has another voice, because requests of one voice would share its keys and values.
    """
    random = np.random.default_rng(seed)
    voice = 0.02 * random.standard_normal((_PREFIX, shape.dim), np.float32)
    text = random.integers(0, shape.text_vocab, rows - _PREFIX - 1)
    return {"context_embeddings": voice, "text_ids": text.astype(np.int32), "prior": None}


class Ours:
    """An executor of one engine.

    Args:
        engine: What `build_engine` wrote.
        shape: Of the model.
        threads: Of the executor.
        prompt: Rows before the first token.
        steps: Tokens of a request.
    """

    def __init__(self, engine: Path, shape: Shape, *, threads: int, prompt: int, steps: int):
        from ttsrt_rt.executor import Executor

        self._shape, self._prompt, self._steps = shape, prompt, steps
        self._seeds = itertools.count()
        self._executor: Executor = Executor(
            engine,
            device="cpu",
            num_threads=threads,
            max_tokens_in_paged_kv_cache=_CACHED,
            prefill_slice_seconds=0.0,  # so that a crowd decodes together sooner
            iter_stats_max_iterations=_MOST_ITERATIONS,
        )

    def __enter__(self) -> Ours:
        return self

    def __exit__(self, *_: object) -> None:
        self._executor.close()

    def _fields(self, rows: int, steps: int, cfg_scale: float = 1.0) -> dict[str, Any]:
        return {
            **prompt_of(self._shape, rows, next(self._seeds)),
            "cfg_scale": cfg_scale,
            "max_frames": steps,
            "min_frames": steps,
        }

    def tokens(self, steps: int, seed: int) -> NDArray[np.int32]:
        """The greedy tokens of the prompt with this seed."""
        prompt = prompt_of(self._shape, self._prompt, seed)
        done: Result = self._executor.generate(
            **prompt,
            cfg_scale=1.0,
            temperature=0.0,
            repetition_penalty=1.0,
            max_frames=steps,
            min_frames=steps,
        )
        return done.codes[:, 0]

    def step_ms(self, *, is_guided: bool = False) -> float:
        """Milliseconds of a step of one request after the first."""
        scale = _GUIDED if is_guided else 1.0
        metrics = self._executor.generate(**self._fields(self._prompt, self._steps, scale)).metrics
        spent = metrics.total_seconds - metrics.first_frame_seconds
        return 1e3 * spent / (metrics.steps - 1)

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step in which so many requests decode and nothing else runs.

        Raises:
            InternalError: There was no such step, or a request failed.
        """
        from ttsrt_rt.request import Request

        for _ in range(_TRIES):
            before = self._executor.stats().num_iterations
            fields = [self._fields(self._prompt, self._steps) for _ in range(count)]
            for done in self._executor.generate([Request(**each) for each in fields]):
                if done.error:
                    raise InternalError(f"a request of the crowd failed: {done.error}")
            own = [found for found in self._executor.stats().iterations if found.iter > before]
            rate, _ = split_iterations(own, count)
            if rate > 0.0:
                return 1e3 * count / rate
        raise InternalError(f"the {count} requests never decoded together: expected more steps")

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds to the first token of a prompt, without the step that draws it."""
        metrics = self._executor.generate(**self._fields(rows, 5)).metrics
        first = metrics.first_frame_seconds - metrics.queue_seconds
        step = (metrics.total_seconds - metrics.first_frame_seconds) / (metrics.steps - 1)
        return 1e3 * max(first - step, first / rows)  # of a tiny model a step may be the slower one


def check_threads(engine: Path, shape: Shape, threads: int, prompt: int, steps: int) -> list[int]:
    """The greedy tokens of one prompt, which must not depend on the number of threads.

    Raises:
        InternalError: They do.
    """
    found = []
    for count in sorted({1, threads}):
        with Ours(engine, shape, threads=count, prompt=prompt, steps=steps) as ours:
            found.append(ours.tokens(steps, seed=0).tolist())
    if any(tokens != found[0] for tokens in found):
        raise InternalError(f"{engine.name}: tokens differ between 1 and {threads} threads")
    return [int(token) for token in found[0]]
