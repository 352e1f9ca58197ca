"""Speaks a text as one sound, also where its markup has pauses and voices.

One request has one voice and no silence, so marked-up text becomes several requests, whose sound
comes one after the other, with exactly as many silent samples between them as the pauses ask for.
The next request is submitted while the one in front of it is heard.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ttsrt_rt.errors import CapacityError, ConfigError
from ttsrt_rt.text.words import Silence, Word, WordClock, word_times

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ttsrt_rt.executor import Executor
    from ttsrt_rt.handle import Handle
    from ttsrt_rt.request import Request
    from ttsrt_rt.result import FinishReason, Result
    from ttsrt_rt.spoken import SpokenText

__all__ = ["Said", "Saying", "segments_of"]

_AHEAD = 2  # requests in flight: the one that is heard, and the next


@dataclass(frozen=True)
class Segment:
    """What one request speaks.

    Attributes:
        request: With ids.
        begin: The first of its ids among those of the text.
        end: Behind the last of them.
        pause_before: Milliseconds of silence in front of it.
        chunks: How many of these ids each of its chunks has.
    """

    request: Request
    begin: int
    end: int
    pause_before: int
    chunks: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was spoken.

    Attributes:
        spoken: What became of the text.
        audio: float32 [samples], pauses included; empty if it was not kept.
        num_samples: Of the sound.
        sample_rate: Samples per second.
        codes: int32 [frames, codebooks], without pauses.
        finish_reason: Of the last request that ran.
        words: When each word is spoken; None if nobody asked, or if the front end doesn't know
            where ids come from.
        results: Of the requests.
    """

    spoken: SpokenText
    audio: NDArray[np.float32]
    num_samples: int
    sample_rate: int
    codes: NDArray[np.int32]
    finish_reason: FinishReason
    words: tuple[Word, ...] | None
    results: tuple[Result, ...]

    @property
    def seconds(self) -> float:
        """How long the sound is."""
        return self.num_samples / self.sample_rate


def segments_of(spoken: SpokenText, request: Request, pauses: tuple[int, ...]) -> list[Segment]:
    """Cuts what became of a text into requests: at pauses, and where the voice changes.

    Args:
        spoken: The text.
        request: Its other fields. Each further request draws with the next seed.
        pauses: Milliseconds in front of each chunk, and behind the last.
    """
    voices = spoken.voices or (None,) * len(spoken.chunks)
    starts = [
        index
        for index in range(len(spoken.chunks))
        if index == 0 or pauses[index] or voices[index] != voices[index - 1]
    ]
    edges = [0, *(int(each) for each in np.cumsum(spoken.chunks))]
    segments = []
    for number, start in enumerate(starts):
        stop = starts[number + 1] if number + 1 < len(starts) else len(spoken.chunks)
        begin, end = edges[start], edges[stop]
        values: dict[str, Any] = {"text_ids": spoken.ids[begin:end]}
        values["seed"] = (request.seed + number) % 2**64
        if stop - start > 1:
            values["text_chunks"] = spoken.chunks[start:stop]
        if voices[start] is not None:
            values |= {"voice": _voice_of(voices[start])}
        made = dataclasses.replace(request, text=None, language=None, text_options=None, **values)
        inside = spoken.chunks[start:stop]
        segments.append(Segment(made, begin, end, pauses[start], inside))
    return segments


def _chunks_of(result: Result) -> tuple[tuple[int, int], ...]:
    """Steps and frames of each chunk of a request."""
    if result.chunk_steps is None or result.chunk_frames is None:
        return ()
    return tuple(zip(result.chunk_steps.tolist(), result.chunk_frames.tolist(), strict=True))


def _voice_of(name: str | None) -> int | str | None:
    return int(name) if name is not None and name.isascii() and name.isdecimal() else name


@dataclass
class _Done:
    """What the requests that ended made.

    Attributes:
        audio: Sound and silence in order.
        results: In order.
        words: Of all of them.
        num_samples: Of `audio`.
        num_frames: Of the codec.
    """

    audio: list[NDArray[np.float32]] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    num_samples: int = 0
    num_frames: int = 0


class Saying:
    """A text that is being spoken. Iterating yields its sound as it is made; `finish` waits for it.

    Leaving the iteration, or `cancel`, cancels its requests.
    """

    def __init__(
        self,
        executor: Executor,
        request: Request,
        *,
        with_words: bool = False,
        keeps_audio: bool = True,
    ) -> None:
        """Reads the text and submits what is heard first.

        Args:
            executor: Of an engine with a front end that ends in sound.
            request: With `text`. `max_frames` is a limit of all of it.
            with_words: Whether `Said.words` is made.
            keeps_audio: Whether `Said.audio` is made; the iteration has the sound anyway.

        Raises:
            ConfigError: The text or the request can't be served, or the engine makes no sound.
            CapacityError, ClosedError, DeviceError: As `Executor.submit`.
        """
        self.spoken = executor.read_text(request)
        rate = executor.engine.info.sample_rate
        if rate is None or not executor.engine.info.has_vocoder:
            raise ConfigError(
                f"say: expected an engine that makes sound, got {executor.engine.path}, which ends "
                "in codes; build it with codec_dir"
            )
        self.sample_rate = rate
        self._executor = executor
        self._keeps_audio = keeps_audio
        self._max_frames = request.max_frames
        self._with_words = with_words and self.spoken.spans is not None
        if self._with_words:
            request = dataclasses.replace(request, return_positions=True)
        pauses = self.spoken.pauses or (0,) * (len(self.spoken.chunks) + 1)
        self._pause_after = pauses[-1]
        self._waiting = deque(segments_of(self.spoken, request, pauses))
        self._running: deque[tuple[Segment, Handle]] = deque()
        self._done = _Done()
        self._said: Said | None = None
        self._submit()

    def __iter__(self) -> Iterator[NDArray[np.float32]]:
        """Yields samples, each once; silence of pauses is among them."""
        try:
            while self._running:
                yield from self._follow(*self._running[0])
                self._running.popleft()
                self._submit()
            if self._said is None:
                if not self._is_full():
                    yield from self._silence(self._pause_after)
                self._said = self._finished()
        finally:
            self.cancel()

    def finish(self) -> Said:
        """Waits for all of it.

        Raises:
            InternalError: A request failed.
        """
        for _ in self:
            pass
        if self._said is None:
            raise ConfigError("say: expected a text that is spoken to its end, got a cancelled one")
        return self._said

    def cancel(self) -> None:
        """Cancels what has not ended."""
        self._waiting.clear()
        for _, handle in self._running:
            handle.cancel()
        self._running.clear()

    def _submit(self) -> None:
        """Submits what comes next; a full queue may wait until nothing of this runs any more."""
        if self._is_full():
            self.cancel()
        while self._waiting and len(self._running) < _AHEAD:
            segment = self._waiting[0]
            try:
                handle = self._executor.submit(segment.request)
            except CapacityError:
                if not self._running:
                    raise
                return
            self._waiting.popleft()
            self._running.append((segment, handle))

    def _follow(self, segment: Segment, handle: Handle) -> Iterator[NDArray[np.float32]]:
        yield from self._silence(segment.pause_before)
        begin = self._done.num_samples
        for event in handle:
            if event.audio is not None:
                audio = event.audio[: self._room(begin)]
                if len(audio):
                    self._keep(audio)
                    yield audio
        self._end(segment, handle.result(), begin)

    def _room(self, begin: int) -> int | None:
        """How many more samples of a request may be heard; None for all."""
        if self._max_frames is None:
            return None
        frames = self._max_frames - self._done.num_frames
        samples = frames * self._executor.engine.info.samples_per_frame
        return max(0, samples - (self._done.num_samples - begin))

    def _end(self, segment: Segment, result: Result, begin: int) -> None:
        done, info = self._done, self._executor.engine.info
        done.results.append(result)
        done.num_frames += len(result.codes)
        if not self._with_words or result.text_positions is None or self.spoken.spans is None:
            return
        spans = self.spoken.spans[segment.begin : segment.end]
        clock = WordClock(
            info.frame_rate,
            info.frame_stacking,
            _chunks_of(result),
            (Silence(0.0, begin / self.sample_rate),),
        )
        within = (int(spans[:, 0].min()), int(spans[:, 1].max()))
        done.words += word_times(
            self.spoken.text,
            spans,
            result.text_positions,
            clock,
            chunks=segment.chunks,
            within=within,
            is_whole=result.finish_reason == "stop",
        )

    def _is_full(self) -> bool:
        return self._max_frames is not None and self._done.num_frames >= self._max_frames

    def _silence(self, milliseconds: int) -> Iterator[NDArray[np.float32]]:
        count = (milliseconds * self.sample_rate + 500) // 1000
        if count:
            silence = np.zeros(count, np.float32)
            self._keep(silence)
            yield silence

    def _keep(self, audio: NDArray[np.float32]) -> None:
        if self._keeps_audio:
            self._done.audio.append(audio)
        self._done.num_samples += len(audio)

    def _words(self) -> tuple[Word, ...]:
        """The words, none of which ends behind the sound, which a limit may have cut."""
        end = self._done.num_samples / self.sample_rate
        return tuple(
            dataclasses.replace(
                word,
                start_seconds=min(word.start_seconds, end),
                end_seconds=min(word.end_seconds, end),
            )
            for word in self._done.words
        )

    def _finished(self) -> Said:
        done = self._done
        codes = np.concatenate([each.codes for each in done.results])
        if self._max_frames is not None:
            codes = codes[: self._max_frames]
        return Said(
            spoken=self.spoken,
            audio=np.concatenate([np.zeros(0, np.float32), *done.audio]),
            num_samples=done.num_samples,
            sample_rate=self.sample_rate,
            codes=codes,
            finish_reason=done.results[-1].finish_reason,
            words=self._words() if self._with_words else None,
            results=tuple(done.results),
        )
