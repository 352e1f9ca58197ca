"""What a generator returns: the text and ids of a request, whole or in pieces."""

from __future__ import annotations

from dataclasses import dataclass, field

from ttsrt_rt.result import FinishReason, Metrics

__all__ = ["Generation", "Piece", "TokenLogprob"]


@dataclass(frozen=True)
class TokenLogprob:
    """The probability of one id, from the model's scores as they are: before penalties, masks and
    temperature.

    Attributes:
        id: the id that was generated.
        logprob: the logarithm of its probability.
        top: the likeliest ids with theirs, in falling order.
    """

    id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Generation:
    """What was generated for one prompt.

    Attributes:
        text: the text, up to what ended it.
        ids: all ids that were generated. An id that ended the text is the last of them and not in
            `text`.
        prompt_ids: ids of the prompt, as they were run.
        finish_reason: "stop" at an id or a text that ends it, "length", "cancelled", "deadline" or
            "error".
        stop_reason: the id or the stop string that ended it; None for other reasons.
        error: what went wrong, if `finish_reason` is "error".
        metrics: times of the request; its frames are tokens.
        logprobs: of each id in `ids`, if the request asked for `logprobs`; else None.
        warnings: what may be a mistake in the request, such as a prompt that begins with two bos.
    """

    text: str
    ids: tuple[int, ...]
    prompt_ids: tuple[int, ...]
    finish_reason: FinishReason
    stop_reason: int | str | None = None
    error: str | None = None
    metrics: Metrics = field(default_factory=Metrics)
    logprobs: tuple[TokenLogprob, ...] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a generation, while it is streamed.

    Attributes:
        text: new text; may be empty while a letter is incomplete or a stop string may begin.
        ids: new ids.
        is_last: whether the generation ends with this piece.
        finish_reason, stop_reason: as of `Generation`; None before the last piece.
        logprobs: of each id in `ids`, if the request asked for `logprobs`; else None.
    """

    text: str
    ids: tuple[int, ...]
    is_last: bool = False
    finish_reason: FinishReason | None = None
    stop_reason: int | str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
