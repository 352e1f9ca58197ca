"""Times of our executor, and of transformers: one request, a crowd, and the prompt."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.llm_peers.shape import LlmShape
from bench.walls.crowds import split_iterations
from ttsrt_rt.errors import InternalError
from ttsrt_rt.executor import Executor
from ttsrt_rt.llm.hf_model import HfGenerator
from ttsrt_rt.options import CacheDType
from ttsrt_rt.request import Request

__all__ = ["OurTimes", "TorchTimes", "greedy_ids", "prompt_of"]

_FIRST_ID = 3  # beyond the special ones
_MOST_ITERATIONS = 1 << 12
_TRIES = 10  # on a busy machine requests may arrive too slowly to meet
_PROMPT_STEPS = 5


def prompt_of(shape: LlmShape, rows: int, seed: int) -> list[int]:
    """Random ids of a prompt."""
    random = np.random.default_rng(seed)
    ids: list[int] = random.integers(_FIRST_ID, shape.vocab, rows).tolist()
    return ids


class OurTimes:
    """An executor of one engine.

    Args:
        engine: What `models.files_of` wrote.
        shape: Of the model.
        threads: Of the executor.
        prompt: Ids before the first token.
        steps: Tokens of a request.
        kv_cache_dtype, speculation: Of the executor.
    """

    def __init__(
        self,
        engine: Path,
        shape: LlmShape,
        *,
        threads: int,
        prompt: int,
        steps: int,
        kv_cache_dtype: CacheDType | None = None,
        speculation: Mapping[str, str] | None = None,
    ):
        self._shape, self._prompt, self._steps = shape, prompt, steps
        self._seeds = itertools.count()
        self._executor = Executor(
            engine,
            device="cpu",
            num_threads=threads,
            prefill_slice_seconds=0.0,  # so that a crowd decodes together sooner
            iter_stats_max_iterations=_MOST_ITERATIONS,
            kv_cache_dtype=kv_cache_dtype,
            speculation=speculation,
        )

    def close(self) -> None:
        """Releases the executor."""
        self._executor.close()

    def _request(self, rows: int, steps: int) -> Request:
        return Request(
            text_ids=prompt_of(self._shape, rows, next(self._seeds)),
            max_frames=steps,
            min_frames=steps,
            temperature=0.0,
            prior=None,
        )

    def step_ms(self, prompt: int | None = None) -> float:
        """Milliseconds of a step of one request after the first, with so many ids before it."""
        request = self._request(prompt or self._prompt, self._steps)
        metrics = self._executor.generate(request).metrics
        spent = metrics.total_seconds - metrics.first_frame_seconds
        return 1e3 * spent / (metrics.steps - 1)

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step in which so many requests decode and nothing else runs.

        Raises:
            InternalError: There was no such step, or a request failed.
        """
        for _ in range(_TRIES):
            before = self._executor.stats().num_iterations
            requests = [self._request(self._prompt, self._steps) for _ in range(count)]
            for done in self._executor.generate(requests):
                if done.error:
                    raise InternalError(f"a request of the crowd failed: {done.error}")
            own = [found for found in self._executor.stats().iterations if found.iter > before]
            rate, _ = split_iterations(own, count)
            if rate > 0.0:
                return 1e3 * count / rate
        raise InternalError(f"the {count} requests never decoded together: expected more steps")

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds to the first token of a prompt, without the step that draws it."""
        metrics = self._executor.generate(self._request(rows, _PROMPT_STEPS)).metrics
        first = metrics.first_frame_seconds - metrics.queue_seconds
        step = (metrics.total_seconds - metrics.first_frame_seconds) / (metrics.steps - 1)
        return 1e3 * max(first - step, first / rows)  # of a tiny model a step may be the slower one


class TorchTimes:
    """The same model by transformers in bfloat16.

    Args:
        folder: The model.
        shape, threads, prompt, steps: As of `OurTimes`.
    """

    def __init__(self, folder: Path, shape: LlmShape, *, threads: int, prompt: int, steps: int):
        self._shape, self._prompt, self._steps = shape, prompt, steps
        self._model = HfGenerator(folder, dtype="bfloat16", num_threads=threads)

    def close(self) -> None:
        """Forgets the model."""
        self._model.close()

    def ids(self, steps: int) -> list[int]:
        """The greedy ids of the prompt with the seed 0."""
        return self._model.times([prompt_of(self._shape, self._prompt, 0)], steps).ids[0]

    def step_ms(self) -> float:
        """Milliseconds of a step of one request after the first."""
        return self._steps_ms(1)

    def crowd_ms(self, count: int) -> float:
        """Milliseconds of a step of so many prompts, as one batch."""
        return self._steps_ms(count)

    def _steps_ms(self, count: int) -> float:
        prompts = [prompt_of(self._shape, self._prompt, seed) for seed in range(count)]
        times = self._model.times(prompts, self._steps).steps
        return 1e3 * (times[-1] - times[0]) / (self._steps - 1)

    def prompt_ms(self, rows: int) -> float:
        """Milliseconds to the first token of a prompt, of which all rows run at once."""
        made = self._model.times([prompt_of(self._shape, rows, 0)], 1)
        return 1e3 * (made.steps[0] - made.submitted)


def greedy_ids(engine: Path, shape: LlmShape, threads: int, prompt: int, steps: int) -> list[int]:
    """The greedy ids of one prompt, which must not depend on the number of threads.

    Raises:
        InternalError: They do.
    """
    found = []
    for count in sorted({1, threads}):
        with Executor(engine, device="cpu", num_threads=count, max_batch_size=1) as executor:
            done = executor.generate(
                text_ids=prompt_of(shape, prompt, 0),
                max_frames=steps,
                min_frames=steps,
                temperature=0.0,
                prior=None,
            )
            found.append(done.codes[:, 0].tolist())
    if any(ids != found[0] for ids in found):
        raise InternalError(f"{engine.name}: ids differ between 1 and {threads} threads")
    return [int(each) for each in found[0]]
