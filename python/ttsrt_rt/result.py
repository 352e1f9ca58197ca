"""`Result`, the `Event`s that it is streamed in, and its `Metrics`.

Arrays are views of memory that the library filled; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from ttsrt_rt.quoting import show

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ttsrt_rt import _core
    from ttsrt_rt.spoken import SpokenText
    from ttsrt_rt.text.word_stream import WordStream
    from ttsrt_rt.text.words import Silence, Word

__all__ = ["Event", "FinishReason", "Metrics", "Result", "SpeculationMetrics", "of_text"]

FinishReason: TypeAlias = Literal["stop", "length", "cancelled", "deadline", "error"]


@dataclass(frozen=True, kw_only=True)
class SpeculationMetrics:
    """What speculation did for one request (`Speculation`).

    Attributes:
        rounds: Launches that carried a step of it, with or without guesses.
        tokens: Ids that they gave, the one that ended the text among them.
        drafted: Ids that were guessed and checked.
        accepted: Of these, ids that the model picked.
        drafted_at: Guessed ids by their place in the round, the first one first.
        accepted_at: Of these, ids that the model picked.
        draft_seconds: That guessing took.
        faults: 1 if a draft engine gave numbers that are not finite; the request then went on
            without it.
    """

    rounds: int = 0
    tokens: int = 0
    drafted: int = 0
    accepted: int = 0
    drafted_at: tuple[int, ...] = ()
    accepted_at: tuple[int, ...] = ()
    draft_seconds: float = 0.0
    faults: int = 0

    @property
    def tokens_per_round(self) -> float:
        """1 without a hit; 0 for requests that did not speculate."""
        return self.tokens / self.rounds if self.rounds else 0.0

    @classmethod
    def _from_native(cls, native: _core.SpeculationStats) -> SpeculationMetrics:
        return cls(
            rounds=native.rounds,
            tokens=native.tokens,
            drafted=native.drafted,
            accepted=native.accepted,
            drafted_at=tuple(native.drafted_at),
            accepted_at=tuple(native.accepted_at),
            draft_seconds=native.draft_seconds,
            faults=native.faults,
        )


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Times of one request, from its submission, before its text became ids.

    Attributes:
        queue_seconds: From submit until the request got a slot.
        first_frame_seconds: From submit to the first frame.
        first_audio_seconds: From submit to the first samples; 0 if there were none.
        total_seconds: From submit to the end.
        frames_per_second: Frames made per second of `total_seconds`.
        x_real_time: Seconds of audio made per second of `total_seconds`: above 1 is faster than
            real time.
        rtf: The real-time factor, `total_seconds` per second of audio: below 1 is faster than real
            time. 0 if no frame was made.
        steps: Decoder steps.
        speculation: Of a request that speculates.
        dropped_text: Characters of `text` that the language's vocabulary lacks, with how often they
            were left out.
    """

    queue_seconds: float = 0.0
    first_frame_seconds: float = 0.0
    first_audio_seconds: float = 0.0
    total_seconds: float = 0.0
    frames_per_second: float = 0.0
    x_real_time: float = 0.0
    rtf: float = 0.0
    steps: int = 0
    speculation: SpeculationMetrics = field(default_factory=SpeculationMetrics)
    dropped_text: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def _from_native(cls, native: _core.Metrics, spoken: SpokenText | None) -> Metrics:
        text = 0.0 if spoken is None else spoken.seconds
        total = native.total_seconds + text
        share = native.total_seconds / total if total > 0 else 1.0
        return cls(
            queue_seconds=native.queue_seconds + text,
            first_frame_seconds=_behind(text, native.first_frame_seconds),
            first_audio_seconds=_behind(text, native.first_audio_seconds),
            total_seconds=total,
            frames_per_second=native.frames_per_second * share,
            x_real_time=native.x_real_time * share,
            rtf=native.rtf / share if share > 0 else native.rtf,
            steps=native.steps,
            speculation=SpeculationMetrics._from_native(native.speculation),
            dropped_text={} if spoken is None else spoken.dropped,
        )


def _behind(text: float, seconds: float) -> float:
    """A time behind that of the text; 0 stays, as it stands for never."""
    return seconds + text if seconds > 0 else seconds


@dataclass(frozen=True, kw_only=True, eq=False)
class Event:
    """A part of a result, while it is streamed.

    Attributes:
        codes: int32 [new frames, codebooks]; may be empty in the last event, and of codecs and
            models without codes always is.
        first_frame: Index of the first of these frames in the result.
        is_last: Whether the request ends with this event.
        finish_reason: Why it ended; None before the last event.
        audio: float32 [new samples], usually in [-1, 1], of models that end in sound; else None.
            Each sample comes once and in order; it may be of a frame whose codes came before.
        spectrogram: float32 [new frames, mel_bins], of models that end in a spectrogram; else None.
        text_positions: int32 [new steps], as of `Result`, if the request asked for them.
        words: Those of `Result.text` that have ended, with their times so far, if the request asked
            for `return_positions`: each comes once, when a step attends to a later one. Those of
            the result may have other times, as later steps correct earlier ones.
        logprobs, top_ids, top_logprobs: Of the new steps, as of `Result`.
        stop_id: Of the last event, as of `Result`.
    """

    codes: NDArray[np.int32]
    first_frame: int
    is_last: bool
    finish_reason: FinishReason | None
    audio: NDArray[np.float32] | None = None
    spectrogram: NDArray[np.float32] | None = None
    text_positions: NDArray[np.int32] | None = None
    words: tuple[Word, ...] = ()
    logprobs: NDArray[np.float32] | None = None
    top_ids: NDArray[np.int32] | None = None
    top_logprobs: NDArray[np.float32] | None = None
    stop_id: int | None = None

    def __repr__(self) -> str:
        return _short_repr(self)

    @classmethod
    def _from_native(cls, native: _core.Event, words: WordStream | None = None) -> Event:
        reason = native.finish_reason if native.is_last else None
        ended: tuple[Word, ...] = ()
        if words is not None:
            ended = words.take(
                native.text_positions.tolist(),
                native.first_frame,
                len(native.codes),
                chunks=zip(native.chunk_steps.tolist(), native.chunk_frames.tolist(), strict=True),
                is_last=native.is_last,
                is_whole=reason == "stop",
            )
        return cls(
            codes=native.codes,
            first_frame=native.first_frame,
            is_last=native.is_last,
            finish_reason=reason,
            audio=native.audio if native.audio.size else None,
            spectrogram=native.spectrogram if native.spectrogram.size else None,
            text_positions=native.text_positions if native.text_positions.size else None,
            words=ended,
            logprobs=native.logprobs if native.logprobs.size else None,
            top_ids=native.top_ids if native.top_ids.size else None,
            top_logprobs=native.top_logprobs if native.top_logprobs.size else None,
            stop_id=native.stop_id,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """Everything that a request made.

    Attributes:
        codes: int32 [frames, codebooks]: those drawn, or of a codec's `samples`, those encoded.
        finish_reason: "stop", "length", "cancelled", "deadline" or "error". A cancelled request and
            one past its deadline keep the frames made so far.
        error: What went wrong, if `finish_reason` is "error".
        alignment: float32 [steps, text_len], if the request asked for it with `return_alignment`.
            Of a text in chunks, `text_len` is that of the longest window; column j of a step is
            `text_ids[chunk_offsets[its chunk] + j]`, and columns behind the window are 0.
        focus: int32 [steps], the text position in focus after each step; None without a prior. Of a
            later chunk, it is below `chunk_offsets` where the chunk before ended early.
        text_positions: int32 [steps], the index in `text_ids` (or the row of the text) that each
            step attends to most, the largest of its alignment, if the request asked for it with
            `return_positions`. The alignment is the mean over the layers that the prior estimates
            from, or over all that see the text, after the prior has acted.
        chunk_steps: int32 [chunks], the decoder steps of each chunk that has begun; one without
            `text_chunks`, and None of models without steps.
        chunk_offsets: int32 [chunks], the index in `text_ids` at which the window of each chunk
            begins: it holds the last ids before the chunk, too.
        chunk_frames: int32 [chunks], the codec frames of each of these chunks; of a request with
            `flow_text`, the frames of each chunk that is whole, prompt included.
        chunk_silences: int32, the samples of silence in `audio` in front of each of these chunks,
            and behind the last where speech came to its end; None without any.
        metrics: Times.
        audio: float32 [samples], usually in [-1, 1], of models that end in sound; else None,
            as with `codes_only`.
        sample_rate: Samples of `audio` per second; None for models that make no sound.
        spectrogram: float32 [frames, mel_bins], of models that end in a spectrogram, and of others
            if the request asked for it with `return_spectrogram`; else None. Of chunks of
            `flow_text`, each with its prompt, one behind the other.
        text: Of a request with `text`, the text that `text_spans` are in: the one given, or the
            normalized one.
        text_ids: int32 [ids], what the text became.
        text_spans: int32 [ids, 2], where each id begins and ends in `text`, in code points; None
            where the front end doesn't know it.
        normalized_text: The text behind `text_options.normalize`; None without it.
        words: When each word of `text` is spoken, if the request asked for `return_positions`; else
            None. Where `finish_reason` isn't "stop", those up to the last one that was reached.
        text_analyser: The packages that read `text`, with their versions, of languages that need
            some (Chinese, Japanese): other versions may read it otherwise. None for the others.
        language: That `text` was spoken in, by the engine's name for it.
        nll: float32 [ids - 1], of a request with `score`: the negative logarithm of the probability
            of each of `text_ids` but the first, given those in front of it.
        logprobs: float32 [steps], the logarithms of the probabilities of the ids that the steps of
            a language model drew, before penalties, masks and temperature, if the request asked for
            them with `tokens.logprobs`. The step that drew the id of the end is the last one.
        top_ids: int32 [steps, asked], the likeliest ids of each step, in order.
        top_logprobs: float32 [steps, asked], of these ids.
        stop_id: Of models whose steps draw one code, the id that ended the request, which is not
            among `codes`; None where none did.
        watermark: The name of the watermark in `audio` (`ttsrt_rt.watermark`); None for none.
        trace: Values of every stage, if the executor was made with `trace=True`.
    """

    codes: NDArray[np.int32]
    finish_reason: FinishReason
    error: str | None = None
    alignment: NDArray[np.float32] | None = None
    focus: NDArray[np.int32] | None = None
    text_positions: NDArray[np.int32] | None = None
    chunk_steps: NDArray[np.int32] | None = None
    chunk_offsets: NDArray[np.int32] | None = None
    chunk_frames: NDArray[np.int32] | None = None
    chunk_silences: NDArray[np.int32] | None = None
    metrics: Metrics = Metrics()
    audio: NDArray[np.float32] | None = None
    sample_rate: int | None = None
    spectrogram: NDArray[np.float32] | None = None
    text: str | None = None
    text_ids: NDArray[np.int32] | None = None
    text_spans: NDArray[np.int32] | None = None
    normalized_text: str | None = None
    words: tuple[Word, ...] | None = None
    text_analyser: str | None = None
    language: str | None = None
    nll: NDArray[np.float32] | None = None
    logprobs: NDArray[np.float32] | None = None
    top_ids: NDArray[np.int32] | None = None
    top_logprobs: NDArray[np.float32] | None = None
    stop_id: int | None = None
    watermark: str | None = None
    trace: tuple[_core.TraceEntry, ...] = ()

    def __repr__(self) -> str:
        return _short_repr(self)

    @property
    def seconds(self) -> float:
        """How long `audio` is; 0 without it."""
        if self.audio is None or not self.sample_rate:
            return 0.0
        return len(self.audio) / self.sample_rate

    @classmethod
    def _refused(cls, error: Exception, codebooks: int) -> Result:
        """The result of a request that could not be submitted."""
        import numpy as np

        codes = np.zeros((0, codebooks), np.int32)
        return cls(codes=codes, finish_reason="error", error=str(error))

    @classmethod
    def _from_native(cls, native: _core.Result, spoken: SpokenText | None = None) -> Result:
        return cls(
            codes=native.codes,
            finish_reason=native.finish_reason,
            error=native.error or None,
            alignment=native.alignment if native.alignment.size else None,
            focus=native.focus if native.focus.size else None,
            text_positions=native.text_positions if native.text_positions.size else None,
            chunk_steps=native.chunk_steps if native.chunk_steps.size else None,
            chunk_offsets=native.chunk_offsets if native.chunk_offsets.size else None,
            chunk_frames=native.chunk_frames if native.chunk_frames.size else None,
            chunk_silences=native.chunk_silences if native.chunk_silences.size else None,
            metrics=Metrics._from_native(native.metrics, spoken),
            audio=native.audio if native.audio.size else None,
            sample_rate=native.sample_rate or None,
            spectrogram=native.spectrogram if native.spectrogram.size else None,
            words=None if spoken is None else _words_of(native, spoken),
            nll=native.nll if native.nll.size else None,
            logprobs=native.logprobs if native.logprobs.size else None,
            top_ids=native.top_ids if native.top_ids.size else None,
            top_logprobs=native.top_logprobs if native.top_logprobs.size else None,
            stop_id=native.stop_id,
            trace=tuple(native.trace),
            **({} if spoken is None else of_text(spoken)),
        )


def of_text(spoken: SpokenText) -> dict[str, Any]:
    """The fields of a result that its text became."""
    return {
        "text": spoken.text,
        "text_ids": spoken.ids,
        "text_spans": spoken.spans,
        "normalized_text": spoken.normalized_text,
        "text_analyser": spoken.analyser,
        "language": spoken.language,
    }


def _words_of(native: _core.Result, spoken: SpokenText) -> tuple[Word, ...] | None:
    """The words of a text, where each step says which id it attends to."""
    from ttsrt_rt.text.words import WordClock, silences_of, word_times

    positions = native.text_positions
    if not positions.size or spoken.spans is None or not spoken.frame_rate > 0:
        return None
    chunks = tuple(zip(native.chunk_steps.tolist(), native.chunk_frames.tolist(), strict=True))
    silences: tuple[Silence, ...] = ()
    if native.chunk_silences.size:
        rates = (spoken.frame_rate, spoken.sample_rate)
        silences = silences_of(native.chunk_silences.tolist(), native.chunk_frames.tolist(), *rates)
    clock = WordClock(spoken.frame_rate, spoken.frames_per_step, chunks, silences)
    words = word_times(
        *(spoken.text, spoken.spans, positions, clock),
        chunks=spoken.chunks,
        is_whole=native.finish_reason == "stop",
    )
    return tuple(words)


def _short_repr(value: Event | Result) -> str:
    """The fields that are set; arrays as their types and shapes, a trace as its length."""
    parts = []
    for each in fields(value):
        item = getattr(value, each.name)
        if item is None or (isinstance(item, tuple) and not item):
            continue
        shape = getattr(item, "shape", None)
        if shape is not None:
            shown = f"{item.dtype}{list(shape)}"
        elif isinstance(item, tuple):
            shown = f"<{len(item)} entries>"
        else:
            shown = show(item) if isinstance(item, str) else repr(item)
        parts.append(f"{each.name}={shown}")
    return f"{type(value).__name__}({', '.join(parts)})"
