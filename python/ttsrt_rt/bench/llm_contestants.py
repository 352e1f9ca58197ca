"""What a benchmark of language models compares: our engines, and a model of transformers."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ttsrt_rt.bench.llm_times import RequestTimes
from ttsrt_rt.errors import ConfigError, Error
from ttsrt_rt.llm.prompts import PromptLine, prompt_of
from ttsrt_rt.llm.step_bytes import step_bytes_of

__all__ = ["Contestant", "HfContestant", "OurContestant", "Task", "open_baseline"]

_OF_ROUNDS = ("rounds", "drafted", "accepted")


@dataclass(frozen=True)
class Task:
    """A request to measure.

    Attributes:
        line: the prompt.
        tokens: to generate.
        delay: seconds after the first submit of the group.
        iteration, batch: as of `RequestTimes`.
    """

    line: PromptLine
    tokens: int
    iteration: int
    batch: int
    delay: float = 0.0


class Contestant(Protocol):
    """What can be measured.

    Attributes:
        name: for tables.
        quantization: in words.
        memory_bytes: what it takes, as far as it is known.
        step_bytes: of weights that a step reads: all but the table of words.
        vocab: ids.
        max_input_len, max_seq_len: limits.
    """

    name: str
    quantization: str
    memory_bytes: int
    step_bytes: int
    vocab: int
    max_input_len: int
    max_seq_len: int

    def run(self, tasks: Sequence[Task], *, places: int | None = None) -> list[RequestTimes]:
        """Runs requests, all at once or so many at a time."""

    def close(self) -> None:
        """Releases it."""


class OurContestant:
    """One of our engines; a thread of its own takes the events of each request."""

    def __init__(self, folder: str | os.PathLike[str], **options: Any) -> None:
        """Opens an engine; options are those of `Generator`."""
        from ttsrt_rt.llm.generator import Generator

        self._generator = Generator(folder, **options)
        info = self._generator.executor.info
        engine = self._generator.executor.engine.info
        self.name = Path(folder).name
        self.quantization: str = (
            engine.quantization if engine.quantization != "none" else engine.dtype
        )
        if info.kv_cache_dtype == "int8":
            self.quantization += ", int8 cache"
        self.memory_bytes = (
            info.weight_bytes + info.state_bytes + info.activation_bytes + info.scratch_bytes
        )
        self.step_bytes = step_bytes_of(self._generator.executor.engine)
        self.vocab = engine.text_vocab
        self.max_input_len = engine.max_input_len
        self.max_seq_len = engine.max_seq_len
        self.max_batch_size = info.max_batch_size
        self.description = info.description

    @property
    def generator(self) -> Any:
        """What runs the requests."""
        return self._generator

    def close(self) -> None:
        self._generator.close()

    def run(self, tasks: Sequence[Task], *, places: int | None = None) -> list[RequestTimes]:
        made: dict[int, RequestTimes] = {}
        problems: list[Exception] = []
        ready = threading.Semaphore(places or len(tasks))
        prompts = [self._timed_ids(task) for task in tasks]

        begin = time.perf_counter()

        def work(at: int) -> None:
            try:
                made[at] = self._one(tasks[at], *prompts[at])
            except Exception as problem:  # of a thread, which nobody would see
                problems.append(problem)
            finally:
                ready.release()

        threads = []
        for at, task in enumerate(tasks):
            ready.acquire()
            wait = begin + task.delay - time.perf_counter()
            if wait > 0:
                time.sleep(wait)
            threads.append(threading.Thread(target=work, args=(at,)))
            threads[-1].start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]
        return [made[at] for at in range(len(tasks))]

    def _timed_ids(self, task: Task) -> tuple[list[int], float]:
        """The ids of a prompt, and the seconds that they took."""
        begin = time.perf_counter()
        ids = self._ids(task)
        return ids, time.perf_counter() - begin

    def _ids(self, task: Task) -> list[int]:
        """The ids of a prompt; the end of one that is too long."""
        prompt = prompt_of(task.line, self._generator)
        ids = self._generator.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        return _last_of(ids, self, task)

    def _one(self, task: Task, ids: list[int], tokenizing_seconds: float) -> RequestTimes:
        submitted = time.perf_counter()
        events: list[tuple[float, int]] = []
        first_text, text, error, reason = None, "", "", "error"
        made: list[int] = []
        queue_seconds, speculation = 0.0, None
        try:
            run = self._generator.start(
                ids, max_tokens=task.tokens, ignore_eos=True, temperature=0.0
            )
            while (piece := run.take()) is not None:
                now = time.perf_counter()
                if piece.ids:
                    events.append((now, len(piece.ids)))
                    made += piece.ids
                if piece.text and first_text is None:
                    first_text = now
                text += piece.text
                reason = piece.finish_reason or reason
            metrics = run.generation().metrics
            queue_seconds = metrics.queue_seconds
            speculation = getattr(metrics, "speculation", None)
        except Error as failure:
            error = str(failure)
        return RequestTimes(
            engine=self.name,
            batch=task.batch,
            iteration=task.iteration,
            prompt=str(task.line.name),
            kind=task.line.kind,
            prompt_tokens=len(ids),
            submitted=submitted,
            queue_seconds=queue_seconds,
            events=tuple(events),
            first_text=first_text,
            ended=time.perf_counter(),
            ids=tuple(made),
            text=text,
            finish_reason=reason,
            error=error,
            tokenizing_seconds=tokenizing_seconds,
            **{name: getattr(speculation, name, 0) for name in _OF_ROUNDS},
        )


class HfContestant:
    """A folder of a model by transformers; requests that come together are one padded batch."""

    def __init__(self, folder: str | os.PathLike[str], *, num_threads: int = 0) -> None:
        """Loads the model in its own type."""
        from ttsrt_rt.llm.hf_model import HfGenerator

        self._model = HfGenerator(folder, num_threads=num_threads)
        self.name = f"transformers {Path(folder).name}"
        self.quantization = f"transformers {self._model.dtype}"
        self.memory_bytes = self._model.weight_bytes
        self.step_bytes = self._model.step_bytes
        self.vocab = self._model.vocab
        self.max_input_len = self.max_seq_len = self._model.max_positions

    def close(self) -> None:
        self._model.close()

    def run(self, tasks: Sequence[Task], *, places: int | None = None) -> list[RequestTimes]:
        if places is not None or any(task.delay for task in tasks):
            raise ConfigError("baseline: expected --batch_sizes with it, got arrivals over time")
        tokens = max(task.tokens for task in tasks)
        prompts = [self._ids(task) for task in tasks]
        made = self._model.times(prompts, tokens)
        found = []
        for task, ids, out in zip(tasks, prompts, made.ids, strict=True):
            found.append(
                RequestTimes(
                    engine=self.name,
                    batch=task.batch,
                    iteration=task.iteration,
                    prompt=str(task.line.name),
                    kind=task.line.kind,
                    prompt_tokens=len(ids),
                    submitted=made.submitted,
                    queue_seconds=0.0,
                    events=tuple((each, 1) for each in made.steps),
                    first_text=None,
                    ended=made.steps[-1],
                    ids=tuple(out),
                    text=self._model.text_of(out),
                    finish_reason="length",
                )
            )
        return found

    def _ids(self, task: Task) -> list[int]:
        prompt = prompt_of(task.line, self._model)
        ids = self._model.tokenizer.encode(prompt) if isinstance(prompt, str) else prompt
        return _last_of(ids, self, task)


def _last_of(ids: Any, contestant: Contestant, task: Task) -> list[int]:
    """The end of a prompt, as long as what is generated leaves room for it."""
    room = min(contestant.max_input_len, contestant.max_seq_len + 1 - task.tokens)
    if room < 1:
        raise ConfigError(
            f"{contestant.name}: expected at most {contestant.max_seq_len} ids to generate, its "
            f"max_seq_len, got {task.tokens}"
        )
    return list(ids[-room:])


def open_baseline(name: str, *, num_threads: int = 0, **options: Any) -> Contestant:
    """Opens what `--baseline` names: "hf:DIR", or "engine:DIR".

    Raises:
        ConfigError: it is something else.
    """
    kind, _, folder = name.partition(":")
    if kind == "hf" and folder:
        return HfContestant(folder, num_threads=num_threads)
    if kind == "engine" and folder:
        return OurContestant(folder, num_threads=num_threads, **options)
    raise ConfigError(f"baseline: expected hf:DIR or engine:DIR, got {name}")
