"""`Executor`: runs requests on a device and returns results or events."""

from __future__ import annotations

import logging
import os
import weakref
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast, overload

from ttsrt_rt import _core
from ttsrt_rt.arrays import most_numbers
from ttsrt_rt.dispatcher import Dispatcher
from ttsrt_rt.draft_vocabulary import check_draft_vocabulary
from ttsrt_rt.engine_cache import cached_engine, run_options
from ttsrt_rt.errors import CapacityError, ClosedError, ConfigError
from ttsrt_rt.event_stream import EventStream
from ttsrt_rt.flow_methods import FlowMethods, Running
from ttsrt_rt.front_end import TextResolver
from ttsrt_rt.handle import Handle, let_go
from ttsrt_rt.native_request import native_executor_options, to_native, warn_of_threads
from ttsrt_rt.options import CheckpointOptions, ExecutorOptions
from ttsrt_rt.request import ArrayInput, Request, RequestFields
from ttsrt_rt.request_forms import one_request, requests_of
from ttsrt_rt.result import Event, Result
from ttsrt_rt.score_methods import ScoreMethods
from ttsrt_rt.sound_methods import SoundMethods
from ttsrt_rt.tensorrt import load_library_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ttsrt_rt.progress import Progress
    from ttsrt_rt.spoken import SpokenText

__all__ = ["Executor"]

_LOG = logging.getLogger(__name__)


class Executor(SoundMethods, ScoreMethods, FlowMethods):
    """Runs requests on a device, or on several, many at once. Thread safe; a context manager.

    A forked child has none of the executor's threads: there every method raises `ClosedError`,
    except `close`, which does nothing. A new executor on the same `Engine` works in the child.

    Example:
        >>> with Executor("magpie-engine") as executor:  # doctest: +SKIP
        ...     result = executor.generate(text_ids=ids, voice=0, seed=7)
    """

    def __init__(
        self,
        engine: str | os.PathLike[str] | _core.Engine,
        **options: Unpack[ExecutorOptions],
    ) -> None:
        """Opens the engine and the device. None stands for the library's default of an option.

        Args:
            engine: An engine folder, or an opened engine.
            **options: The following.
            device: "auto" (the default), or a name of `list_devices()`. `info` has what "auto"
                chose. Several names, as in "cpu,cpu", give a replica on each: they share one queue,
                and every limit below but `max_queue_size` is one replica's. "cuda:all" stands for
                all GPUs; "tensorrt:0" runs the plans of `tensorrt.build_plans`.
            num_threads: CPU threads of a replica; 0 (the default) for one per core this process may
                use, by its affinity and the CPU quota of its container; replicas on the CPU share
                the cores out. More than twice as many are logged as a warning.
            pin_threads: Keeps thread t of the executor on the t-th core this process may use; for a
                process that has its cores to itself. Only on Linux, with at most one thread per
                core.
            max_batch_size: Requests in flight; at most the engine's, which 0 stands for.
            max_queue_size: Accepted requests that wait; one more is a `CapacityError`.
            preempt: What a request does that finds all places taken. "none" (the default): it
                waits. "priority": it pauses the youngest of the running requests with the lowest
                priority, if that is below its own. A paused request gives the same result.
            max_paused_requests: Requests that may be paused at once with preempt "priority"; 0 for
                `max_batch_size`. Each takes the memory of one more request in flight.
            max_num_tokens: Rows of one Program in one launch; at most the engine's, which 0 stands
                for.
            max_tokens_in_paged_kv_cache: Positions of the self-attention cache, both branches of
                all requests together, paused ones included; 0 (the default) for enough for all of
                them guided and at full length. A request waits until as much is free as it may
                need. One that may need more than the whole cache is a `CapacityError`.
            kv_cache_free_gpu_mem_fraction: On a GPU, limits that cache to this share, above 0 and
                at most 1, of the memory that is free on the device beside weights, activations and
                everything else. With `max_tokens_in_paged_kv_cache` the smaller limit counts. None
                (the default) for no such limit.
            prefill_slice_seconds: About how long encoders and prefill may take per iteration while
                other requests decode; 0 for no limit. The next iteration continues them.
            kv_cache_dtype: "float32", "bfloat16", "float16" or "int8" (keys and values as multiples
                of a float32 scale per position and head); by default as the engine computes.
            speculation: Language models: what requests do that do not say otherwise; a
                `Speculation` or a mapping of its fields. {"mode": "ngram"} guesses ids and checks
                several at once, with equal results.
            draft_engine: The folder of a smaller language model with the same tokenizer, which
                guesses for requests of the mode "draft", then the usual one.
            iter_stats_max_iterations: Iterations that `stats()` remembers.
            profile: Keeps each stage's times for `stats().stages`.
            trace: Keeps every stage's values for `Result.trace`; slow, meant for validation.

        Raises:
            FormatError: The folder is not an engine, or it is damaged.
            ConfigError: The engine cannot run with one of the options.
            DeviceError: The device is absent; the message says why.
            CapacityError: A GPU's memory is too small; the message has the numbers.
        """
        native = native_executor_options("Executor", options)
        opened = engine if isinstance(engine, _core.Engine) else _core.Engine.open(engine)
        check_draft_vocabulary(opened, options.get("draft_engine"))
        load_library_of(opened.path, native.device)
        self._native = _core.Executor(opened, native)
        warn_of_threads(native.num_threads, self._native.info.device)
        self._texts = TextResolver(opened)
        self._most_numbers = most_numbers(opened.info)
        places = {replica.device for replica in self._native.info.replicas}
        self._place = places.pop() if len(places) == 1 else self._native.info.device
        self._is_closed = False
        self._running = Running()
        self._add_built_in_voices()
        self._dispatcher = Dispatcher()
        weakref.finalize(self, self._dispatcher.close).atexit = False
        info = self._native.info
        _LOG.info(
            "running on %s (%s); bytes: weights %d, state %d, activations %d",
            *(info.device, info.description),
            *(info.weight_bytes, info.state_bytes, info.activation_bytes),
        )

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike[str],
        /,
        *,
        cache_dir: str | os.PathLike[str] | None = None,
        progress: Progress = True,
        **options: Unpack[CheckpointOptions],
    ) -> Executor:
        """Runs a checkpoint: converts and builds it the first time, and keeps the engine.

        The kept engine is found by the contents of the checkpoints' files, the options and the
        version of this package. Several processes may ask for it at once; one makes it.

        Args:
            path: What `convert` reads, or a checkpoint that it wrote.
            cache_dir: Where engines are kept; by default the folder that TTSRT_CACHE_DIR in the
                environment names, or `ttsrt_rt/engines` in XDG_CACHE_HOME or `~/.cache`.
            progress: As `convert` and `build` take it: True shows bars on a terminal.
            **options: Those of `convert`, `build` and `Executor`. `dtype`, `max_batch_size` and
                `max_num_tokens` are the build's. In the place of `codec_dir` stands `codec`, a path
                as the first one: the codec that turns the model's codes into sound.

        Raises:
            NotFoundError: There is no such file or folder.
            ConfigError, FormatError, DeviceError: As `convert`, `build` and `Executor`; or the
                cache cannot be written.
        """
        engine = cached_engine(path, options, cache_dir=cache_dir, progress=progress)
        return cls(engine, **cast(ExecutorOptions, run_options(options)))

    @property
    def engine(self) -> _core.Engine:
        """The engine that runs."""
        return self._native.engine

    @property
    def info(self) -> _core.ExecutorInfo:
        """The device and the memory that the executor uses."""
        return self._native.info

    @property
    def languages(self) -> dict[str, str]:
        """The languages of texts, with the tokenizers that read them; empty without a front end."""
        front_end = self._texts.front_end
        return {} if front_end is None else dict(front_end.languages)

    @property
    def default_language(self) -> str | None:
        """What is spoken where a request names no language; None without a front end."""
        front_end = self._texts.front_end
        return None if front_end is None else front_end.default_language

    def read_text(self, request: Request) -> SpokenText:
        """What becomes of the text of a request: ids, their places, chunks, pauses of markup.

        Raises:
            ConfigError: There is no text, or it can't be read.
        """
        if request.flow_text is not None:
            return self._plan_flow(request)[1]
        return self._texts.read(request)

    def __repr__(self) -> str:
        info, engine = self.info, self.engine
        return (
            f"Executor({engine!r}, device={info.device!r}, kv_cache_dtype={info.kv_cache_dtype!r}, "
            f"{info.description})"
        )

    @overload
    def generate(self, request: Request, /, **fields: Unpack[RequestFields]) -> Result: ...
    @overload
    def generate(
        self, requests: Iterable[Request] | Iterable[ArrayInput], /, **fields: Unpack[RequestFields]
    ) -> list[Result]: ...
    @overload
    def generate(self, /, **fields: Unpack[RequestFields]) -> Result: ...
    def generate(
        self, request: Any = None, /, **fields: Unpack[RequestFields]
    ) -> Result | list[Result]:
        """Runs one request, or many together, and waits for the results.

            executor.generate(text_ids=ids, voice=0, seed=7)   # one
            executor.generate(request, seed=8)                 # one: the request with another seed
            executor.generate([request, other])                # many
            executor.generate([ids, other_ids], voice=0)       # many: texts that share the fields
            codec_executor.generate(codes=codes).audio         # one: sound of codes, by a codec

        If Ctrl-C, or a signal handler that raises, ends the wait, the requests are cancelled.

        Args:
            request: A request; several of them; several arrays of text ids; or none.
            **fields: Fields of `Request`, which replace those of a request that is given. With
                several requests or texts they apply to each.

        Returns:
            The result of one request; of several, the results in their order. One of several that
            failed, or was not accepted, has the finish reason "error" and `error`.

        Raises:
            ConfigError: One request, and it cannot be served as it stands.
            InternalError: One request, and it failed.
            CapacityError: One request, and the queue is full, or it may need more than the whole
                cache.
            ClosedError: The executor was closed.
            DeviceError: The device failed.
        """
        wanted = requests_of(request, fields, "generate")
        if isinstance(wanted, Request):
            return self._generate_one(wanted)
        handles: list[Handle | Result] = []
        try:
            for handle in self._fill(wanted, handles):
                handle.wait()
            return [each if isinstance(each, Result) else each.wait() for each in handles]
        except BaseException:
            let_go(handles)
            raise

    @overload
    async def agenerate(self, request: Request, /, **fields: Unpack[RequestFields]) -> Result: ...
    @overload
    async def agenerate(
        self, requests: Iterable[Request] | Iterable[ArrayInput], /, **fields: Unpack[RequestFields]
    ) -> list[Result]: ...
    @overload
    async def agenerate(self, /, **fields: Unpack[RequestFields]) -> Result: ...
    async def agenerate(
        self, request: Any = None, /, **fields: Unpack[RequestFields]
    ) -> Result | list[Result]:
        """As `generate`, for asyncio. Cancelling the task cancels the requests."""
        wanted = requests_of(request, fields, "agenerate")
        if isinstance(wanted, Request):
            return await self._submit(wanted)
        handles: list[Handle | Result] = []
        try:
            for handle in self._fill(wanted, handles):
                await handle._end()
            for each in handles:
                if isinstance(each, Handle):
                    await each._end()
            return [each if isinstance(each, Result) else each.wait() for each in handles]
        except BaseException:
            let_go(handles)
            raise

    def stream(
        self, request: Request | None = None, /, **fields: Unpack[RequestFields]
    ) -> Iterator[Event]:
        """Submits a request and yields its events as frames, and the sound of them, are made.

        Leaving the iterator cancels the request. A failure is raised, not yielded.

        Raises:
            ConfigError, CapacityError, ClosedError, DeviceError: At once, as `submit`.
            InternalError: While iterating: the request failed.
        """
        return iter(self._submit(one_request(request, fields, "stream")))

    def submit(self, request: Request | None = None, /, **fields: Unpack[RequestFields]) -> Handle:
        """Checks a request, queues it and returns at once.

        Raises:
            ConfigError: The request cannot be served as it stands.
            CapacityError: The queue is full, or the request may need more than the whole cache.
            ClosedError: The executor was closed.
            DeviceError: The device failed before.
        """
        return self._submit(one_request(request, fields, "submit"))

    def astream(
        self, request: Request | None = None, /, **fields: Unpack[RequestFields]
    ) -> EventStream:
        """As `stream`, errors included, for asyncio. Cancelling the task cancels the request."""
        return aiter(self._submit(one_request(request, fields, "astream")))

    def stats(self) -> _core.ExecutorStats:
        """Counters since the start, the latest iterations, and the requests in flight.

        Names are those of TensorRT-LLM's executor in snake case: `stats().iterations[-1]
        .kv_cache_stats.used_num_blocks`, `stats().requests[0].stage`. Its tokens are single codes.
        """
        return self._native.stats()

    def close(self, *, drain: bool = False) -> None:
        """Accepts no more requests and waits for the executor's threads to end. Idempotent.

        If Ctrl-C, or a signal handler that raises, interrupts a drain, the requests that are left
        are cancelled, and the error is raised once they have ended. In a forked child it does
        nothing.

        Args:
            drain: Whether accepted requests are finished first; otherwise they are cancelled.
        """
        self._is_closed = True
        try:
            if self._dispatcher.is_here:
                self._running.close(drain=drain)
        finally:
            self._close_native(drain)

    def _close_native(self, drain: bool) -> None:
        try:
            self._native.close(drain)
        finally:
            self._dispatcher.close()

    def __enter__(self) -> Executor:
        if self._is_closed:
            raise ClosedError("Executor: it was closed, and doesn't open again; create a new one")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _submit(self, request: Request) -> Handle:
        self._running.check_open()
        spoken = later = None
        if isinstance(request, Request):
            if request.flow_text is not None:
                return self._submit_flow(request)
            request, spoken, later = self._texts.resolve(request, self.voices)
        native = to_native(request, self._most_numbers, self._place)
        if later is not None:
            native.later_chunks = later.count
        words = None
        if spoken is not None and request.return_positions:
            from ttsrt_rt.text.word_stream import WordStream

            words = WordStream.of(spoken)
        return Handle(self._native.submit(native), self._dispatcher, spoken, words, later)

    def _generate_one(self, request: Request) -> Result:
        handle = self._submit(request)
        try:
            return handle.result()
        except BaseException:  # the traceback may keep the handle
            handle._let_go()
            raise

    def _fill(self, requests: list[Request], handles: list[Handle | Result]) -> Iterator[Handle]:
        """Submits the requests, and yields one to wait for whenever the queue is full."""
        num_waited = 0
        for request in requests:
            while True:
                try:
                    handles.append(self._submit(request))
                except CapacityError as error:
                    if error.is_final or num_waited == len(handles):
                        # It never fits, or none of these is in the queue: waiting does not help.
                        handles.append(self._refused(error))
                    else:
                        waited = handles[num_waited]
                        num_waited += 1
                        if isinstance(waited, Handle):
                            yield waited
                        continue
                except ConfigError as error:
                    handles.append(self._refused(error))
                break

    def _refused(self, error: Exception) -> Result:
        return Result._refused(error, self.engine.info.codebooks)
